import functools
import math
from collections.abc import Container
from dataclasses import replace

import pytest
import torch

import helpers
from helpers import PlannedRun, smooth_image, tiny_weights
from impasto.errors import DivergedError, SettingsError
from impasto.images.colour import oklab
from impasto.images.size import enlarge, resize
from impasto.jobs import checkpoint
from impasto.jobs.checkpoint import Checkpoint
from impasto.jobs.recipe import InputFile, Recipe
from impasto.network.vgg import VGG19
from impasto.objective.objective import Objective
from impasto.run import memory_plan as memory
from impasto.run import plan
from impasto.run.descent import BestIterate
from impasto.run.events import EpochDone, Finished, Restarted, ScaleDone, Started, Stepped
from impasto.run.state import RunState, tensors_of
from impasto.run.stylizer import Stylizer
from impasto.settings.choices import Padding, Pooling, StyleLossName
from impasto.settings.settings import Settings
from impasto.storage.scratch import Scratch

CONTENT, STYLE = smooth_image(48, 64, seed=1, dtype=torch.float32), smooth_image(70, 50, seed=2, dtype=torch.float32)
RECIPE = Recipe("0", {}, InputFile("content", None, "0"), (), None, "0", "2", 1, "here")


def network(pooling: Pooling = Pooling.MAX, padding: Padding = Padding.REPLICATE) -> VGG19:
    return VGG19(tiny_weights(dtype=torch.float32), pooling=pooling, padding=padding)


def settings(**changes) -> Settings:
    return Settings(**{"size": 64, "epochs": 2, "steps_per_epoch": 3, "scales": 2, "device": "cpu", **changes})


def planned(chosen: Settings, styles=(STYLE,), engine=None, **inputs) -> PlannedRun:
    engine = network(chosen.pooling, chosen.padding) if engine is None else engine
    return PlannedRun(chosen, engine, CONTENT, styles, **inputs)


def paint(styles=(STYLE,), start=None, **changes) -> list:
    return list(planned(settings(**changes), styles, init=start).events())


def result(*args, **changes) -> torch.Tensor:
    return paint(*args, **changes)[-1].picture


@functools.cache
def usual(**changes) -> torch.Tensor:
    """The same of a run that others are compared with, which is painted once."""
    return result(**changes)


def objective(chosen: Settings) -> Objective:
    """What a run with these settings minimises at its last scale."""
    return planned(chosen).problem.at((48, 64)).objective


def test_a_run_tells_its_plan_each_step_each_epoch_each_scale_and_its_end_in_order():
    events = paint()
    assert [type(e).__name__ for e in events] == [
        "Started", *["Stepped"] * 3, "EpochDone", "Stepped", "ScaleDone", *["Stepped"] * 2, "EpochDone", "ScaleDone",
        "Finished",
    ]  # fmt: skip
    started = events[0]
    assert isinstance(started, Started)
    assert started.plan.sizes == ((24, 32), (48, 64))
    assert started.plan.steps == (4, 2)
    assert [e.step for e in events if isinstance(e, Stepped)] == [1, 2, 3, 4, 5, 6]
    assert [e.epoch for e in events if isinstance(e, Stepped)] == [1, 1, 1, 2, 2, 2]
    assert [e.scale for e in events if isinstance(e, Stepped)] == [1, 1, 1, 1, 2, 2]


def test_pictures_in_events_are_valid_have_their_scales_size_and_belong_to_the_event():
    pictures = {}
    for event in planned(settings()).events():
        if isinstance(event, EpochDone | ScaleDone | Finished):
            picture = event.picture
        elif isinstance(event, Stepped):
            picture = event.picture()
            assert picture.shape[-2:] == event.size
        else:
            continue
        assert picture.min() >= 0
        assert picture.max() <= 1
        assert not picture.requires_grad
        pictures[id(event)] = (picture, picture.clone(), event)
    assert all(torch.equal(now, then) for now, then, _ in pictures.values())


