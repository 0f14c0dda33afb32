"""What is promised of devices whose work is queued, tried on the CPU and on tensors without memory ('meta').

The latter take the branches that a GPU's take, and refuse to tell a number or to be added to those of the CPU.
"""

import contextlib
import math
import warnings
from collections import Counter
from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from helpers import PlannedRun, smooth_image, tiny_weights
from impasto.errors import DivergedError
from impasto.losses.gaussian import gaussian_target, gaussian_w2
from impasto.losses.linalg import eigen, root_and_inverse
from impasto.losses.moments import channel_moments, moments
from impasto.network.tiles import Window
from impasto.network.vgg import VGG19
from impasto.objective import captured, temporal
from impasto.objective.captured import NotCaptured
from impasto.objective.evaluation import QueuedEvaluation
from impasto.objective.inputs import Inputs
from impasto.objective.stylization import StylizationProblem
from impasto.run.events import Finished, Restarted, Stepped
from impasto.run.optimizers.lbfgs import LBFGS
from impasto.run.optimizers.queued_lbfgs import QueuedLBFGS
from impasto.run.plan import Shapes, plan_run
from impasto.run.stylizer import Stylizer
from impasto.settings.settings import Settings
from impasto.storage import devices
from impasto.storage.scratch import Scratch

SIZE = (48, 64)
STYLES = {
    "default": {},
    "gram": {"style_loss": "gram"},
    "mean-std": {"style_loss": "mean-std"},
    "adam": {"optimizer": "adam"},
    "keep": {"color": "keep"},
    "gatys": {"objective": "gatys"},
    "swd": {"style_loss": "swd"},
    "remd": {"style_loss": "remd"},
    "nnst": {"style_loss": "nnst"},
    "similar": {"content_loss": "self-similarity"},
}
WAITING = {"_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select", "unique", "_linalg_eigh"}
WAITING |= {"_linalg_svd", "linalg_cholesky_ex", "_unique2", "bincount"}
"""Operators that make the host wait for a device."""


class Waits(TorchDispatchMode):
    """Counts what the host waits for: numbers that are looked at, and copies from one device to another."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        tensors = [value for value in (*args, *(kwargs or {}).values()) if isinstance(value, torch.Tensor)]
        at = {value.device.type for value in tensors if value.dim()}
        if isinstance(result, torch.Tensor) and name in ("_to_copy", "copy_"):
            at.add(result.device.type)
        if name in WAITING or len(at) > 1:
            self.found[name] += 1
        return result


class Answered(TorchDispatchMode):
    """Answers 1 to whoever looks at a number of tensors without memory, and copies zeros from there."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        if name == "_local_scalar_dense":
            return 1.0
        if name == "_to_copy" and args[0].is_meta and (kwargs.get("device") or args[0].device).type == "cpu":
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if name == "copy_" and args[1].is_meta and not args[0].is_meta:
            return args[0].zero_()
        return func(*args, **kwargs)


@pytest.fixture
def queued(monkeypatch):
    """The CPU, treated as a device whose work is queued and whose graphs do their work anew."""
    monkeypatch.setattr(devices, "QUEUED", devices.QUEUED | {"cpu"})
    monkeypatch.setattr(captured, "RECORDERS", {"cpu": captured.record_nothing})


def network(dtype=torch.float32):
    return VGG19(tiny_weights(dtype=dtype))


def planned(network, steps=12, dtype=torch.float32, **knobs):
    settings = Settings(**{"size": 64, "scales": 1, "epochs": 1, "steps_per_epoch": steps, "padding": "zero"} | knobs)
    content, style = smooth_image(*SIZE, dtype=dtype), smooth_image(48, 48, seed=1, dtype=dtype)
    return PlannedRun(settings, network, content, [style])


def steps_of(run, resume=None):
    return [event for event in run.events(resume) if isinstance(event, Stepped | Finished)]


def waits_of_a_step(events, before=3):
    """What the host waits for between one step's event and the next one's."""
    stepped = (event for event in events if isinstance(event, Stepped))
    list(islice(stepped, before))
    with Waits() as waits:
        next(stepped)
    return waits.found


