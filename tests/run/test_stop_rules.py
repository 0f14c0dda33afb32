"""Scales that end early, as their steps gain too little or the time is over, and runs that repeat them or go on."""

from __future__ import annotations

import functools
import itertools
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import PIL.Image
import pytest
import torch

from helpers import PlannedRun, smooth_image, tiny_weights
from impasto.cli import main
from impasto.errors import ImpastoError, SettingsError
from impasto.images import reading
from impasto.images.writing import to_pil
from impasto.jobs import checkpoint, sweep
from impasto.jobs.checked_state import checked_state
from impasto.jobs.checkpoint import Checkpoint
from impasto.jobs.recipe import InputFile, Recipe
from impasto.jobs.rerun import from_recipe
from impasto.jobs.stylization import Stylization
from impasto.jobs.sweep import Sweep
from impasto.jobs.texture import Texture
from impasto.network import weights
from impasto.network.vgg import VGG19
from impasto.run import plan, stylizer
from impasto.run.events import EpochDone, Finished, ScaleDone, Stepped
from impasto.run.state import RunState, map_leaves
from impasto.run.stop_rules import StopReason, StopRules, deadlines, recent
from impasto.settings import grid
from impasto.settings.settings import Settings

CONTENT, STYLE = smooth_image(48, 64, seed=1, dtype=torch.float32), smooth_image(70, 50, seed=2, dtype=torch.float32)
RECIPE = Recipe("0", {}, InputFile("content", None, "0"), (), None, "0", "2", 1, "here")
NETWORK = VGG19(tiny_weights(dtype=torch.float32))
SHALLOW = {"style_layers": ("relu1_1", "relu2_1"), "content_layers": ("relu2_2",)}
LESS = {"lbfgs": 0.05, "adam": 0.02, "gd": 0.04}
"""Gains below which the steps of these small runs get after a while."""


def settings(**changes) -> Settings:
    return Settings(
        **{"size": 32, "epochs": 10, "steps_per_epoch": 8, "scales": 2, "device": "cpu"} | SHALLOW | changes
    )


def paint(*, resume: RunState | None = None, **changes) -> list:
    return list(PlannedRun(settings(**changes), NETWORK, CONTENT, [STYLE]).events(resume))


def of(kind, events) -> list:
    return [event for event in events if isinstance(event, kind)]


@functools.cache
def ended_early(optimizer: str, scales: int = 2) -> list:
    """The events of a run that ends early, painted once."""
    return paint(optimizer=optimizer, scales=scales, stop_gain=LESS[optimizer])


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "gd"])
def test_a_scale_ends_where_the_best_of_ten_steps_gains_less_than_the_share_on_the_ten_before_and_says_so(optimizer):
    events, share = ended_early(optimizer), LESS[optimizer]
    ended = of(ScaleDone, events)
    assert [(done.scale, done.planned) for done in ended] == [(1, 46), (2, 34)]
    assert ended[0].ended_by is StopReason.GAIN
    for done in ended:
        losses = [event.loss for event in of(Stepped, events) if event.scale == done.scale]
        best = {n: (min(losses[n - 20 : n - 10]), min(losses[n - 10 : n])) for n in range(21, len(losses) + 1)}
        small = [n for n, (before, now) in best.items() if (before - now) / 10 <= share * before]
        assert small in ([], [done.steps])
        assert done.steps == len(losses) == min([*small, done.planned])
        assert (done.ended_by is None) == (done.steps == done.planned)
    taken = [done.steps for done in ended]
    assert events[-1].steps == sum(taken) < 80
    assert [event.step for event in of(Stepped, events)] == list(range(1, sum(taken) + 1))
    assert of(Stepped, events)[-1].taken == tuple(taken)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "gd"])
def test_a_run_that_ended_early_is_the_run_of_as_many_steps(optimizer):
    early = ended_early(optimizer, scales=1)
    steps = early[-1].steps
    assert 21 <= steps < 80
    usual = paint(optimizer=optimizer, scales=1, epochs=1, steps_per_epoch=steps)
    assert torch.equal(early[-1].picture, usual[-1].picture)
    assert early[-1].loss == usual[-1].loss