def test_the_reported_loss_is_that_of_the_picture_and_is_lower_than_at_the_start():
    events = paint(scales=1, epochs=5)
    finished = events[-1]
    assert objective(settings(scales=1)).evaluate(finished.picture).loss == pytest.approx(finished.loss, rel=1e-5)
    assert finished.loss < 0.7 * next(e.loss for e in events if isinstance(e, Stepped))


@pytest.mark.thin(4)
@pytest.mark.parametrize("optimizer", ["gd", "adam", "lbfgs"])
@pytest.mark.parametrize("init", ["content", "noise"])
def test_the_same_seed_and_settings_give_the_same_picture_to_the_bit(optimizer, init):
    assert torch.equal(result(optimizer=optimizer, init=init), result(optimizer=optimizer, init=init))


def test_another_seed_gives_another_picture_from_noise():
    assert not torch.equal(result(init="noise", seed=1), result(init="noise", seed=2))


@pytest.mark.parametrize(
    "change",
    [
        {"size": 48},
        {"objective": "gatys"},
        {"objective": "notebook"},
        {"strength": 0.3},
        {"style_scale": 0.5},
        *({"style_loss": name.value} for name in StyleLossName if name is not StyleLossName.W2),
        {"content_loss": "self-similarity"},
        {"content_weight": 5.0},
        {"style_weight": 0.01},
        {"content_layers": ("relu3_1",)},
        {"content_layers": ("relu4_2", "relu2_1"), "content_layer_weights": (1.0, 9.0)},
        {"style_layers": ("relu1_1", "relu2_1")},
        {"layer_weights": (5.0, 1.0, 1.0, 0.0)},
        {"color": "keep"},
        {"color": "match"},
        {"color": "tint"},
        {"tv_weight": 1.0},
        {"pooling": "average"},
        {"padding": "zero"},
        {"optimizer": "adam"},
        {"learning_rate": 0.1},
        {"epochs": 3},
        {"steps_per_epoch": 5},
        {"scales": 1},
        {"step_ratio": 3},
        {"detail": 1.0},
        {"negligible": 0.5, "steps_per_epoch": 9},
        {"history": 1},
        {"init": "noise"},
        {"init": "style"},
        {"init": "histogram"},
        {"init_noise": 0.5},
    ],
    ids=str,
)
def test_every_knob_changes_the_picture(change):
    knobs = {"learning_rate": {"optimizer": "adam"}, "negligible": {"steps_per_epoch": 9}, "history": {"epochs": 5}}
    beside = next((knobs[knob] for knob in change if knob in knobs), {})
    reference, other = usual(**beside), result(**beside | change)
    assert other.shape != reference.shape or (other - reference).abs().max() > 1 / 255


@pytest.mark.parametrize(("loss", "ratio"), [("gram", 0.75), ("nnst", 0.75), ("nnst", 0.6)])
def test_strength_0_returns_the_content_and_more_strength_leaves_it_further_behind(loss, ratio):
    """Coarse to fine too: what a finer scale adds to a coarser one is the content's own detail."""
    knobs = {"epochs": 8, "step_ratio": ratio, "style_loss": loss}
    pictures = [result(strength=strength, **knobs) for strength in (0.0, 0.25, 0.5, 0.75, 1.0)]
    torch.testing.assert_close(pictures[0], CONTENT, rtol=0, atol=1e-5)
    away = [(picture - CONTENT).square().mean().item() for picture in pictures]
    assert away == sorted(away)
    if (loss, ratio) != ("nnst", 0.75):  # nearest neighbours that a scale finds jump: how much further varies
        assert away[4] > 1.3 * away[2] > 1.7 * away[1]


@pytest.mark.parametrize("loss", [name.value for name in StyleLossName])
def test_every_style_loss_gets_nearer_to_the_painting_by_its_own_measure(loss):
    losses = [
        sum(value for name, value in event.parts.items() if name.startswith("style/"))
        for event in paint(style_loss=loss, scales=1, epochs=8, strength=1.0)
        if isinstance(event, Stepped)
    ]
    assert losses[0] == pytest.approx(1, rel=0.02)
    assert min(losses) < 0.75


