from collections.abc import Container
from dataclasses import replace

import pytest
import torch

from conftest import scene, tiny_weights
from impasto import checkpoint, memory
from impasto.checkpoint import Checkpoint, RunState
from impasto.errors import DivergedError, SettingsError
from impasto.events import EpochDone, Finished, Restarted, ScaleDone, Started, Stepped
from impasto.recipe import Ingredient, Recipe
from impasto.settings import Pooling, Settings
from impasto.stylizer import Stylizer, first_canvas, plan_scales
from impasto.vgg import VGG19

PHOTO, PAINTING = scene(48, 64, seed=1, dtype=torch.float32), scene(70, 50, seed=2, dtype=torch.float32)
RECIPE = Recipe("0", {}, Ingredient("photo", None, "0"), (), None, "0", "2", 1, "here")


def network(pooling: Pooling = Pooling.MAX) -> VGG19:
    return VGG19(tiny_weights(dtype=torch.float32), pooling=pooling)


def settings(**changes) -> Settings:
    return Settings(**{"size": 64, "epochs": 2, "steps_per_epoch": 3, "scales": 2, "device": "cpu", **changes})


def paint(styles=(PAINTING,), start=None, **changes) -> list:
    chosen = settings(**changes)
    return list(Stylizer(chosen, network=network(chosen.pooling)).paint(PHOTO, styles, start))


def result(*args, **changes) -> torch.Tensor:
    return paint(*args, **changes)[-1].picture


def test_a_run_tells_its_plan_each_step_each_epoch_each_scale_and_its_end_in_order():
    events = paint()
    assert [type(e).__name__ for e in events] == [
        "Started", *["Stepped"] * 3, "EpochDone", "Stepped", "ScaleDone", *["Stepped"] * 2, "EpochDone", "ScaleDone",
        "Finished",
    ]  # fmt: skip
    started = events[0]
    assert isinstance(started, Started)
    assert started.scales == ((24, 32), (48, 64))
    assert started.steps == (4, 2)
    assert [e.step for e in events if isinstance(e, Stepped)] == [1, 2, 3, 4, 5, 6]
    assert [e.epoch for e in events if isinstance(e, Stepped)] == [1, 1, 1, 2, 2, 2]
    assert [e.scale for e in events if isinstance(e, Stepped)] == [1, 1, 1, 1, 2, 2]


def test_pictures_in_events_are_valid_have_their_scales_size_and_belong_to_the_event():
    pictures = {}
    for event in Stylizer(settings(), network=network()).paint(PHOTO, [PAINTING]):
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
    again = Stylizer(settings(scales=1, init="content"), network=network())
    objective = again._objective(PHOTO, [PAINTING], (48, 64), None, share_of_pixels=1)
    assert objective.evaluate(finished.picture).loss == pytest.approx(finished.loss, rel=1e-5)
    assert finished.loss < 0.7 * next(e.loss for e in events if isinstance(e, Stepped))


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
        {"content_weight": 5.0},
        {"style_weight": 0.01},
        {"content_layers": ("relu3_1",)},
        {"content_layers": ("relu4_2", "relu2_1"), "content_layer_weights": (1.0, 9.0)},
        {"style_layers": ("relu1_1", "relu2_1")},
        {"layer_weights": (5.0, 1.0, 1.0, 1.0, 0.0)},
        {"tv_weight": 1.0},
        {"pooling": "average"},
        {"optimizer": "adam"},
        {"optimizer": "adam", "learning_rate": 0.1},
        {"epochs": 3},
        {"steps_per_epoch": 5},
        {"scales": 1},
        {"history": 1},
        {"init": "noise"},
        {"init": "style"},
    ],
    ids=str,
)
def test_every_knob_changes_the_picture(change):
    reference = result(optimizer="adam") if "learning_rate" in change else result()
    other = result(**change)
    assert other.shape != reference.shape or (other - reference).abs().max() > 1 / 255


def test_a_tiled_step_gives_the_whole_pictures_within_float_noise():
    whole, tiled = (result(size=192, scales=1, epochs=1, steps_per_epoch=1, tile=tile) for tile in (0, 64))
    assert (whole - tiled).abs().max() < 1e-4


def test_a_small_memory_budget_cuts_the_picture_into_tiles_and_says_so():
    held = memory.resident_memory() / memory.MEGABYTE
    events = paint(size=640, scales=1, epochs=1, steps_per_epoch=1, max_memory=f"{held + 600:.0f}MB")
    assert events[0].tile is not None
    assert events[0].tile < 640
    assert paint(size=64)[0].tile is None


