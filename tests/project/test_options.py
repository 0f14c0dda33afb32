"""Every setting does what its help says, in the direction that it says, and conflicts are refused by name.

`PROOFS` has a line for each field of `Settings`; a new one fails here until a test of its claim is named.
"""

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from helpers import PlannedRun, smooth_image, tiny_weights, written_tests
from impasto.errors import ImageError, SettingsError
from impasto.images import reading
from impasto.images.writing import to_pil
from impasto.jobs.network import load_network
from impasto.jobs.stylization import Stylization
from impasto.network import weight_files, weights
from impasto.network.engines.choice import choose_device, make_engine
from impasto.network.engines.native import NativeEngine
from impasto.network.engines.native_library import why_not
from impasto.network.vgg import VGG19
from impasto.run import memory_plan as memory
from impasto.run.events import EpochDone, Finished, Started, Stepped
from impasto.settings.choices import Padding
from impasto.settings.settings import Settings
from impasto.swatches.catalogue import paint as swatch

PROOFS: dict[str, tuple[str, ...]] = {
    "size": (
        "test_size_is_the_longest_side_of_the_picture",
        "test_a_picture_of_its_photos_size_keeps_its_resolution_in_every_format",
        "test_a_print_has_its_size_and_its_resolution_also_where_it_is_painted_again",
    ),
    "objective": (
        "test_normalized_weights_mean_the_same_on_every_network_and_the_papers_dont",
        "test_the_total_is_alpha_content_plus_beta_style_written_out_in_numpy",
        "test_the_notebooks_loss_and_its_gradient_are_those_of_its_formulas_written_out",
        "test_normalized_style_parts_are_the_share_of_the_contents_distance_that_is_left",
    ),
    "strength": ("test_strength_0_returns_the_content_and_more_strength_leaves_it_further_behind",),
    "content_weight": ("test_more_content_weight_stays_nearer_to_the_content_and_more_style_weight_leaves_it",),
    "style_weight": ("test_more_content_weight_stays_nearer_to_the_content_and_more_style_weight_leaves_it",),
    "style_weights": ("test_style_weights_shift_the_picture_from_one_painting_to_the_other",),
    "content_layers": ("test_a_content_layer_that_is_named_is_kept_and_others_less",),
    "style_layers": ("test_a_style_layer_that_is_named_gets_near_the_painting_and_others_less",),
    "content_layer_weights": ("test_a_content_layer_of_more_weight_is_kept_better",),
    "layer_weights": ("test_a_style_layer_of_more_weight_gets_nearer_to_the_painting",),
    "color": (
        "test_the_style_colours_the_picture_unless_the_contents_colours_are_kept_or_matched",
        "test_tint_keeps_the_lightness_of_what_is_painted_with_the_styles_colours_and_the_way_there",
    ),
    "style_loss": ("test_every_style_loss_gets_nearer_to_the_painting_by_its_own_measure",),
    "content_loss": ("test_each_content_loss_keeps_what_its_name_says",),
    "style_scale": (
        "test_larger_strokes_come_from_a_larger_painting",
        "test_auto_finds_the_size_at_which_a_paintings_forms_are_as_large_as_the_contents",
        "test_auto_is_decided_once_and_paints_what_its_number_paints",
    ),
    "mask": (
        "test_each_region_takes_its_own_style_and_what_has_none_keeps_the_content",
        "test_rest_is_the_region_that_the_other_masks_leave",
    ),
    "style_mask": ("test_only_the_white_part_of_a_painting_counts", "test_all_of_a_painting_may_count_beside_a_part"),
    "strength_map": (
        "test_where_the_map_is_black_the_photo_stays_to_the_bit_and_elsewhere_it_is_painted",
        "test_an_even_grey_is_that_share_of_the_strength",
        "test_a_ramp_takes_the_photo_further_behind_the_whiter_it_is",
    ),
    "guard": (
        "test_a_guarded_face_is_nearer_to_the_photo_and_the_rest_is_painted_as_before",
        "test_a_guarded_picture_is_painted_again_to_the_bit_where_nothing_finds_faces",
    ),
    "mask_erosion": ("test_eroded_regions_dont_reach_into_one_another",),
    "tv_weight": ("test_total_variation_makes_the_picture_smoother",),
    "pooling": ("test_average_pooling_is_smoother_from_noise",),
    "padding": ("test_a_replicated_border_is_the_pictures_own_going_on_and_a_flat_picture_shows_no_frame",),
    "weights": ("test_a_weights_file_is_what_the_network_is_made_of",),
    "optimizer": (
        "test_gradient_descent_is_the_negative_gradient_times_a_step",
        "test_adam_equals_the_algorithm_written_out_in_numpy",
        "test_lbfgs_takes_one_evaluation_a_step_and_beats_gradient_descent",
    ),
    "learning_rate": ("test_the_learning_rate_is_how_far_adams_first_step_moves_a_pixel",),
    "epochs": ("test_as_many_epochs_of_as_many_steps_are_taken_as_were_asked_for",),
    "steps_per_epoch": ("test_as_many_epochs_of_as_many_steps_are_taken_as_were_asked_for",),
    "scales": (
        "test_as_many_scales_are_painted_as_were_asked_for_each_twice_the_last",
        "test_automatic_scales_never_make_a_picture_too_small_for_its_layers",
    ),
    "step_ratio": ("test_each_scale_has_a_step_and_the_ratio_to_the_one_before_where_there_are_enough",),
    "detail": ("test_the_content_enlarged_with_its_detail_is_the_content",),
    "negligible": (
        "test_only_the_deepest_layers_are_left_out_and_only_below_the_share",
        "test_it_is_the_objective_where_layers_stay_and_holds_what_was_measured_of_those_that_do_not",
        "test_a_run_that_left_layers_out_still_ends_with_the_loss_of_all",
    ),
    "stop_gain": (
        "test_a_scale_ends_where_the_best_of_ten_steps_gains_less_than_the_share_on_the_ten_before_and_says_so",
        "test_a_run_that_ended_early_is_the_run_of_as_many_steps",
    ),
    "until": (
        "test_as_many_steps_are_planned_as_get_done_by_the_time_and_each_scale_has_some",
        "test_a_run_that_is_slower_than_it_was_planned_ends_in_time_with_every_scale_done",
    ),
    "init": (
        "test_each_start_is_what_its_name_says",
        "test_histogram_has_exactly_the_contents_pixels_and_none_of_its_shapes",
        "test_a_run_starts_from_the_image_it_is_given",
    ),
    "init_noise": ("test_white_noise_is_mixed_into_a_start_by_its_share",),
    "seed": (
        "test_the_same_seed_and_settings_give_the_same_picture_to_the_bit",
        "test_another_seed_gives_another_picture_from_noise",
    ),
    "device": ("test_auto_takes_the_best_device_there_is_and_one_that_is_missing_is_refused",),
    "engine": ("test_both_engines_paint_the_same_picture", "test_auto_takes_it_where_it_can_run"),
    "threads": (
        "test_a_run_computes_with_as_many_threads_as_it_is_told_and_its_host_keeps_its_own",
        "test_a_picture_is_painted_again_with_as_many_threads_as_then",
    ),
    "precision": (
        "test_bfloat16_paints_nearly_the_same_picture",
        "test_bfloat16_is_native_where_there_are_units_and_torchs_elsewhere",
        "test_auto_is_bfloat16_only_where_amx_wins_a_trial_of_a_run_that_is_worth_one",
        "test_tf32_is_refused_where_there_is_no_cuda",
    ),
    "compile": (
        "test_compiling_hands_the_network_to_torch_and_changes_nothing_else",
        "test_a_compiled_network_gives_the_same_features_and_gradient",
    ),
    "max_memory": (
        "test_less_memory_first_shortens_the_history_and_then_cuts_tiles",
        "test_a_small_memory_budget_cuts_the_picture_into_tiles_and_says_so",
        "test_a_tiled_step_gives_the_whole_pictures_within_float_noise",
    ),
    "scratch": (
        "test_the_scratch_folder_is_the_one_given_if_files_can_be_there",
        "test_a_run_in_files_paints_the_same_picture_to_the_bit",
    ),
    "tile": (
        "test_a_tiled_step_gives_the_whole_pictures_within_float_noise",
        "test_what_the_user_fixes_is_kept",
        "test_smaller_tiles_take_less_memory",
    ),
    "history": (
        "test_lbfgs_remembers_as_many_steps_as_it_is_told",
        "test_optimizers_without_a_history_are_not_charged_for_one",
    ),
    "keep_exif": ("test_a_picture_carries_what_the_camera_noted_when_asked_and_where_it_was_only_when_asked_for_that",),
    "keep_gps": ("test_a_picture_carries_what_the_camera_noted_when_asked_and_where_it_was_only_when_asked_for_that",),
    "max_pixels": ("test_any_picture_with_more_pixels_is_refused_and_the_limit_changes_nothing_else",),
}