LEFT = torch.zeros(1, 1, 6, 8)
LEFT[..., :4] = 1


def painted_with_masks(masks, *styles, style_masks=(), **changes) -> torch.Tensor:
    *_, last = planned(settings(epochs=6, **changes), styles, masks=masks, style_masks=style_masks).events()
    return last.picture


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    "change",
    [
        {},
        pytest.param({"style_loss": "remd"}, marks=pytest.mark.slow),
        {"size": 96, "tile": 64},
    ],
    ids=str,
)
def test_each_region_takes_its_own_style_and_what_has_none_keeps_the_content(change):
    dark, light = STYLE * 0.3, 1 - STYLE * 0.3
    masks = [LEFT, 1 - LEFT]
    one, other = (
        painted_with_masks(masks, *styles, content_weight=0.0, strength=1.0, **change)
        for styles in ((dark, light), (light, dark))
    )
    half = one.shape[-1] // 2
    assert one[..., : half - 8].mean() < other[..., : half - 8].mean() - 0.01
    assert one[..., half + 8 :].mean() > other[..., half + 8 :].mean() + 0.01
    some = painted_with_masks([LEFT], dark, content_weight=0.0, **change)
    content = resize(CONTENT, (some.shape[-2], some.shape[-1]))
    assert torch.equal(some[..., half + 10 :], content[..., half + 10 :])
    assert (some[..., :half] - content[..., :half]).abs().mean() > 0.02


def test_only_the_white_part_of_a_painting_counts():
    painting = torch.cat([STYLE * 0.3, 1 - STYLE * 0.3], dim=3)
    where = torch.zeros(1, 1, *painting.shape[-2:])
    where[..., : painting.shape[-1] // 2] = 1
    dark = painted_with_masks((), painting, style_masks=[where], content_weight=0.0)
    light = painted_with_masks((), painting, style_masks=[1 - where], content_weight=0.0)
    assert dark.mean() < light.mean() - 0.02


def test_erosion_changes_the_picture_near_a_border():
    usual, eroded = (
        painted_with_masks([LEFT, 1 - LEFT], STYLE, STYLE.flip(1), mask_erosion=erode, style_layers=("relu2_1",))
        for erode in (False, True)
    )
    assert (usual - eroded).abs().max() > 1 / 255


def test_larger_strokes_come_from_a_larger_painting():
    """The painting is fine noise: drawn larger, neighbouring pixels of the picture differ less."""
    noise = torch.rand((1, 3, 48, 64), generator=torch.Generator().manual_seed(0))
    rough = [
        result((noise,), style_scale=scale, content_weight=0.0, strength=1.0, epochs=8, scales=1)
        .diff(dim=3)
        .abs()
        .mean()
        for scale in (1.0, 4.0)
    ]
    assert rough[1] < 0.9 * rough[0]


def test_a_change_goes_on_from_the_canvas_towards_what_the_new_knobs_ask_for():
    run = planned(settings(epochs=8, scales=1))
    pictures = []
    for event in run.events():
        if isinstance(event, EpochDone):
            pictures.append(event.picture)
            if event.epoch == 4:
                run.change(strength=0.0)
        if isinstance(event, Stepped):
            seen = event.parts
    away = [(picture - CONTENT).square().mean().item() for picture in pictures]
    assert away[7] < 0.5 * away[3]
    assert sum(value for name, value in seen.items() if name.startswith("style/")) < 0.1


def test_a_change_of_colour_mode_keeps_the_run_going():
    run = planned(settings(epochs=4, scales=1))
    pictures = []
    for event in run.events():
        if isinstance(event, EpochDone):
            pictures.append(event.picture)
            run.change(color={1: "keep", 2: "match", 3: "style"}.get(event.epoch, "style"))
    assert all(picture.shape == CONTENT.shape for picture in pictures)
    chroma = [(oklab(picture)[:, 1:] - oklab(CONTENT)[:, 1:]).square().mean().item() for picture in pictures]
    assert chroma[1] < 0.2 * chroma[3]


def test_what_cannot_change_while_a_run_goes_on_is_refused_by_name():
    with pytest.raises(SettingsError, match="size can't be changed while painting"):
        Stylizer(settings()).change(size=64)
    with pytest.raises(SettingsError, match="strength"):
        Stylizer(settings()).change(strength=2)


def test_a_tiled_step_gives_the_whole_pictures_within_float_noise():
    whole, tiled = (result(size=192, scales=1, epochs=1, steps_per_epoch=1, tile=tile) for tile in (0, 64))
    assert (whole - tiled).abs().max() < 1e-4


def test_a_small_memory_budget_cuts_the_picture_into_tiles_and_says_so():
    held = memory.resident_memory() / memory.MEGABYTE
    events = paint(size=640, scales=1, epochs=1, steps_per_epoch=1, max_memory=f"{held + 600:.0f}MB")
    assert events[0].plan.memory.tile is not None
    assert events[0].plan.memory.tile < 640
    assert paint(size=64)[0].plan.memory.tile is None


@pytest.fixture
def in_files(tmp_path, monkeypatch):
    """Puts whatever is larger than a few rows into files, and gives the scratches of all runs since."""
    used = []

    class Watched(Scratch):
        BAND, SMALL = 6000, 500

        def __init__(self, folder):
            super().__init__(folder)
            used.append(self)

    def fitted(*args):
        return replace(memory.fit_into_memory(*args), folder=tmp_path, disk=1)

    monkeypatch.setattr(Scratch, "BAND", Watched.BAND)
    monkeypatch.setattr(helpers, "Scratch", Watched)
    monkeypatch.setattr(plan, "fit_into_memory", fitted)
    return used


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "adam", "init": "noise"},
        {"optimizer": "gd", "init": "style", "tile": 0, "tv_weight": 0.1},
        {"history": 2},
        {"objective": "gatys", "scales": 1},
        {"optimizer": "adam", "color": "keep"},
        {"style_loss": "nnst", "color": "match"},
    ],
    ids=str,
)
def test_a_run_in_files_paints_the_same_picture_to_the_bit(change, in_files, tmp_path, monkeypatch):
    change = {"size": 96, "tile": 64, "epochs": 2, "steps_per_epoch": 2} | change
    ours = result((STYLE, 1 - STYLE), **change)
    assert in_files[0].peak > 3 * ours.nbytes
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(plan, "fit_into_memory", memory.fit_into_memory)
    theirs = result((STYLE, 1 - STYLE), **change)
    assert in_files[1].peak == 0
    assert torch.equal(ours, theirs)