@pytest.mark.thin(3)
@pytest.mark.parametrize("knobs", STYLES.values(), ids=STYLES)
def test_a_step_on_a_device_looks_at_no_number(queued, knobs):
    assert not waits_of_a_step(planned(network(), **knobs).events())


def test_a_step_on_the_host_looks_at_numbers_and_that_is_noticed():
    assert waits_of_a_step(planned(network()).events())["_local_scalar_dense"] > 10


@pytest.fixture
def without_memory(monkeypatch):
    """Tensors without memory are a device's."""
    monkeypatch.setattr(devices, "QUEUED", {"meta"})
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # there is none for 'meta'
    return torch.device("meta")


def meta_steps(device, canvas_device=None, tile=None, strength_map=None, **knobs):
    """The steps of a run on that device."""
    settings = Settings(size=64, scales=1, epochs=1, steps_per_epoch=8, padding="zero", **knobs)
    content, style = smooth_image(*SIZE, dtype=torch.float32), smooth_image(48, 48, seed=1, dtype=torch.float32)
    plan = plan_run(settings, Shapes(SIZE, 1), network(), speed=1e-6)
    inputs, engine = Inputs(content, [style], strength_map=strength_map), network().to(device)
    problem = StylizationProblem(inputs, settings, engine, SIZE, tile=tile, canvas_device=canvas_device)
    return (event for event in Stylizer(settings).run(problem, plan) if isinstance(event, Stepped))


WITHOUT_MEMORY = {name: knobs for name, knobs in STYLES.items() if name != "nnst"} | {"map": {"strength_map": True}}
"""Nearest neighbours are found by numbers."""


@pytest.mark.thin(3)
@pytest.mark.parametrize("knobs", WITHOUT_MEMORY.values(), ids=WITHOUT_MEMORY)
def test_a_step_waits_for_nothing_and_mixes_no_devices(without_memory, knobs):
    if "strength_map" in knobs:
        knobs = {"strength_map": smooth_image(*SIZE, seed=3, dtype=torch.float32)[:, :1]}
    stepped = meta_steps(without_memory, **knobs)
    with Answered():
        list(islice(stepped, 3))
    with Waits() as waits:
        event = next(stepped)
    assert not waits.found
    with pytest.raises((RuntimeError, NotImplementedError)):  # or this test could see nothing
        assert event.loss > 0


def test_a_canvas_in_the_hosts_memory_goes_through_a_device_tile_by_tile(without_memory):
    host = torch.device("cpu")
    with Waits() as waits, Answered():
        event = next(meta_steps(without_memory, canvas_device=host, tile=32))
        assert event.state().canvas.device == host
    assert waits.found["copy_"] + waits.found["_to_copy"] >= 2 * 2 * (4 + 1)  # both stages' tiles, there and back


@pytest.mark.thin(3)
@pytest.mark.parametrize("knobs", STYLES.values(), ids=STYLES)
def test_a_run_on_a_device_takes_the_steps_of_one_on_the_host(monkeypatch, knobs):
    usual = steps_of(planned(network(torch.float64), dtype=torch.float64, **knobs))
    monkeypatch.setattr(devices, "QUEUED", {"cpu"})
    found = steps_of(planned(network(torch.float64), dtype=torch.float64, **knobs))
    assert [event.loss for event in found] == pytest.approx([event.loss for event in usual], rel=1e-6)
    assert found[-2].parts == pytest.approx(usual[-2].parts, rel=1e-6)
    assert (found[-1].picture - usual[-1].picture).abs().max() < 1e-5


@pytest.mark.thin(2)
@pytest.mark.parametrize("knobs", [{}, {"optimizer": "adam"}, {"optimizer": "gd"}, {"negligible": 0.3}], ids=str)
def test_a_run_on_a_device_goes_on_from_its_state_to_the_bit(queued, knobs):
    whole, states = planned(network(), steps=25, **knobs), []
    for event in whole.events():
        if isinstance(event, Stepped) and event.step in (7, 13):
            states.append(event.state().to(torch.device("cpu")))
        last = event
    for state in states:
        *_, resumed = planned(network(), steps=25, **knobs).events(state)
        assert torch.equal(resumed.picture, last.picture)
        assert resumed.loss == last.loss


