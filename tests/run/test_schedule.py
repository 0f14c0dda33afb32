"""Knobs that change while a run goes on: the rest of it, a resumed one and a repeated one are the same to the bit."""

import functools
from dataclasses import replace

import pytest
import torch
from test_stylizer import CONTENT, FIRST_STEP, RECIPE, Faulty, is_up_to, planned, settings, told

from helpers import PlannedRun
from impasto.errors import SettingsError
from impasto.images.colour import oklab
from impasto.jobs import checkpoint
from impasto.jobs.checkpoint import Checkpoint
from impasto.objective.stylization import MeasuredTargets
from impasto.run.events import EpochDone, Finished, Restarted, ScaleDone, Started, Stepped
from impasto.settings.schedule import Schedule, ScheduledChange
from impasto.settings.settings import Settings

CHANGES = [
    {"strength": 0.9},
    {"layer_weights": [5.0, 1.0, 1.0, 0.0], "content_weight": 3.0, "tv_weight": 0.1},
    {"color": "keep"},
    {"color": "match", "style_weight": 0.3},
    {"color": "tint"},
]


def run(planned: PlannedRun, when, path=None, **ways) -> list:
    """The events of a run in which `when(event)` gives the knobs to change; with a path, its states step by step."""
    events = []
    for event in planned.events(**ways):
        events.append(event)
        if knobs := when(event):
            planned.change(**knobs)
        if path is not None and isinstance(event, Stepped) and event.state is not None:
            checkpoint.write(path / str(event.step), Checkpoint(RECIPE, event.state(), {}, {}))
    return events


def at_step(step: int, knobs: dict):
    return lambda event: knobs if isinstance(event, Stepped) and event.step == step else None


def new_run(schedule=(), **changes) -> PlannedRun:
    return planned(settings(**changes), schedule=schedule)


# The record


def test_what_is_asked_for_holds_from_the_next_step_on_and_is_noted_as_json_has_it():
    schedule = Schedule(Settings())
    schedule.request({"strength": 0.7})
    schedule.request({"color": "keep", "layer_weights": (1, 2, 3, 4)})
    assert schedule.settings == Settings()
    assert schedule.apply(3)
    assert not schedule.apply(4)
    assert schedule.settings == Settings(strength=0.7, color="keep", layer_weights=(1, 2, 3, 4))
    knobs = {"strength": 0.7, "color": "keep", "layer_weights": [1.0, 2.0, 3.0, 4.0]}
    assert schedule.changes == schedule.all_changes == (ScheduledChange(3, knobs),)


def test_what_was_changed_back_before_the_next_step_was_not_changed():
    schedule = Schedule(Settings())
    schedule.request({"strength": 0.7})
    schedule.request({"strength": 0.5})
    assert not schedule.apply(3)
    assert schedule.all_changes == ()


def test_a_record_goes_on_with_what_was_done_and_waits_with_what_was_asked_for_and_planned():
    first = Schedule(Settings(), [ScheduledChange(9, {"tv_weight": 0.5}), ScheduledChange(2, {"strength": 0.1})])
    assert [first.apply(step) for step in (0, 1, 2)] == [False, False, True]
    first.request({"content_weight": 4.0})
    record = first.record(5)
    assert [change.after for change in record] == [2, 5, 9]
    again = Schedule(Settings(), record, now=5)
    assert again.settings == first.settings == Settings(strength=0.1)
    assert [again.apply(step) for step in (5, 6, 9)] == [True, False, True]
    assert again.settings == Settings(strength=0.1, content_weight=4.0, tv_weight=0.5)
    assert again.all_changes == record


@pytest.mark.parametrize("plan", [{"size": 64}, {"strength": 2}, {"layer_weights": [1.0]}])
def test_a_record_with_what_is_not_allowed_is_refused_before_the_run(plan):
    with pytest.raises(SettingsError, match=r"size can.t be changed|strength is 2|layer_weights has 1 values"):
        Schedule(Settings(), [ScheduledChange(2, {"tv_weight": 1.0}), ScheduledChange(4, plan)])