CONTENT, STYLE = smooth_image(48, 64, seed=1, dtype=torch.float32), smooth_image(70, 50, seed=2, dtype=torch.float32)
DARK, LIGHT = 0.3 * STYLE, 1 - 0.3 * STYLE
SHALLOW, DEEP = "relu1_1", "relu4_2"
TINY = tiny_weights(dtype=torch.float32)
EYE = VGG19(TINY, padding=Padding.REPLICATE)


def settings(**changes) -> Settings:
    return Settings(**{"size": 64, "epochs": 6, "steps_per_epoch": 3, "scales": 1, "device": "cpu", **changes})


def paint(*, network=None, **changes) -> list:
    chosen = settings(**changes)
    network = network or VGG19(TINY, pooling=chosen.pooling, padding=chosen.padding)
    return list(PlannedRun(chosen, network, CONTENT, [STYLE]).events())


def result(**changes) -> Tensor:
    return paint(**changes)[-1].picture


def features(image: Tensor, layer: str) -> Tensor:
    with torch.no_grad():
        return EYE.features(image, [layer])[layer].flatten(2)[0]


def from_photo(image: Tensor, layer: str) -> float:
    """Mean squared difference of a layer's features to the photo's, relative to their variance."""
    photo = features(CONTENT, layer)
    return ((features(image, layer) - photo).square().mean() / photo.var()).item()