def test_a_state_of_a_device_goes_on_on_the_host(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(devices, "QUEUED", {"cpu"})
        for event in planned(network(), steps=25).events():
            if isinstance(event, Stepped) and event.step == 10:
                state = event.state()
            last = event
    state.optimizer["pairs"][3][2] = 0.0  # as of a refused pair
    *_, resumed = planned(network(), steps=25).events(state)
    assert resumed.loss == pytest.approx(last.loss, rel=0.05)


@pytest.mark.parametrize("what", ["loss", "gradient", "both"])
def test_a_run_that_stops_being_finite_is_noticed_within_ten_steps_and_goes_on_from_the_best(queued, what):
    run = planned(network(), steps=30)
    evaluate, seen = LossyObjective.of(run, what), []
    for event in run.events():
        if isinstance(event, Restarted):
            seen.append(event.step)
        last = event
    assert evaluate.broken
    assert seen == ([11] if what == "gradient" else [])  # a loss of NaN is worse than any: the next step goes back
    assert math.isfinite(last.loss)
    assert bool(last.picture.isfinite().all())


def test_a_run_that_never_is_finite_ends_with_an_error(queued):
    run = planned(network(), steps=30)
    LossyObjective.of(run, "gradient", first=1, last=10**6)
    with pytest.raises(DivergedError, match="stopped being finite"):
        list(run.events())


class LossyObjective:
    """The objective of a run, whose loss or gradient isn't finite for some evaluations."""

    def __init__(self, evaluate, what, first, last) -> None:
        self.evaluate, self.what, self.first, self.last = evaluate, what, first, last
        self.count, self.broken = 0, 0

    @classmethod
    def of(cls, run, what, first=5, last=5):
        at, made = run.problem.at, cls(None, what, first, last)

        def broken_at(size, start=None):
            found = at(size, start)
            made.evaluate, found.objective.evaluate = found.objective.evaluate, made
            object.__setattr__(found, "evaluation", lambda: made)
            return found

        run.problem.at = broken_at
        return made

    def __call__(self, canvas):
        now = self.evaluate(canvas)
        self.count += 1
        if not self.first <= self.count <= self.last:
            return now
        self.broken += 1
        if self.what != "gradient":
            gradient = now.gradient * (math.nan if self.what == "both" else 1)
            return QueuedEvaluation(now.numbers * math.nan, now.names, gradient)
        return now.with_gradient(now.gradient * math.nan)


def test_a_pair_that_is_refused_changes_no_direction(queued):
    """One with sᵀy below zero, as where the gradient grows on the way down."""
    canvas = smooth_image(12, 16, seed=1)
    centre, curvature = 0.5 * smooth_image(12, 16), torch.linspace(1, 3, 3 * 12 * 16, dtype=torch.float64)

    def bowl(x, sign=1.0):
        gradient = sign * curvature.view_as(x) * (x - centre)
        return QueuedEvaluation.of({"all": ((x - centre) * gradient).sum() / 2}, gradient)

    host, device = LBFGS(history=4), QueuedLBFGS(history=4)
    x = y = canvas
    for number in range(4):
        x, _ = host.step(x, lambda c, n=number: bowl(c, 3.0 if n == 1 else 1.0))
        y, _ = device.step(y, lambda c, n=number: bowl(c, 3.0 if n == 1 else 1.0))
        assert (x - y).abs().max() < 1e-9
    assert len(device.pairs) == 3 > len(host.pairs)
    products = [pair[2] for pair in device.state()["pairs"]]
    assert 0.0 in products


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("measure", [moments, channel_moments], ids=lambda f: f.__name__)
@pytest.mark.parametrize("positions", [(30, 40), (64, 64), (80, 900), (400, 512)], ids=str)
def test_a_device_adds_up_the_same_pieces_at_once(monkeypatch, positions, measure, weighted):
    features = torch.randn(1, 5, *positions, generator=torch.Generator().manual_seed(0))
    features = features.contiguous(memory_format=torch.channels_last) if weighted else features
    weight = smooth_image(*positions, dtype=torch.float32)[:, :1] if weighted else None
    usual = measure(features, weight)
    monkeypatch.setattr(devices, "QUEUED", {"cpu"})
    found = measure(features, weight)
    assert torch.allclose(found, usual, rtol=1e-5, atol=1e-6 * usual.abs().max().item())


@pytest.mark.parametrize("spread", [2, 6, 10])
def test_the_root_by_products_is_the_one_by_eigenvalues(spread):
    turned = torch.linalg.qr(torch.randn(64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    matrix = ((turned * torch.logspace(2, 2 - spread, 64, dtype=torch.float64)) @ turned.T)[None]
    root, inverse = root_and_inverse(matrix)
    values, vectors = eigen(matrix)
    assert torch.allclose(root, (vectors * values.sqrt()[:, None]) @ vectors.mT, rtol=1e-6, atol=1e-7)
    wanted = (vectors * values.rsqrt()[:, None]) @ vectors.mT
    assert ((inverse - wanted).norm() / wanted.norm()) < 1e-5
    assert root_and_inverse(matrix * math.nan)[0].isnan().all()


def test_the_wasserstein_loss_and_its_gradient_are_the_same_on_a_device(monkeypatch, real):
    with torch.no_grad():
        features = [real.features(smooth_image(64, 80, seed, torch.float32), ["relu3_1"])["relu3_1"] for seed in (1, 2)]
    target = gaussian_target(moments(features[1]))
    found = []
    for types in ({"cuda"}, {"cpu"}):
        monkeypatch.setattr(devices, "QUEUED", types)
        leaf = features[0].clone().requires_grad_()
        loss = gaussian_w2(moments(leaf), target)
        found.append((loss.item(), torch.autograd.grad(loss, leaf)[0]))
    (loss, gradient), (other, theirs) = found
    assert other == pytest.approx(loss, rel=1e-8)
    assert (gradient - theirs).abs().max() < 1e-5 * gradient.abs().max()


def test_what_is_captured_is_evaluated_as_before_and_anew_for_each_objective(queued):
    run = planned(network())
    current = run.problem.at(SIZE)
    evaluation, canvas = current.evaluation(), smooth_image(*SIZE, seed=4, dtype=torch.float32)
    now, usual = evaluation(canvas), current.objective.evaluate(canvas)
    assert evaluation.captured
    assert now.parts == usual.parts
    assert torch.equal(now.gradient, usual.gradient)
    kept = now.gradient.clone()
    evaluation(1 - canvas)
    assert torch.equal(now.gradient, kept)  # what an optimiser remembers isn't overwritten by the next replay
    run.problem.change(run.problem.settings.model_copy(update={"strength": 0.9}))
    assert run.problem.at(SIZE).evaluation()(canvas).loss != now.loss


@pytest.mark.parametrize("fault", ["refused", "stale", "wrong"])
def test_what_can_not_be_captured_is_told_once_and_evaluated_as_before(queued, monkeypatch, fault):
    def broken(work):
        if fault == "refused":
            raise RuntimeError("operation not permitted when stream is capturing")
        work()
        return {"stale": lambda: None, "wrong": work}[fault]

    monkeypatch.setattr(captured, "RECORDERS", {"cpu": broken})
    current = planned(network()).problem.at(SIZE)
    usual, canvas = current.objective.evaluate, smooth_image(*SIZE, seed=4, dtype=torch.float32)
    calls = []

    def counted(image):
        calls.append(1)
        now = usual(image)
        return now if fault != "wrong" or len(calls) == 1 else now.with_gradient(1.01 * now.gradient)

    current.objective.evaluate = counted
    evaluation = current.evaluation()
    why = {"refused": "not permitted", "stale": "doesn't follow", "wrong": "gradient was off by 0.01"}[fault]
    with pytest.warns(NotCaptured, match=f"launched kernel by kernel .*{why}"):
        evaluation(canvas)
    assert not evaluation.captured
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluation(canvas).loss == usual(canvas).loss


def test_tiles_are_not_captured(queued):
    run = planned(network())
    run.problem.tile = 32
    evaluation = run.problem.at(SIZE).evaluation()
    evaluation(smooth_image(*SIZE, dtype=torch.float32))
    assert not evaluation.captured


def test_tensors_come_from_a_device_one_behind_and_in_their_order(monkeypatch):
    log = []

    class Fetched:
        def __init__(self, tensor, device) -> None:
            log.append(f"copy {int(tensor.numel())}")
            self.tensor = tensor

        def wait(self):
            log.append(f"wait {int(self.tensor.numel())}")
            return torch.zeros(self.tensor.shape)

    def made():
        for number in (1, 2, 3):
            log.append(f"compute {number}")
            yield number, torch.empty(number, device="meta")

    monkeypatch.setattr(devices, "_Fetched", Fetched)
    assert [number for number, _ in devices.brought(made(), torch.device("cpu"))] == [1, 2, 3]
    assert log == [
        *("compute 1", "copy 1", "compute 2", "copy 2", "wait 1", "compute 3", "copy 3", "wait 2", "wait 3"),
    ]
    here = torch.zeros(2)
    assert next(iter(devices.brought([(0, here)], torch.device("cpu"))))[1] is here


def test_what_lies_on_a_device_is_copied_there_once(queued):
    mask, like = torch.rand(3, dtype=torch.float64), torch.zeros(1)
    first = devices.resident(mask, like)
    assert first.dtype == torch.float32
    assert devices.resident(mask, like) is first
    assert devices.resident(like, like) is like


def test_numbers_are_read_together():
    with Waits() as waits:
        found = devices.read([1.5, torch.tensor(2.0), torch.tensor(0.25, dtype=torch.float64)])
    assert found == [1.5, 2.0, 0.25]
    assert not waits.found


def test_where_a_device_is_too_small_canvases_stay_with_the_host():
    from impasto.run.memory_plan import Available, fit_into_memory

    gigabyte, settings = 10**9, Settings(size=16384)
    small = Available(gigabyte, 8 * gigabyte, host=200 * gigabyte)
    plan = fit_into_memory(settings, (12288, 16384), VGG19.cost, small)
    assert plan.host > 10 * gigabyte
    assert plan.tile is not None
    assert plan.peak <= plan.budget
    assert plan.canvas_device == torch.device("cpu")
    assert plan.scratch().folder is None
    large = fit_into_memory(settings, (12288, 16384), VGG19.cost, small._replace(free=200 * gigabyte))
    assert (large.host, large.canvas_device) == (0, None)
    from impasto.errors import SettingsError

    with pytest.raises(SettingsError, match="MB of the host's memory beside the device's, but"):
        fit_into_memory(settings, (12288, 16384), VGG19.cost, small._replace(host=gigabyte))


def test_a_scratch_adds_up_on_a_device_as_on_the_host():
    x, y = torch.rand(1, 3, 40, 50), torch.rand(1, 3, 40, 50)
    assert Scratch().total(torch.dot, x, y).item() == pytest.approx(Scratch().sum(torch.dot, x, y))


def test_what_a_films_frame_is_held_to_is_copied_to_a_queued_device_once(monkeypatch):
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(devices, "QUEUED", {"cpu"})
    monkeypatch.setattr(temporal, "temporal_loss", lambda image, *there: seen.extend(there[:2]) or image.sum())
    whole = Window(0, 0, 8, 8)
    (term,) = temporal.temporal_terms([temporal.Earlier(torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8))], 1.0)
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64)  # of another type, as it would be on another device
    for _ in range(2):
        term.measure(SimpleNamespace(tile=SimpleNamespace(interior=whole, padded=whole), input=image), None)
    assert [one.data_ptr() for one in seen[:2]] == [one.data_ptr() for one in seen[2:]]
    assert all(one.dtype == torch.float64 for one in seen)