def test_the_rules_to_the_last_step_and_second():
    """Gains of 1/80 of the loss a step, 1/8 over ten; all numbers here are exact."""
    gain, time = StopRules(gain=0.0125), StopRules(deadlines=(10.0, 20.0))
    assert gain.reason(1, [2.0, *[1.0] * 10, *[0.875] * 10], 0, 0) is StopReason.GAIN
    assert gain.reason(1, [2.0, *[1.0] * 10, *[0.875] * 9, 0.874], 0, 0) is None
    assert gain.reason(1, [0.5, *[1.0] * 10, *[0.8] * 10], 0, 0) is None
    assert gain.reason(1, [2.0, *[1.0] * 9, 9.0, 9.0, *[0.9] * 9], 0, 0) is StopReason.GAIN
    assert gain.reason(1, [2.0, 0.9, *[1.0] * 9, *[0.8] * 10], 0, 0) is StopReason.GAIN
    assert gain.reason(1, [2.0, 1.0, *[1.1] * 9, 0.8, *[1.1] * 9], 0, 0) is None
    assert gain.reason(1, [1.0] * 20, 0, 0) is None
    assert gain.reason(1, [0.0] * 21, 0, 0) is StopReason.GAIN
    assert StopRules().reason(1, [1.0] * 21, 1e9, 1.0) is None
    assert recent([*range(21)], 21) == tuple(range(1, 22))
    assert [time.reason(1, [1.0], seconds, 1.0) for seconds in (8.0, 8.5)] == [None, StopReason.TIME]
    assert [time.reason(2, [1.0], seconds, 1.0) for seconds in (18.0, 18.5)] == [None, StopReason.TIME]
    assert time.reason(1, [], 99.0, 1.0) is None
    assert deadlines(10.0, [1.0, 3.0]) == (2.5, 10.0)


def test_an_optimiser_that_first_leads_far_up_has_time_to_come_down():
    """Adam with steps of a fifth of the pixel range."""
    events = paint(optimizer="adam", learning_rate=0.2, stop_gain=0.001, scales=1, epochs=3)
    losses = [event.loss for event in of(Stepped, events)]
    assert 10 * losses[0] < losses[1]
    assert losses[0] < min(losses[1:21])
    assert len(losses) == 24


def test_every_epoch_ends_those_that_were_skipped_with_the_picture_that_their_scale_came_to():
    events = ended_early("lbfgs")
    assert [event.epoch for event in of(EpochDone, events)] == list(range(1, 11))
    last = events.index(of(ScaleDone, events)[0])
    skipped = list(itertools.takewhile(lambda event: not isinstance(event, Stepped), events[:last][::-1]))
    assert len(skipped) >= 2
    assert all(torch.equal(event.picture, events[last].picture) for event in skipped)
    epochs = [event.epoch for event in of(Stepped, events)]
    assert epochs == sorted(epochs)
    assert of(Stepped, events)[events[last].steps].epoch == 6  # the first of the second scale is step 47 of the plan


def saved(folder: Path, steps: Sequence[int], **changes) -> None:
    """Paints up to the last of some steps, and saves the state after each."""
    for event in PlannedRun(settings(**changes), NETWORK, CONTENT, [STYLE]).events():
        if isinstance(event, Stepped) and event.step in steps:
            checkpoint.write(folder / str(event.step), Checkpoint(RECIPE, event.state(), {}, {}))
            if event.step == steps[-1]:
                return


@pytest.mark.parametrize(
    "optimizer", ["lbfgs", *(pytest.param(name, marks=pytest.mark.slow) for name in ("adam", "gd"))]
)
def test_a_run_that_goes_on_ends_its_scales_where_it_would_have_anyway_to_the_bit(optimizer, tmp_path):
    knobs = {"optimizer": optimizer, "stop_gain": LESS[optimizer]}
    whole = ended_early(optimizer)
    first = of(ScaleDone, whole)[0].steps
    assert first < 50
    steps = (12, first - 1, first, first + 1, whole[-1].steps)
    saved(tmp_path, steps, **knobs)
    for step in steps:
        resumed = paint(resume=checkpoint.read(tmp_path / str(step)).state, **knobs)
        assert torch.equal(resumed[-1].picture, whole[-1].picture), step
        assert resumed[-1].steps == whole[-1].steps
        begun = next(n for n, event in enumerate(whole) if isinstance(event, Stepped) and event.step == step)
        after = [event.epoch for event in of(EpochDone, whole[begun:])]
        assert [event.epoch for event in of(EpochDone, resumed)] == after


SMALL = {"epochs": 2, "steps_per_epoch": 4}
"""A run of 5 steps and 3."""


def state_of_step_7(folder: Path) -> Checkpoint:
    saved(folder, [7], **SMALL)
    return checkpoint.read(folder / "7")


def test_a_state_from_before_there_were_stop_rules_goes_on(tmp_path):
    found = state_of_step_7(tmp_path)
    tree = {name: value for name, value in found.state.as_tree().items() if name not in ("taken", "losses")}
    old = checked_state(map_leaves(tree, lambda leaf: leaf))
    assert torch.equal(paint(resume=old, **SMALL)[-1].picture, paint(**SMALL)[-1].picture)