@pytest.mark.parametrize(("after", "knobs"), [(-1, {}), ("2", {}), (2, ["strength"]), (None, {})])
def test_what_is_no_record_is_none(after, knobs):
    with pytest.raises(ValueError, match="can't be changed after"):
        ScheduledChange(after, knobs)


# Runs


@functools.cache
def unchanged(optimizer: str) -> torch.Tensor:
    return run(new_run(optimizer=optimizer, size=64), lambda event: None)[-1].picture


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    ("optimizer", "knobs", "step"),
    [
        *(("lbfgs", knobs, 2 + 2 * (at % 2)) for at, knobs in enumerate(CHANGES)),
        *((optimizer, CHANGES[at], 2 * at) for optimizer in ("gd", "adam") for at in (1, 2)),
    ],
    ids=str,
)
def test_a_run_with_a_change_goes_on_from_any_saved_step_to_the_same_pixels_to_the_bit(
    optimizer, knobs, step, tmp_path
):
    """Step 4 is the first scale's last: what is asked for then holds from the next scale on."""
    way = {"optimizer": optimizer, "size": 64}
    whole = run(new_run(**way), at_step(step, knobs), tmp_path)
    assert not torch.equal(whole[-1].picture, unchanged(optimizer))
    for saved in (step, step + 1):
        state = checkpoint.read(tmp_path / str(saved)).state
        events = run(new_run(**way), lambda event: None, resume=state)
        assert told(events) == told(whole[:1] + [e for e in whole[1:] if not is_up_to(e, saved)])
        assert (events[-1].loss, events[-1].parts) == (whole[-1].loss, whole[-1].parts)