def test_more_content_weight_stays_nearer_to_the_photo_and_more_style_weight_leaves_it():
    def distance(**change) -> float:
        return (result(epochs=6, **change) - PHOTO).square().mean().item()

    assert distance(content_weight=20.0) < distance() < distance(style_weight=20.0)


def test_total_variation_makes_the_picture_smoother():
    def roughness(**change) -> float:
        return result(epochs=6, **change).diff(dim=3).square().mean().item()

    assert roughness(tv_weight=1.0) < 0.8 * roughness()


def test_style_weights_shift_the_picture_from_one_painting_to_the_other():
    dark, light = PAINTING * 0.3, 1 - PAINTING * 0.3
    mostly_dark = result((dark, light), style_weights=(9.0, 1.0), content_weight=0.0, epochs=5)
    mostly_light = result((dark, light), style_weights=(1.0, 9.0), content_weight=0.0, epochs=5)
    assert mostly_dark.mean() < mostly_light.mean() - 0.02


def test_each_start_is_what_its_name_says():
    chosen = {name: settings(init=name) for name in ("content", "noise", "style")}
    colours = torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1)
    painting = (colours + 0.05 * torch.randn(PAINTING.shape, generator=torch.Generator().manual_seed(3))).clamp(0, 1)
    starts = {name: first_canvas(s, PHOTO, painting) for name, s in chosen.items()}
    assert torch.equal(starts["content"], PHOTO)
    assert starts["noise"].mean().item() == pytest.approx(0.5, abs=0.02)
    assert starts["noise"].std().item() == pytest.approx(0.2, abs=0.02)
    torch.testing.assert_close(starts["style"].mean((2, 3)), colours.view(1, 3), atol=0.01, rtol=0)
    assert starts["style"].std((2, 3)).mean().item() == pytest.approx(0.05, abs=0.01)
    image = scene(30, 40, seed=9, dtype=torch.float32)
    assert first_canvas(settings(init="a.png"), PHOTO, painting, image).shape == PHOTO.shape


def test_a_run_starts_from_the_image_it_is_given():
    bright = torch.full((1, 3, 20, 30), 0.9)
    chosen = settings(init="bright.png", optimizer="gd", epochs=1, steps_per_epoch=1, scales=1)
    events = list(Stylizer(chosen, network=network()).paint(PHOTO, [PAINTING], bright))
    assert events[-1].picture.mean() > 0.8


class Faulty(VGG19):
    """Puts NaN or ∞ into the image, a feature or the gradient at some of its calls, counted from 1."""

    def __init__(self, where: str, calls: Container[int]) -> None:
        super().__init__(tiny_weights(dtype=torch.float32))
        self.where, self.faulty, self.count = where, calls, 0

    def features(self, image, layers):
        self.count += 1
        if self.count not in self.faulty:
            return super().features(image, layers)
        if self.where == "image":
            image = image * float("nan")
        if self.where == "gradient" and image.requires_grad:
            image.register_hook(lambda g: g * float("inf"))
        found = super().features(image, layers)
        return {name: f * float("nan") for name, f in found.items()} if self.where == "features" else found


FIRST_STEP = 5
"""The call for the first step: two measure the speed, two the targets."""


@pytest.mark.parametrize("where", ["image", "features", "gradient"])
@pytest.mark.parametrize("optimizer", ["gd", "adam", "lbfgs"])
def test_values_that_are_not_finite_for_good_stop_the_run_with_the_last_good_picture(where, optimizer):
    engine = Faulty(where, range(FIRST_STEP + 5, 1000))
    seen = []
    with pytest.raises(
        DivergedError, match=r"stopped being finite, also with shorter steps.*last good picture"
    ) as error:
        seen.extend(Stylizer(settings(optimizer=optimizer, scales=1), network=engine).paint(PHOTO, [PAINTING]))
    picture = error.value.picture
    assert isinstance(picture, torch.Tensor)
    assert picture.isfinite().all()
    assert picture.std() > 0.05
    steps = [e for e in seen if isinstance(e, Stepped)]
    assert len(steps) >= 3
    assert [e.times for e in seen if isinstance(e, Restarted)] == [1, 2, 3]
    objective = Stylizer(settings(scales=1), network=network())._objective(
        PHOTO, [PAINTING], (48, 64), None, share_of_pixels=1
    )
    assert objective.evaluate(picture).loss <= min(step.loss for step in steps) * 1.0001