def test_a_run_in_files_has_regions_too(in_files, monkeypatch):
    ours = painted_with_masks([LEFT], STYLE, color="keep")
    assert in_files[0].peak > 0
    monkeypatch.setattr(plan, "fit_into_memory", memory.fit_into_memory)
    assert torch.equal(ours, painted_with_masks([LEFT], STYLE, color="keep"))


@pytest.mark.parametrize("optimizer", ["gd", "adam", "lbfgs"])
def test_a_run_in_files_is_saved_and_goes_on_in_files(optimizer, in_files, tmp_path):
    way = {"optimizer": optimizer, "size": 96}
    *_, whole = told_and_saved(tmp_path / "state", 5, **way)
    held, files = Scratch().held, helpers.Scratch(tmp_path)
    state = checkpoint.read(tmp_path / "state", files).state
    assert files.held - held >= 2 * state.canvas.nbytes
    assert torch.equal(resumed(state, **way)[-1].picture, whole.picture)


def told_and_saved(path, step: int, **changes) -> list:
    """The events of a run whose state is saved after a step."""
    events = []
    for event in planned(settings(**changes)).events():
        events.append(event)
        if isinstance(event, Stepped) and event.step == step:
            checkpoint.write(path, Checkpoint(RECIPE, event.state(), {}, {}))
    return events