def from_painting(image: Tensor, layer: str) -> float:
    """Squared difference of Gram matrices to the painting's, relative to the photo's."""
    now, photo, painting = (f @ f.T / f.shape[1] for f in (features(x, layer) for x in (image, CONTENT, STYLE)))
    return ((now - painting).square().sum() / (photo - painting).square().sum()).item()


def similarities(image: Tensor) -> Tensor:
    """How the places of a picture resemble one another in a deep layer: cosine distances, in shares of their sum."""
    f = torch.nn.functional.normalize(features(image, DEEP), dim=0)
    distances = 1 - f.T @ f
    return distances / distances.sum(dim=0, keepdim=True)


def roughness(image: Tensor) -> float:
    return sum(image.diff(dim=along).square().mean().item() for along in (2, 3))


def test_every_setting_has_a_proof():
    assert PROOFS.keys() == Settings.model_fields.keys()


def test_every_proof_is_a_test_that_is_there():
    named, there = {name for names in PROOFS.values() for name in names}, written_tests()
    assert [name for name in named if there.count(name) != 1] == []


@pytest.mark.parametrize("size", [40, 64])
def test_size_is_the_longest_side_of_the_picture(size):
    assert result(size=size, epochs=1).shape == (1, 3, size * 3 // 4, size)


class Brighter(VGG19):
    """The same network with features three times as large."""

    def features(self, image, layers, *, below=None):
        return {name: 3 * f for name, f in super().features(image, layers, below=below).items()}


def test_normalized_weights_mean_the_same_on_every_network_and_the_papers_dont():
    def first(network: VGG19, objective: str) -> dict[str, float]:
        events = paint(network=network, objective=objective, init="noise", epochs=1, steps_per_epoch=1)
        return next(dict(event.parts) for event in events if isinstance(event, Stepped))

    plain, bright = (VGG19(TINY), Brighter(TINY))
    assert first(bright, "normalized") == pytest.approx(first(plain, "normalized"), rel=1e-4)
    grown = {"content": 9, "style": 81, "tv": 1}  # squares of features, and of their products
    paper = {name: loss * grown[name.partition("/")[0]] for name, loss in first(plain, "gatys").items()}
    assert first(bright, "gatys") == pytest.approx(paper, rel=1e-4)


@pytest.mark.slow
def test_a_content_layer_that_is_named_is_kept_and_others_less():
    shallow, deep = (result(content_layers=(layer,), content_weight=1.0) for layer in (SHALLOW, DEEP))
    assert from_photo(shallow, SHALLOW) < 0.5 * from_photo(deep, SHALLOW)
    assert from_photo(deep, DEEP) < 0.5 * from_photo(shallow, DEEP)


def test_a_content_layer_of_more_weight_is_kept_better():
    both = {"content_layers": (SHALLOW, DEEP), "content_weight": 1.0}
    shallow, deep = (result(content_layer_weights=weights, **both) for weights in ((9, 1), (1, 9)))
    assert from_photo(shallow, SHALLOW) < 0.5 * from_photo(deep, SHALLOW)
    assert from_photo(deep, DEEP) < 0.5 * from_photo(shallow, DEEP)


def test_a_style_layer_that_is_named_gets_near_the_painting_and_others_less():
    shallow, deep = (result(style_layers=(layer,), strength=1.0) for layer in (SHALLOW, "relu4_1"))
    assert from_painting(shallow, SHALLOW) < 0.1 < 0.5 < from_painting(deep, SHALLOW)
    assert from_painting(deep, "relu4_1") < 0.1 < 0.5 < from_painting(shallow, "relu4_1")


def test_a_style_layer_of_more_weight_gets_nearer_to_the_painting():
    both = (SHALLOW, "relu4_1")
    shallow, deep = (
        result(style_loss="gram", style_layers=both, layer_weights=weights) for weights in ((9, 1), (1, 9))
    )
    assert from_painting(shallow, SHALLOW) < 0.8 * from_painting(deep, SHALLOW)
    assert from_painting(deep, "relu4_1") < 0.9 * from_painting(shallow, "relu4_1")


@pytest.mark.slow
def test_each_content_loss_keeps_what_its_name_says():
    kept, similar = (
        result(content_loss=loss, content_weight=1.0, strength=1.0) for loss in ("features", "self-similarity")
    )
    assert from_photo(kept, DEEP) < 0.8 * from_photo(similar, DEEP)
    off = [(similarities(image) - similarities(CONTENT)).abs().mean().item() for image in (similar, kept)]
    assert off[0] < 0.6 * off[1]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a photo, paintings and masks, and a network that runs in milliseconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source="embedded": TINY)
    left = np.zeros((48, 64), np.uint8)
    left[:, :32] = 255
    for name, image in {"photo": CONTENT, "dark": DARK, "light": LIGHT, "both": torch.cat([DARK, LIGHT], 3)}.items():
        to_pil(image).save(f"{name}.png")
    PIL.Image.fromarray(left).save("left.png")
    return tmp_path