@pytest.mark.parametrize("where", ["image", "features", "gradient"])
@pytest.mark.parametrize("optimizer", ["gd", "adam", "lbfgs"])
@pytest.mark.parametrize("step", [0, 4])
def test_values_that_are_not_finite_once_cost_a_restart_with_shorter_steps_and_not_the_run(where, optimizer, step):
    engine = Faulty(where, [FIRST_STEP + step])
    events = list(Stylizer(settings(optimizer=optimizer, scales=1), network=engine).paint(PHOTO, [PAINTING]))
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
        seen.extend(Stylizer(settings(scales=1, epochs=9), network=engine).paint(PHOTO, [PAINTING]))
    assert [e.times for e in seen if isinstance(e, Restarted)] == [1, 2, 3]


def test_a_canvas_that_is_not_finite_is_never_shown():
    class Huge(VGG19):
        """Gradients so large that Adam's second moment overflows: two steps later its canvas would be NaN."""

        def features(self, image, layers):
            if image.requires_grad:
                image.register_hook(lambda g: torch.full_like(g, 1e30))
            return super().features(image, layers)

    stylizer = Stylizer(settings(optimizer="adam", scales=1), network=Huge(tiny_weights(dtype=torch.float32)))
    seen = []
    with pytest.raises(DivergedError) as error:
        seen.extend(event.picture() for event in stylizer.paint(PHOTO, [PAINTING]) if isinstance(event, Stepped))
    assert len(seen) >= 2
    assert all(picture.isfinite().all() for picture in [*seen, error.value.picture])


def resumed(state: RunState, **changes) -> list:
    return list(Stylizer(settings(**changes), network=network()).paint(PHOTO, [PAINTING], resume=state))


WAYS = [
    *({"optimizer": optimizer} for optimizer in ("gd", "adam", "lbfgs")),
    *({"optimizer": optimizer, "size": 96, "tile": 64, "init": "noise"} for optimizer in ("gd", "adam", "lbfgs")),
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_run_goes_on_from_any_saved_step_to_the_same_pixels_to_the_bit(way, tmp_path):
    whole = []
    for event in Stylizer(settings(**way), network=network()).paint(PHOTO, [PAINTING]):
        whole.append(event)
        if isinstance(event, Stepped):
            assert event.state is not None
            checkpoint.write(tmp_path / str(event.step), Checkpoint(RECIPE, event.state(), {}, {}))
    assert [event.tile for event in whole if isinstance(event, Started)] == [64 if "tile" in way else None]
    for step in range(1, 7):
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
    for event in Stylizer(settings(scales=1), network=engine).paint(PHOTO, [PAINTING]):
        whole.append(event)
        if isinstance(event, Stepped) and event.state is not None:
            states.append(event.state())
    assert [state.restarts for state in states] == [0, 0, 1, 1, 1, 1]
    for state in states[2:]:
        assert torch.equal(resumed(state, scales=1)[-1].picture, whole[-1].picture)


def test_the_state_after_the_end_is_small_and_leads_to_the_same_end():
    *events, last = Stylizer(settings(), network=network()).paint(PHOTO, [PAINTING])
    state = [event.state() for event in events if isinstance(event, Stepped) and event.state is not None][-1]
    assert len({id(tensor) for _, tensor in checkpoint.tensors_of(vars(state))}) <= 2
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


def test_scales_double_up_to_the_size_and_share_the_steps():
    plan = plan_scales(Settings(size=512, epochs=10, steps_per_epoch=30), (384, 512))
    assert [s.size for s in plan] == [(96, 128), (192, 256), (384, 512)]
    assert sum(s.steps for s in plan) == 300
    assert plan[0].steps > plan[1].steps > plan[2].steps


def test_automatic_scales_never_make_a_picture_too_small_for_its_layers():
    assert [s.size for s in plan_scales(Settings(size=1024), (100, 1024))] == [(25, 256), (50, 512), (100, 1024)]
    assert len(plan_scales(Settings(size=100), (100, 100))) == 1
    assert len(plan_scales(Settings(size=1024, epochs=1, steps_per_epoch=2), (1024, 1024))) == 2


@pytest.mark.parametrize(
    ("change", "size", "sentence"),
    [
        ({"size": 16}, (12, 16), "--size is 16, which makes the picture 16×12 px, but the layers need at least 16"),
        ({"scales": 4}, (48, 64), "--scales is 4, which makes the coarsest picture 8×6 px"),
        ({"scales": 2, "epochs": 1, "steps_per_epoch": 1}, (48, 64), "--scales is 2 but the run has 1 steps"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_a_sentence(change, size, sentence):
    with pytest.raises(SettingsError, match=sentence):
        plan_scales(settings(**change), size)


def test_closing_the_generator_stops_the_run():
    run = Stylizer(settings(), network=network()).paint(PHOTO, [PAINTING])
    next(run)
    next(run)
    run.close()
    assert list(run) == []