@pytest.mark.parametrize(
    "change",
    [*(pytest.param({"optimizer": name}, marks=pytest.mark.slow) for name in ("adam", "gd")), {"history": 5}],
    ids=str,
)
def test_files_take_the_room_that_was_planned(change, in_files, tmp_path):
    chosen = settings(size=128, content_layers=(), epochs=1, steps_per_epoch=16, init="noise", **change)
    held = Scratch().held
    for event in planned(chosen).events():
        last = event  # as who drives a run keeps it through the next step
    assert last.steps == 16
    room = memory.file_bytes(chosen, (96, 128), None, change.get("history", 0))
    assert 0.8 * room < in_files[0].peak - held <= room


def test_pictures_of_a_run_in_files_belong_to_their_events(in_files):
    before = Scratch().held
    pictures = [e.picture for e in paint(size=96) if isinstance(e, EpochDone | ScaleDone | Finished)]
    assert len({picture.data_ptr() for picture in pictures}) == len(pictures)
    assert in_files[0].held >= sum(picture.nbytes for picture in pictures)
    del pictures
    assert in_files[0].held == before


def test_more_content_weight_stays_nearer_to_the_content_and_more_style_weight_leaves_it():
    def distance(**change) -> float:
        return (result(epochs=6, **change) - CONTENT).square().mean().item()

    assert 1.05 * distance(content_weight=20.0) < distance() < distance(style_weight=20.0) / 1.05


def test_total_variation_makes_the_picture_smoother():
    def roughness(**change) -> float:
        return result(epochs=6, **change).diff(dim=3).square().mean().item()

    assert roughness(tv_weight=1.0) < 0.8 * roughness()


@pytest.mark.parametrize("loss", ["gram", "nnst"])
def test_style_weights_shift_the_picture_from_one_painting_to_the_other(loss):
    dark, light = STYLE * 0.3, 1 - STYLE * 0.3
    mostly_dark, mostly_light = (
        result((dark, light), style_weights=shares, content_weight=0.0, epochs=5, style_loss=loss, strength=1.0)
        for shares in ((9.0, 1.0), (1.0, 9.0))
    )
    assert mostly_dark.mean() < mostly_light.mean() - 0.02


def test_a_run_starts_from_the_image_it_is_given():
    bright = torch.full((1, 3, 20, 30), 0.9)
    chosen = settings(init="bright.png", optimizer="gd", epochs=1, steps_per_epoch=1, scales=1)
    events = list(planned(chosen, init=bright).events())
    assert events[-1].picture.mean() > 0.8


class Faulty(VGG19):
    """Puts NaN or ∞ into the image, a feature or the gradient at some of its calls, counted from 1."""

    def __init__(self, where: str, calls: Container[int]) -> None:
        super().__init__(tiny_weights(dtype=torch.float32), padding=Padding.REPLICATE)
        self.where, self.faulty, self.count = where, calls, 0

    def features(self, image, layers, *, below=None):
        self.count += 1
        if self.count not in self.faulty:
            return super().features(image, layers, below=below)
        if self.where == "image":
            image = image * float("nan")
        if self.where == "gradient" and image.requires_grad:
            image.register_hook(lambda g: g * float("inf"))
        found = super().features(image, layers, below=below)
        return {name: f * float("nan") for name, f in found.items()} if self.where == "features" else found


FIRST_STEP = 3
"""The call for the first step: two measure the targets."""