@pytest.mark.parametrize("odd", [(6,), (0,), (), (5, 1), (1,)], ids=str)
def test_a_state_of_steps_that_the_run_does_not_have_is_refused(odd, tmp_path):
    state = state_of_step_7(tmp_path).state
    with pytest.raises(SettingsError, match="state is of step 7"):
        paint(resume=replace(state, taken=odd), **SMALL)


@pytest.mark.parametrize("odd", [{"losses": (float("nan"),)}, {"losses": ("1",)}, {"taken": ("5",)}], ids=str)
def test_an_odd_state_of_the_rules_is_refused_when_it_is_read(odd, tmp_path):
    found = state_of_step_7(tmp_path)
    checkpoint.write(tmp_path / "odd", replace(found, state=replace(found.state, **odd)))
    with pytest.raises(ImpastoError, match="can't be read"):
        checkpoint.read(tmp_path / "odd")


def test_what_was_changed_on_the_way_has_steps_of_its_own():
    usual = ended_early("lbfgs", scales=1)[-1].steps
    run = PlannedRun(settings(scales=1, stop_gain=LESS["lbfgs"]), NETWORK, CONTENT, [STYLE])
    for event in run.events():
        if isinstance(event, Stepped) and event.step == usual:  # after which it would end
            run.change(strength=0.9)
    assert event.steps >= usual + 21


# Time. A clock that the tests move, and a network whose speed they say.


@pytest.fixture
def clock(monkeypatch):
    """A clock that a run reads, `step` seconds later each time."""
    found = SimpleNamespace(now=0.0, step=0.0)

    def read() -> float:
        found.now += found.step
        return found.now

    monkeypatch.setattr(stylizer, "time", SimpleNamespace(perf_counter=read))
    for module in (plan, sweep):
        monkeypatch.setattr(module, "measure_speed", lambda *_: 1e-5)
    return found


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a photo and a painting, and a network that runs in milliseconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    for name, image in (("photo", CONTENT), ("brush", STYLE)):
        to_pil(image).save(f"{name}.png")


def planned(**changes) -> plan.RunPlan:
    return Stylization("photo.png", ["brush.png"], settings(**changes)).plan


@pytest.mark.usefixtures("files", "clock")
def test_as_many_steps_are_planned_as_get_done_by_the_time_and_each_scale_has_some():
    whole = planned()
    assert planned(until=2 * whole.seconds).steps == whole.steps
    some = planned(until=whole.seconds / 2)
    assert len(some.steps) == 2
    assert all(0 < fewer < all_ for fewer, all_ in zip(some.steps, whole.steps, strict=True))
    assert 0.9 < some.seconds / (whole.seconds / 2) <= 1
    assert some.steps[0] / some.steps[1] == pytest.approx(whole.steps[0] / whole.steps[1], rel=0.3)
    least = planned(epochs=1, steps_per_epoch=2)
    assert least.steps == planned(until=1.0001 * least.seconds).steps == (1, 1)
    with pytest.raises(
        SettingsError, match=r"^until is .* s, but a step at each of 2 scales takes about .* s: give it"
    ):
        planned(until=0.9 * least.seconds)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("seconds", [0.5, 1.0, 30.0])
def test_a_run_that_is_slower_than_it_was_planned_ends_in_time_with_every_scale_done(seconds, clock):
    until = planned().seconds
    job = Stylization("photo.png", ["brush.png"], settings(until=until))
    clock.step = until / 80 * seconds  # several readings a step
    events = list(job.events())
    ended = of(ScaleDone, events)
    assert [done.scale for done in ended] == [1, 2]
    assert ended[0].ended_by is StopReason.TIME
    assert all((done.ended_by is None) == (done.steps == done.planned) for done in ended)
    assert events[-1].picture.shape[-2:] == (24, 32)
    assert [event.epoch for event in of(EpochDone, events)] == list(range(1, 11))
    if seconds == 30:
        assert [done.steps for done in ended] == [1, 1]
    else:
        assert all(done.steps > 1 for done in ended)
        assert 0.5 * until < events[-1].seconds < 1.1 * until


IN_20_SECONDS = [
    "paint", "photo.png", "brush.png", "-o", "a.png", "--json", "--size", "32", "--scales", "2", "--until", "20",
    "--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_2", "--device", "cpu",
]  # fmt: skip