def painted(*styles: str, **changes) -> Tensor:
    """The last canvas, which needn't be the best one."""
    job = Stylization("photo.png", styles, settings(content_weight=0.0, strength=1.0, **changes))
    *_, last = (event for event in job.events() if isinstance(event, Stepped))
    return last.picture()


@pytest.mark.slow
@pytest.mark.usefixtures("files")
def test_rest_is_the_region_that_the_other_masks_leave():
    one = painted("dark.png", "light.png", mask=("left.png", "rest"))
    other = painted("dark.png", "light.png", mask=("rest", "left.png"))
    assert one[..., :24].mean() < other[..., :24].mean() - 0.02
    assert one[..., 40:].mean() > other[..., 40:].mean() + 0.02


@pytest.mark.slow
@pytest.mark.usefixtures("files")
def test_all_of_a_painting_may_count_beside_a_part():
    part = painted("both.png", "dark.png", style_mask=("left.png", "all"))
    whole = painted("both.png", "dark.png", style_mask=("all", "all"))
    assert part.mean() < whole.mean() - 0.01
    assert torch.equal(whole, painted("both.png", "dark.png"))


@pytest.mark.usefixtures("files")
def test_eroded_regions_dont_reach_into_one_another():
    """Which way the left half goes, to rounding, doesn't depend on what is painted on the right."""
    to_pil(0.25 + 0.5 * CONTENT).save("photo.png")
    photo = reading.load("photo.png").pixels

    def way(right: str, eroded: bool) -> Tensor:
        quick = {
            "optimizer": "gd",
            "epochs": 1,
            "steps_per_epoch": 1,
            "style_layers": ("relu1_1", "relu2_1"),
            "tv_weight": 0,
        }
        moved = painted("dark.png", right, mask=("left.png", "rest"), mask_erosion=eroded, **quick) - photo
        return moved[..., :32] / moved[..., :32].norm()

    off = [(way("light.png", eroded) - way("both.png", eroded)).norm().item() for eroded in (True, False)]
    assert off[0] < 1e-3 < 1e-1 < off[1]