@pytest.mark.parametrize("where", ["image", "features", "gradient"])
@pytest.mark.parametrize("optimizer", ["gd", "adam", "lbfgs"])
def test_values_that_are_not_finite_for_good_stop_the_run_with_the_last_good_picture(where, optimizer):
    engine = Faulty(where, range(FIRST_STEP + 5, 1000))
    seen = []
    with pytest.raises(
        DivergedError, match=r"stopped being finite, also with shorter steps.*last good picture"
    ) as error:
        seen.extend(planned(settings(optimizer=optimizer, scales=1), engine=engine).events())
    picture = error.value.picture
    assert isinstance(picture, torch.Tensor)
    assert picture.isfinite().all()
    assert picture.std() > 0.05
    steps = [e for e in seen if isinstance(e, Stepped)]
    assert len(steps) >= 3
    assert [e.times for e in seen if isinstance(e, Restarted)] == [1, 2, 3]
    assert objective(settings(scales=1)).evaluate(picture).loss <= min(step.loss for step in steps) * 1.0001


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_value_that_is_not_finite_is_noticed_and_large_ones_are_none(bad):
    large = torch.full((1, 3, 8, 8), 3e38)  # whose sum is more than float32 holds
    best = BestIterate(large, torch.clone)
    assert best.is_finite(large)
    assert best.is_finite(torch.zeros(1, 3, 8, 8))
    for at in ((0, 0, 0, 0), (0, 2, 7, 7)):
        canvas = torch.rand(1, 3, 8, 8)
        canvas[at] = bad
        assert not best.is_finite(canvas)
    canvas[0, 0, 0, 0] = -bad  # ∞ − ∞
    assert not best.is_finite(canvas)


@pytest.mark.thin(4)
@pytest.mark.parametrize("where", ["image", "features", "gradient"])
@pytest.mark.parametrize("optimizer", ["gd", "adam", "lbfgs"])
@pytest.mark.parametrize("step", [0, 4])
def test_values_that_are_not_finite_once_cost_a_restart_with_shorter_steps_and_not_the_run(where, optimizer, step):
    engine = Faulty(where, [FIRST_STEP + step])
    events = list(planned(settings(optimizer=optimizer, scales=1), engine=engine).events())
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.steps == 6
    assert finished.picture.isfinite().all()
    assert finished.loss < next(e.loss for e in events if isinstance(e, Stepped))
    assert [(e.times, e.most) for e in events if isinstance(e, Restarted)] == [(1, 3)]
    again = [e.step for e in events if isinstance(e, Stepped)]
    assert again == [1, 2, 3, 4, 5, 6]


def test_restarts_are_counted_over_the_run_and_the_fourth_fault_ends_it():
    engine = Faulty("image", [FIRST_STEP, FIRST_STEP + 2, FIRST_STEP + 4, FIRST_STEP + 6])
    seen = []
    with pytest.raises(DivergedError):
        seen.extend(planned(settings(scales=1, epochs=9), engine=engine).events())
    assert [e.times for e in seen if isinstance(e, Restarted)] == [1, 2, 3]


def test_a_canvas_that_is_not_finite_is_never_shown():
    class Huge(VGG19):
        """Gradients so large that Adam's second moment overflows: two steps later its canvas would be NaN."""

        def features(self, image, layers, *, below=None):
            if image.requires_grad:
                image.register_hook(lambda g: torch.full_like(g, 1e30))
            return super().features(image, layers, below=below)

    run = planned(settings(optimizer="adam", scales=1), engine=Huge(tiny_weights(dtype=torch.float32)))
    seen = []
    with pytest.raises(DivergedError) as error:
        seen.extend(event.picture() for event in run.events() if isinstance(event, Stepped))
    assert len(seen) >= 2
    assert all(picture.isfinite().all() for picture in [*seen, error.value.picture])


def resumed(state: RunState, **changes) -> list:
    return list(planned(settings(**changes)).events(state))


WAYS = [
    *({"optimizer": optimizer} for optimizer in ("gd", "adam", "lbfgs")),
    *({"optimizer": optimizer, "size": 96, "tile": 64, "init": "noise"} for optimizer in ("gd", "adam", "lbfgs")),
]


@pytest.mark.thin(3)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_run_goes_on_from_any_saved_step_to_the_same_pixels_to_the_bit(way, tmp_path):
    whole = []
    for event in planned(settings(**way)).events():
        whole.append(event)
        if isinstance(event, Stepped):
            assert event.state is not None
            checkpoint.write(tmp_path / str(event.step), Checkpoint(RECIPE, event.state(), {}, {}))
    assert [event.plan.memory.tile for event in whole if isinstance(event, Started)] == [64 if "tile" in way else None]
    for step in (1, 3, 4, 6):
        events = resumed(checkpoint.read(tmp_path / str(step)).state, **way)
        assert told(events) == told(whole[:1] + [e for e in whole[1:] if not is_up_to(e, step)])
        assert torch.equal(events[-1].picture, whole[-1].picture)
        assert (events[-1].loss, events[-1].parts) == (whole[-1].loss, whole[-1].parts)