WAYS = [
    {"negligible": 0.3, "steps_per_epoch": 6},
    {"style_loss": "nnst"},
    *(
        pytest.param(way, marks=pytest.mark.slow)
        for way in (
            {"style_loss": "remd"},
            {"size": 96, "tile": 64},
            {"objective": "gatys", "style_weight": 1e3, "style_layers": Settings().style_layers},
        )
    ),
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_changed_again_and_again_and_saved_in_between_a_run_and_its_record_paint_the_same(way, tmp_path):
    """Of a loss of all layers at once, the unit depends on the layers' weights."""
    weights = [{"layer_weights": [1.0, 9.0, 0.0, 2.0]}, {"content_weight": 2e-3}, {"tv_weight": 0.2}]
    steps = {2: weights[0], 3: weights[1] | {"color": "keep"}, 5: weights[2]}
    job = new_run(**way)
    whole = run(job, lambda event: steps.get(event.step) if isinstance(event, Stepped) else None, tmp_path)
    assert [change.after for change in job.stylizer.schedule.all_changes] == [2, 3, 5]
    again = run(new_run(job.stylizer.schedule.all_changes, **way), lambda event: None)
    assert told(again) == told(whole)
    for saved in (2, 4):  # who goes on from there asks for what came later
        later = {step: knobs for step, knobs in steps.items() if step > saved}
        resumed, state = new_run(**way), checkpoint.read(tmp_path / str(saved)).state
        events = run(resumed, lambda e, at=later: at.get(e.step) if isinstance(e, Stepped) else None, resume=state)
        assert told(events[-1:]) == told(whole[-1:])
        assert resumed.stylizer.schedule.all_changes == job.stylizer.schedule.all_changes


@pytest.mark.parametrize("knobs", [{}, {"strength": 0.9}, {"color": "keep"}], ids=str)
def test_nearest_neighbours_found_once_at_a_scale_are_found_again_by_a_run_that_goes_on(knobs, tmp_path):
    """Scale 2 begins with step 7. To match another canvas than it began with would be another way on."""
    way = {"style_loss": "nnst", "size": 64, "optimizer": "adam", "learning_rate": 0.1, "epochs": 3, "step_ratio": 0.6}
    whole = run(new_run(**way), at_step(8, knobs), tmp_path)
    assert checkpoint.read(tmp_path / "6").state.start is None
    state = checkpoint.read(tmp_path / "8").state
    goes_on = run(new_run(**way), lambda event: None, resume=state)
    assert told(goes_on[-1:]) == told(whole[-1:])
    astray = run(new_run(**way), lambda event: None, resume=replace(state, start=state.canvas.flip(3)))
    (expected, found, other) = (
        [e.loss for e in events if isinstance(e, Stepped)][-1] for events in (whole, goes_on, astray)
    )
    assert expected == found
    assert (other == expected) is ("color" in knobs)  # then what the canvas was is matched anew


@pytest.mark.thin(2)
@pytest.mark.parametrize("event_type", [Started, EpochDone, ScaleDone])
@pytest.mark.parametrize("knobs", [CHANGES[0], CHANGES[2]], ids=str)
def test_it_does_not_matter_at_which_event_after_a_step_the_knobs_change(event_type, knobs):
    """Epoch 1 ends with step 3, scale 1 with step 4."""
    step = {Started: 0, EpochDone: 3, ScaleDone: 4}[event_type]
    times = []

    def once(event) -> dict | None:
        if isinstance(event, event_type) and not times:
            times.append(event)
            return knobs
        return None

    job = new_run()
    whole = run(job, once)
    assert job.stylizer.schedule.all_changes == (ScheduledChange(step, knobs),)
    assert told(run(new_run(job.stylizer.schedule.all_changes), lambda event: None)) == told(whole)


@pytest.mark.parametrize("when", [Started, ScaleDone])
def test_colours_asked_for_between_scales_come(when):
    def chroma(events) -> float:
        return (oklab(events[-1].picture)[:, 1:] - oklab(CONTENT)[:, 1:]).square().mean().item()

    kept = run(new_run(), lambda event: {"color": "keep"} if isinstance(event, when) else None)
    assert chroma(kept) < 0.1 * chroma(run(new_run(), lambda event: None))


def test_a_scale_is_begun_with_what_was_asked_for_before_it():
    """Its targets are measured once, and the content's detail that it gets is what the new strength leaves of it."""
    measured: MeasuredTargets = {}
    job = planned(settings(), measured=measured)
    run(job, lambda event: {"color": "keep"} if isinstance(event, ScaleDone) else None)
    assert list(measured) == [("style", (24, 32), None, None), ("keep", (48, 64), None, None)]


def test_a_picture_of_an_earlier_step_stays_what_it_was_when_the_colours_change():
    shots = []
    for event in run(job := new_run(scales=1), lambda event: None):
        if isinstance(event, Stepped):
            shots.append(event.picture())
    later = [e for e in run(job, at_step(3, {"color": "keep"})) if isinstance(e, Stepped)]
    assert all(torch.equal(event.picture(), shot) for event, shot in zip(later[:3], shots[:3], strict=True))
    assert not torch.equal(later[3].picture(), shots[3])


@pytest.mark.parametrize("knobs", [{"strength": 0.9}, {"color": "keep"}], ids=str)
def test_a_changed_run_that_had_to_take_steps_again_is_repeated_too(knobs, tmp_path):
    """Changed when told of the restart: the step was tried before that, and is after it."""
    way = {"scales": 1, "negligible": 0.3}

    def job(schedule=()) -> PlannedRun:
        return planned(settings(**way), engine=Faulty("image", [FIRST_STEP + 2]), schedule=schedule)

    first = job()
    whole = run(first, lambda event: knobs if isinstance(event, Restarted) else None, tmp_path)
    assert first.stylizer.schedule.all_changes == (ScheduledChange(3, knobs),)
    assert told(run(job(first.stylizer.schedule.all_changes), lambda event: None)[-4:]) == told(whole[-4:])
    for saved in (3, 4, 5):
        state = checkpoint.read(tmp_path / str(saved)).state
        assert state.restarts == 1
        events = run(new_run(**way), lambda event: None, resume=state)
        assert told(events[-1:]) == told(whole[-1:])


def test_a_run_that_stops_between_a_restart_and_its_step_keeps_what_it_was_changed_to():
    """The state is the one after the restart: what was asked for before it is applied, what came after isn't."""
    way = {"scales": 1, "negligible": 0.3}
    job = planned(settings(**way), engine=Faulty("image", [FIRST_STEP + 2]))
    states, last = [], None
    for event in job.events():
        if isinstance(event, Stepped) and event.step == 2:
            job.change(strength=0.9)
        if isinstance(event, Restarted):
            assert last is not None
            states.append(last())
            job.change(tv_weight=0.5)
            states.append(last())
        last = event.state if isinstance(event, Stepped) else last
    assert isinstance(event, Finished)
    assert [[change["after"] for change in state.schedule] for state in states] == [[2], [2, 3]]
    changes = [lambda e: {"tv_weight": 0.5} if isinstance(e, Started) else None, lambda e: None]
    for state, when in zip(states, changes, strict=True):
        assert told(run(new_run(**way), when, resume=state)[-1:]) == told([event])


def test_what_is_asked_for_before_a_run_or_a_resumed_one_holds_from_its_first_step_on(tmp_path):
    early = new_run()
    early.change(strength=0.9)
    assert told(run(early, lambda event: None)[-1:]) == told(
        run(new_run((ScheduledChange(0, {"strength": 0.9}),)), lambda event: None)[-1:]
    )
    whole = run(new_run(), at_step(2, {"strength": 0.9}), tmp_path)
    resumed = new_run()
    resumed.change(strength=0.9)
    assert told(run(resumed, lambda event: None, resume=checkpoint.read(tmp_path / "2").state)[-1:]) == told(whole[-1:])


def test_a_second_run_begins_with_the_settings_and_not_with_what_the_first_was_changed_to():
    job = new_run()
    run(job, at_step(2, {"strength": 0.9, "color": "keep"}))
    assert told(run(job, lambda event: None)) == told(run(new_run(), lambda event: None))
    job.change(strength=0.9)
    again = run(job, lambda event: None)
    assert [change.after for change in job.stylizer.schedule.all_changes] == [0]
    assert not torch.equal(again[-1].picture, run(new_run(), lambda event: None)[-1].picture)


def test_a_state_taken_after_a_change_and_a_restart_is_of_the_layers_pruned_now():
    way = {"scales": 1, "negligible": 0.3, "steps_per_epoch": 6}
    job = planned(settings(**way), engine=Faulty("image", [FIRST_STEP + 3]))
    last, saved = None, None
    for event in job.events():
        if isinstance(event, Stepped):
            last = event.state
            if event.step == 3:
                job.change(layer_weights=[1.0, 1.0, 1.0, 50.0])
        if isinstance(event, Restarted):
            assert last is not None
            saved = last()
    assert saved is not None
    assert isinstance(event, Finished)
    assert told(run(new_run(**way), lambda e: None, resume=saved)[-1:]) == told([event])


def test_a_state_taken_before_the_first_step_of_a_scale_goes_on_from_there():
    """Step 5 is the second scale's first: its fault is told before it is taken again."""
    measuring_and_steps = FIRST_STEP + 4 + 1 + 2  # at the end of a scale its last canvas is evaluated too
    job = planned(settings(), engine=Faulty("image", [measuring_and_steps]))
    last, saved = None, None
    for event in job.events():
        if isinstance(event, Stepped):
            last = event.state
        if isinstance(event, Restarted):
            assert last is not None
            assert event.step == 5
            saved = last()
    assert saved is not None
    assert isinstance(event, Finished)
    again = run(new_run(), lambda e: None, resume=saved)
    assert [type(e).__name__ for e in again] == ["Started", "Stepped", "Stepped", "EpochDone", "ScaleDone", "Finished"]
    assert told(again[-1:]) == told([event])