@pytest.mark.slow
def test_average_pooling_is_smoother_from_noise():
    """The real network: at its largest responses only, one position in four, max pooling corrects what it sees."""
    real, dots = weights.load(), torch.from_numpy(np.array(swatch("dots", (96, 96)))).permute(2, 0, 1)[None]
    rough = {}
    for pooling in ("max", "average"):
        chosen = settings(
            init="noise", style_loss="gram", tv_weight=0, pooling=pooling, epochs=1, steps_per_epoch=12, size=48
        )
        *_, last = PlannedRun(chosen, make_engine(chosen, real), CONTENT, [dots / 255]).events()
        assert isinstance(last, Finished)
        rough[pooling] = roughness(last.picture)
    assert rough["average"] < 0.8 * rough["max"]


@pytest.mark.slow
def test_a_weights_file_is_what_the_network_is_made_of(tmp_path):
    embedded = weights.load()
    inverted = replace(embedded, tensors=embedded.tensors | {"conv1_1.bias": -embedded.tensors["conv1_1.bias"]})
    path = tmp_path / "inverted.safetensors"
    path.write_bytes(weight_files.as_safetensors(inverted.tensors, {"convention": "caffe"}))
    network = load_network(Settings(weights=str(path), device="cpu"))
    theirs = (VGG19(them, padding=Padding.REPLICATE) for them in (inverted, embedded))
    seen, wanted, usual = (eye.features(CONTENT, [SHALLOW])[SHALLOW] for eye in (network.engine, *theirs))
    assert network.source == str(path)
    torch.testing.assert_close(seen, wanted, rtol=1e-4, atol=1e-4)
    assert (seen - usual).abs().max() > 0.1


def test_the_learning_rate_is_how_far_adams_first_step_moves_a_pixel():
    for rate in (0.01, 0.05):
        events = paint(optimizer="adam", learning_rate=rate, epochs=1, steps_per_epoch=1)
        moved = next((event.picture() - CONTENT).abs() for event in events if isinstance(event, Stepped))
        assert moved.max().item() == pytest.approx(rate, rel=0.01)
        assert moved.median().item() == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize(("epochs", "steps"), [(3, 2), (2, 5)])