def is_up_to(event, step: int) -> bool:
    """Whether an event was told before the state of that step was saved; of an epoch that it ended, only after."""
    match event:
        case Stepped():
            return event.step <= step
        case EpochDone():
            return event.epoch * 3 < step
        case ScaleDone():
            return sum((4, 2)[: event.scale]) < step
    return False


def told(events) -> list:
    """What events say, with pictures as bytes and without times."""
    return [
        [
            type(event).__name__,
            *(getattr(event, name, None) for name in ("step", "epoch", "scale", "loss", "parts", "steps")),
            (event.picture() if isinstance(event, Stepped) else event.picture).numpy().tobytes()
            if not isinstance(event, Started)
            else None,
        ]
        for event in events
    ]


def test_a_run_that_went_on_in_memory_and_a_restarted_one_end_in_the_same_pixels_too():
    engine = Faulty("image", [FIRST_STEP + 2])
    states, whole = [], []
    for event in planned(settings(scales=1), engine=engine).events():
        whole.append(event)
        if isinstance(event, Stepped) and event.state is not None:
            states.append(event.state())
    assert [state.restarts for state in states] == [0, 0, 1, 1, 1, 1]
    for state in states[2:]:
        assert torch.equal(resumed(state, scales=1)[-1].picture, whole[-1].picture)


def test_the_state_after_the_end_is_small_and_leads_to_the_same_end():
    *events, last = planned(settings()).events()
    state = [event.state() for event in events if isinstance(event, Stepped) and event.state is not None][-1]
    assert len({id(tensor) for _, tensor in tensors_of(state.as_tree())}) <= 2
    again = resumed(state)
    assert [type(event).__name__ for event in again] == ["Started", "EpochDone", "ScaleDone", "Finished"]
    assert torch.equal(again[-1].picture, last.picture)


def test_seconds_go_on_where_they_were_saved():
    state = next(e.state() for e in paint() if isinstance(e, Stepped) and e.step == 6)
    late = replace(state, seconds=1000.0)
    assert resumed(late)[-1].seconds > 1000


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"size": 80}, r"canvas of 64×48 px at scale 2, which this run doesn't have"),
        ({"scales": 1}, r"canvas of 64×48 px at scale 2, which this run doesn't have"),
        ({"steps_per_epoch": 2}, r"of step 6, which isn't one of scale 2 in this run"),
    ],
)
def test_the_state_of_another_run_is_refused_in_a_sentence(change, fault):
    state = [e.state() for e in paint() if isinstance(e, Stepped)][-1]
    with pytest.raises(SettingsError, match=fault):
        resumed(state, **change)


def test_the_content_enlarged_with_its_detail_is_the_content():
    coarse = resize(CONTENT, (24, 32))
    found = {share: planned(settings(detail=share)).problem.enlarged(coarse, (48, 64)) for share in (0.0, 0.5, 1.0)}
    torch.testing.assert_close(found[0.0], enlarge(coarse, (48, 64)))
    torch.testing.assert_close(found[1.0], CONTENT)
    torch.testing.assert_close(found[0.5], (found[0.0] + CONTENT) / 2)
    assert (found[0.0] - CONTENT).abs().max() > 0.05


def test_a_run_that_left_layers_out_still_ends_with_the_loss_of_all():
    chosen = {"objective": "gatys", "content_weight": 1e-6, "scales": 1, "negligible": 0.5}
    found = paint(**chosen)[-1]
    whole = objective(settings(**chosen)).evaluate(found.picture)
    assert found.loss == pytest.approx(whole.loss, rel=1e-6)
    assert found.parts == pytest.approx(whole.parts, rel=1e-5)


def test_closing_the_generator_stops_the_run():
    run = planned(settings()).events()
    next(run)
    next(run)
    run.close()
    assert list(run) == []
