"""A host may have set torch's modes as it likes: a job paints the same, leaves them as they were, and errors stay whose
they are."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch

from helpers import tiny_weights
from impasto import Settings, Stylization, Texture, stylize, synthesize
from impasto.errors import ImpastoError
from impasto.images import reading
from impasto.jobs import checkpoint
from impasto.jobs.checkpoint import Checkpoint
from impasto.jobs.rerun import from_recipe
from impasto.jobs.surroundings import usual_modes
from impasto.network import weights
from impasto.network.vgg import VGG19
from impasto.objective.objective import Objective
from impasto.run.events import Finished, Stepped

QUICK = {
    "size": 48, "epochs": 1, "steps_per_epoch": 3, "scales": 2, "device": "cpu",
    "style_layers": ("relu1_1", "relu2_1"), "content_layers": ("relu2_2",),
}  # fmt: skip


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "another device": lambda: torch.device("meta"),
}
KINDS = [
    {}, {"style_loss": "remd"}, {"style_loss": "swd", "color": "keep"}, {"optimizer": "adam", "init": "noise"},
    {"size": 96, "tile": 64, "tv_weight": 0.1}, {"style_loss": "gram", "content_loss": "self-similarity"},
    {"optimizer": "gd", "init": "histogram", "color": "match"},
]  # fmt: skip


@pytest.fixture(autouse=True)
def _small_network(monkeypatch):
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))


@pytest.fixture
def photo():
    return np.random.default_rng(1).integers(0, 255, (36, 48, 3), dtype=np.uint8)


@pytest.fixture
def brush():
    return np.random.default_rng(2).integers(0, 255, (40, 30, 3), dtype=np.uint8)


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *((mode, KINDS[0]) for mode in MODES),
        *(("inference_mode", kind) for kind in KINDS[1:]),
        *(pytest.param("float64", kind, marks=pytest.mark.slow) for kind in KINDS[1:]),
    ],
    ids=str,
)
def test_a_host_in_any_mode_gets_the_same_picture_and_keeps_its_mode(mode, kind, photo, brush):
    usual = stylize(photo, brush, **QUICK | kind).tobytes()
    with MODES[mode]():
        before = modes()
        assert stylize(photo, brush, **QUICK | kind).tobytes() == usual
        for _ in Stylization(photo, [brush], Settings(**QUICK | kind)).events():
            assert modes() == before


def modes() -> tuple:
    return (
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(), torch.get_default_device(),
    )  # fmt: skip


@pytest.mark.thin(2)
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_so_do_textures_and_images_and_states_that_were_loaded_in_a_mode(mode, photo, brush, tmp_path):
    knobs = {knob: value for knob, value in QUICK.items() if knob != "size"}
    texture = synthesize(brush, (48, 40), **knobs).tobytes()
    job = Stylization(photo, [brush], Settings(**QUICK))
    for event in job.events():
        if isinstance(event, Stepped) and event.step == 2:
            assert event.state is not None
            checkpoint.write(tmp_path / "state", Checkpoint(job.recipe(), event.state(), {}, {}))
    assert isinstance(event, Finished)
    with mode():
        assert synthesize(brush, (48, 40), **knobs).tobytes() == texture
        if mode is not MODES["another device"]:  # where nothing could be loaded
            loaded = reading.load(photo)
            state = checkpoint.read(tmp_path / "state").state
            *_, last = Stylization(loaded, [reading.load(brush)], Settings(**QUICK)).events(state)
            assert isinstance(last, Finished)
            assert torch.equal(last.picture, event.picture)


@pytest.mark.parametrize("make", [Stylization, Texture])
def test_an_error_of_the_hosts_own_stays_its_own_whatever_it_says(make, photo, brush):
    given = (photo, [brush]) if make is Stylization else (brush, (48, 48))
    for error in (RuntimeError("my memory is full"), MemoryError("host"), RuntimeError("DefaultCPUAllocator")):
        events = make(*given, Settings(**QUICK)).events()
        next(events)
        with pytest.raises(type(error)) as caught:
            events.throw(error)
        assert caught.value is error


@pytest.mark.parametrize(
    ("error", "is_ours"),
    [
        (MemoryError(), True), (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("a memory format that isn't known"), False), (RuntimeError("shape"), False),
    ],
    ids=str,
)  # fmt: skip
def test_memory_that_runs_out_in_a_step_is_one_sentence_and_other_errors_are_not(error, is_ours, photo, brush):
    job = Stylization(photo, [brush], Settings(**QUICK))

    def fails(self, *args, **kwargs):
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VGG19, "features", fails)
        with pytest.raises(ImpastoError if is_ours else RuntimeError) as caught:
            list(job.events())
    assert ("took more memory than there was" in str(caught.value)) == is_ours


def test_a_real_allocation_that_fails_is_told_by_torch_as_we_know_it():
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        torch.empty(2**60, dtype=torch.uint8)


def test_a_run_that_is_closed_closes_its_steps(photo, brush):
    events = Stylization(photo, [brush], Settings(**QUICK)).events()
    next(events)
    events.close()
    with pytest.raises(StopIteration):
        next(events)


@pytest.fixture
def threads_of_steps(monkeypatch):
    """How many threads each evaluation of an objective had, of a host that has set two."""
    seen, evaluate = [], Objective.evaluate

    def watched(self, *arguments, **options):
        seen.append(torch.get_num_threads())
        return evaluate(self, *arguments, **options)

    monkeypatch.setattr(Objective, "evaluate", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield seen
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@pytest.mark.parametrize(("threads", "used"), [("auto", 2), (3, 3), (1, 1)])
def test_a_run_computes_with_as_many_threads_as_it_is_told_and_its_host_keeps_its_own(
    threads, used, threads_of_steps, photo
):
    job = Stylization(photo, [photo[::-1]], Settings(**QUICK, threads=threads))
    for _ in job.events():
        assert torch.get_num_threads() == 2
    assert {*threads_of_steps} == {used}
    assert (job.recipe().threads, job.recipe().settings["threads"]) == (used, used)
    threads_of_steps.clear()
    synthesize(photo, (48, 48), settings=Settings(**{**QUICK, "content_layers": ()}, threads=threads))
    assert {*threads_of_steps} == {used}


@pytest.mark.parametrize("old", [False, True])
def test_a_picture_is_painted_again_with_as_many_threads_as_then(old, threads_of_steps, photo, tmp_path):
    files = [tmp_path / "photo.png", tmp_path / "brush.png"]
    for path, pixels in zip(files, (photo, photo[::-1]), strict=True):
        PIL.Image.fromarray(np.ascontiguousarray(pixels)).save(path)
    recipe = Stylization(files[0], [files[1]], Settings(**QUICK, threads=3)).recipe()
    if old:  # from before there was the setting
        recipe = replace(recipe, settings={name: value for name, value in recipe.settings.items() if name != "threads"})
    assert recipe.continued(Settings(**QUICK)).threads == 3
    again = from_recipe(recipe)
    list(again.events())
    assert {*threads_of_steps} == {3}
    assert again.recipe().threads == 3


def test_a_job_that_begins_in_a_thread_while_another_is_at_work_has_the_hosts_threads():
    def seen() -> int:
        with usual_modes():
            return torch.get_num_threads()

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with usual_modes(1), usual_modes(2):
            assert torch.get_num_threads() == 2
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(seen).result() == 3
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 3
        torch.set_num_threads(4)  # the host's, in between
        with usual_modes(1), ThreadPoolExecutor(1) as pool:
            assert pool.submit(seen).result() == 4
    finally:
        torch.set_num_threads(before)