def test_as_many_epochs_of_as_many_steps_are_taken_as_were_asked_for(epochs, steps):
    events = paint(epochs=epochs, steps_per_epoch=steps)
    assert [event.epoch for event in events if isinstance(event, EpochDone)] == list(range(1, epochs + 1))
    assert [event.epoch for event in events if isinstance(event, Stepped)] == sorted([*range(1, epochs + 1)] * steps)


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_as_many_scales_are_painted_as_were_asked_for_each_twice_the_last(scales):
    shallow = {"style_layers": ("relu1_1", "relu2_1"), "content_layers": ("relu2_2",)}
    started = paint(scales=scales, epochs=1, **shallow)[0]
    assert isinstance(started, Started)
    assert started.plan.sizes == ((12, 16), (24, 32), (48, 64))[3 - scales :]


def test_auto_takes_the_best_device_there_is_and_one_that_is_missing_is_refused(monkeypatch):
    for cuda, mps, best in ((False, False, "cpu"), (False, True, "mps"), (True, True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.cuda, "device_count", lambda cuda=cuda: int(cuda))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert choose_device("auto").type == best
        assert choose_device("cpu").type == "cpu"
        for name, there in (("cuda", cuda), ("cuda:0", cuda), ("cuda:1", False), ("mps", mps)):
            if there:
                assert str(choose_device(name)) == name
            else:
                with pytest.raises(SettingsError, match=f"device is '{name}', which this machine doesn't have"):
                    choose_device(name)


@pytest.mark.slow
@pytest.mark.skipif(why_not() is not None, reason=f"THE NATIVE ENGINE IS NOT TESTED: {why_not()}")
def test_both_engines_paint_the_same_picture():
    chosen, real = settings(size=48, optimizer="gd", epochs=1), weights.load()
    ours, theirs = (
        paint(network=make_engine(chosen.model_copy(update={"engine": name}), real), **chosen.model_dump())[-1].picture
        for name in ("native", "torch")
    )
    assert (ours - theirs).abs().max() < 0.02  # a tie at a ReLU may fall the other way
    assert (ours - theirs).abs().mean() < 1e-4
    assert (ours - ours.roll(1, 3)).abs().mean() > 0.01


def test_bfloat16_paints_nearly_the_same_picture():
    exact, coarse = (
        result(network=make_engine(settings(precision=precision), TINY), epochs=1)
        for precision in ("float32", "bfloat16")
    )
    assert 0 < (exact - coarse).abs().mean() < 0.2 * (exact - CONTENT).abs().mean()


def test_compiling_hands_the_network_to_torch_and_changes_nothing_else(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda run: compiled.append(run) or run)
    plain, other = (result(network=make_engine(settings(compile=on), TINY)) for on in (False, True))
    assert len(compiled) == 1
    assert torch.equal(plain, other)


def test_smaller_tiles_take_less_memory():
    took = [memory.estimate(Settings(), (2048, 2048), tile, 3, NativeEngine.cost) for tile in (128, 512, 1024, None)]
    assert took == sorted(took)
    assert took[-1] > 2 * took[0]


def test_lbfgs_remembers_as_many_steps_as_it_is_told():
    for history in (2, 5):
        events = PlannedRun(settings(history=history), VGG19(TINY), CONTENT, [STYLE]).events()
        states = (event.state for event in events if isinstance(event, Stepped))
        assert max(len(state().optimizer["pairs"]) for state in states if state is not None) == history


@pytest.mark.usefixtures("files")
def test_any_picture_with_more_pixels_is_refused_and_the_limit_changes_nothing_else():
    PIL.Image.new("RGB", (90, 90)).save("big.png")
    everything = {"content": "photo.png", "style": "dark.png", "init": "photo.png", "mask": "left.png"}
    for role in (None, *everything):
        given = everything | ({} if role is None else {role: "big.png"})
        chosen = settings(max_pixels=4000, init=given["init"], mask=(given["mask"],), epochs=1)
        if role is None:
            *_, limited = Stylization(given["content"], [given["style"]], chosen).events()
            *_, free = Stylization("photo.png", ["dark.png"], chosen.model_copy(update={"max_pixels": 10**8})).events()
            assert torch.equal(limited.picture, free.picture)
        else:
            with pytest.raises(ImageError, match=r"'big.png'.*90×90"):
                Stylization(given["content"], [given["style"]], chosen)


@pytest.mark.parametrize(
    ("knobs", "fault"),
    [
        ({"layer_weights": (1, 2)}, "layer_weights has 2 values for 4 style_layers"),
        ({"content_layer_weights": (1, 2)}, "content_layer_weights has 2 values for 1 content_layers"),
        ({"engine": "native", "device": "cuda"}, "engine is 'native', .* but device is 'cuda': drop one"),
        ({"engine": "native", "compile": True}, "engine is 'native', .* but compile is set: drop one"),
        ({"engine": "native", "precision": "tf32"}, "engine is 'native', .* but precision tf32 is set: drop one"),
        ({"precision": "tf32", "device": "mps"}, "precision is 'tf32', .* but device is 'mps': drop one"),
        ({"init": "noise", "init_noise": 0.5}, "init is 'noise' already, but init_noise is 0.5: drop one"),
        ({"content_layers": (), "style_layers": ()}, "content_layers and style_layers are both empty"),
        ({"style_loss": "swd", "tile": 128}, "style_loss is 'swd', .* but tile is 128: drop one"),
        ({"objective": "gatys", "strength": 0.8}, "objective is 'gatys', .* but strength is 0.8: drop one"),
        ({"objective": "gatys", "style_loss": "w2"}, "objective is 'gatys', .* but style_loss is w2: drop one"),
        (
            {"objective": "gatys", "content_loss": "self-similarity"},
            "objective is 'gatys', .* but content_loss is self-similarity: drop one",
        ),
        ({"learning_rate": 0.1}, "optimizer is 'lbfgs', .* but learning_rate is 0.1: drop one"),
        ({"optimizer": "adam", "history": 5}, "optimizer is 'adam', .* but history is 5: drop one"),
        ({"scales": 1, "step_ratio": 2}, "scales is 1, .* but step_ratio is 2.0: drop one"),
        ({"scales": 1, "detail": 0.5}, "scales is 1, .* but detail is 0.5: drop one"),
        ({"style_loss": "remd", "negligible": 0.1}, "style_loss is 'remd', .* but negligible is 0.1: drop one"),
        (
            {"content_loss": "self-similarity", "negligible": 0.1},
            "content_loss is 'self-similarity', .* but negligible is 0.1: drop one",
        ),
        ({"style_loss": "remd", "mask_erosion": True}, "style_loss is 'remd', .* but mask_erosion is True: drop one"),
        ({"mask": ("rest",)}, "mask says 'rest' for every style"),
        ({"style_weights": (0, 0)}, "style_weights are all 0"),
        (
            {"stop_gain": 0.01, "epochs": 4, "steps_per_epoch": 5},
            "stop_gain compares 20 steps after a first one, but the run has 20: use more steps or leave it out",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_settings_that_exclude_each_other_are_refused_by_name(knobs, fault):
    with pytest.raises(SettingsError, match=f"^{fault}"):
        Settings(**knobs)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("knobs", "fault"),
    [
        ({"style_weights": (1, 2)}, "style_weights has 2 values for 1 styles: give one per style"),
        ({"mask": ("left.png", "rest")}, "mask has 2 values for 1 styles: give one per style"),
        ({"style_mask": ("left.png", "all")}, "style_mask has 2 values for 1 styles: give one per style"),
        ({"mask_erosion": True}, "mask_erosion is set but there is no mask: give one per style"),
        ({"scratch": "photo.png"}, "scratch is 'photo.png', which is no folder"),
        ({"scales": 4}, "scales is 4, which makes the coarsest picture 8×6 px"),
        ({"epochs": 1, "steps_per_epoch": 1, "scales": 2}, "scales is 2 but the run has 1 steps"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_settings_that_the_inputs_exclude_are_refused_by_name(knobs, fault):
    with pytest.raises(SettingsError, match=f"^{fault}"):
        Stylization("photo.png", ["dark.png"], settings(**knobs))