@pytest.mark.usefixtures("files")
def test_a_picture_made_in_a_time_is_painted_again_to_the_bit_whatever_the_clock_says(clock, capsys):
    clock.step = 0.2
    assert main([*IN_20_SECONDS, "--snapshots", "1,5,10"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [Path(path).exists() for path in told["snapshots"]] == [True] * 3
    assert 2 < told["steps"] == sum(scale["steps"] for scale in told["scales"]) < 140
    assert sum(scale["planned"] for scale in told["scales"]) == 140
    assert main(["inspect", "a.png"]) == 0
    shown = ", ".join(f"{scale['steps']} of {scale['planned']}" for scale in told["scales"])
    assert f"steps        {shown}" in capsys.readouterr().out.splitlines()
    for step in (0.0, 500.0):
        clock.step = step
        assert main(["rerun", "a.png", "-o", "b.png", "--overwrite"]) == 0
        first = told["scales"][0]
        line = f"scale 1/2 ended after {first['steps']} of {first['planned']} steps: as many as then"
        assert line in capsys.readouterr().err.splitlines()
        assert pixels("b.png") == pixels("a.png")
        assert reading.read_note("b.png") == reading.read_note("a.png")
    assert main([*IN_20_SECONDS, "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"] is True


def pixels(name: str) -> bytes:
    with PIL.Image.open(name) as image:
        return image.tobytes()


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    "again", [["resume", "a.png.run"], pytest.param(None, marks=pytest.mark.slow)], ids=["resume", "paint --resume"]
)
def test_an_interrupted_run_keeps_its_plan_and_its_seconds(again, clock, monkeypatch, capsys):
    clock.step = 0.1
    events = Stylization.events

    def interrupted(self, *state):
        for event in events(self, *state):
            if isinstance(event, Stepped) and event.step == 10:
                os.kill(os.getpid(), signal.SIGTERM)
            yield event

    with monkeypatch.context() as patch:
        patch.setattr(Stylization, "events", interrupted)
        assert main(IN_20_SECONDS) == 143
    before = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(plan, "measure_speed", lambda *_: 1.0)  # of a machine on which nothing would get done
    clock.now = 10_000.0
    assert main([*(again or [*IN_20_SECONDS, "--resume"]), *([] if again is None else ["--json"])]) == 0
    after = json.loads(capsys.readouterr().out)
    assert [scale["planned"] for scale in after["scales"]] == [scale["planned"] for scale in before["scales"]]
    assert before["steps"] < after["steps"] < 140
    assert before["seconds"] < after["seconds"] < 21
    assert main(["rerun", "a.png", "-o", "b.png"]) == 0
    assert pixels("b.png") == pixels("a.png")


@pytest.mark.usefixtures("files", "clock")
@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ({"planned": [40, 200]}, "^The steps 40, 200 aren't those of a run with 2 scales and 80 steps: use another"),
        ({"planned": [50]}, "^The steps 50 aren't those of a run with 2 scales and 80 steps: use another"),
        ({"planned": [50, 30], "taken": [51, 1]}, "isn't as impasto writes them, at 'steps'"),
        ({"planned": [50, 30], "taken": [3]}, "isn't as impasto writes them, at 'steps'"),
        ({"planned": [50, 0]}, "isn't as impasto writes them, at 'steps"),
        ({"taken": [3, 3]}, "isn't as impasto writes them, at 'steps'"),
    ],
    ids=str,
)
def test_a_recipe_of_steps_that_its_run_does_not_have_is_refused(steps, sentence):
    whole = json.loads(Stylization("photo.png", ["brush.png"], settings()).recipe().to_json())
    note = {"impasto": whole["impasto"] | {"steps": steps}}
    with pytest.raises(ImpastoError, match=sentence):
        from_recipe(Recipe.from_json(json.dumps(note), "it"))


@pytest.mark.usefixtures("files", "clock")
def test_the_finished_recipe_says_how_many_steps_were_taken():
    job = Stylization("photo.png", ["brush.png"], settings(stop_gain=0.05))
    assert job.recipe().steps.taken == ()
    *_, last = job.events()
    assert sum(job.recipe().steps.taken) == last.steps < sum(job.recipe().steps.planned) == 80


@pytest.mark.usefixtures("files")
def test_a_texture_ends_early_and_in_time_too(clock):
    chosen = settings(stop_gain=0.4, scales=1)
    events = list(Texture("brush.png", (32, 24), chosen).events())
    assert isinstance(events[-1], Finished)
    assert events[-1].steps < 80
    whole = Texture("brush.png", (32, 24), settings()).plan
    short = Texture("brush.png", (32, 24), settings(until=whole.seconds / 2)).plan
    assert short.seconds <= whole.seconds / 2
    assert 2 <= short.total_steps < 80


@pytest.mark.usefixtures("files", "clock")
def test_each_picture_of_a_sweep_has_its_time():
    whole = planned().seconds
    axis = grid.parse_axis(f"until={whole / 4},{whole / 2}")
    varied = Sweep("photo.png", ["brush.png"], grid.cells([axis], lambda changes: settings(**changes)))
    shares = [stylization.plan.seconds / whole for stylization in varied.stylizations]
    assert 0.2 < shares[0] <= 0.25 < 0.45 < shares[1] <= 0.5
