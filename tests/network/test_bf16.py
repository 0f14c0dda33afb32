"""The native engine in bfloat16: each kernel against torch in float64 on the same rounded numbers, then the network."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from exact import Decided, error, gradient, image_of, random_gradients

from helpers import objective_of
from impasto.cli.doctor import _engines
from impasto.errors import SettingsError
from impasto.jobs.rerun import from_recipe
from impasto.jobs.stylization import Stylization
from impasto.network import weights
from impasto.network.engines import choice, native, native_bf16, native_library, trial
from impasto.network.engines.choice import decided_precision, make_engine
from impasto.network.engines.native import NativeEngine
from impasto.network.engines.native_bf16 import Bf16Engine
from impasto.network.engines.native_library import Bf16Kernel, Unavailable, why_not
from impasto.network.vgg import VGG19
from impasto.objective.weights import LossWeights
from impasto.run import plan
from impasto.settings.choices import Padding, Pooling, Precision
from impasto.settings.settings import Settings

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"THE NATIVE ENGINE IS NOT TESTED: {why_not()}")

SOURCE = Path(__file__).parents[2] / "src/impasto/network/engines/native.c"
STYLE = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
EMULATED = "AMX emulated"
KERNELS = [*Bf16Kernel, pytest.param(EMULATED, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def frozen():
    return weights.load()


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    """The library in which AMX's instructions are C."""
    if shutil.which("gcc") is None or sys.platform != "linux":
        pytest.skip("gcc IS NOT INSTALLED")
    path = tmp_path_factory.mktemp("emulated") / "native.so"
    flags = ("-std=gnu11", "-O3", "-ffp-contract=fast", "-Wno-psabi", "-Wall", "-Werror", "-fopenmp")
    subprocess.run(
        ["gcc", *flags, "-DEMULATED_TILES", "-shared", "-fPIC", str(SOURCE), "-o", str(path)],
        check=True,
    )
    return native_library.load(path)


@pytest.fixture(params=KERNELS)
def kernel(request, monkeypatch):
    """Each kernel that this processor has, and AMX's with its instructions emulated."""
    if request.param == EMULATED:
        library = request.getfixturevalue("emulated")
        monkeypatch.setattr(native, "library", lambda: library)
        monkeypatch.setattr(native_library, "library", lambda: library)
        return Bf16Kernel.AMX
    if request.param not in (Bf16Kernel.PLAIN, *native_library.bf16_kernels()):
        pytest.skip(f"this processor lacks {native_library.BF16_NAMES[request.param]}")
    return request.param


def packed(engine, x):
    """Features (h, w, c) as the engine lays them out."""
    y = engine.bordered(*x.shape)
    y.new_empty(0).set_(y.untyped_storage()).fill_(float("nan"))  # no part may stay as it was found
    engine.call("impasto_pack_bf16", x, y, *x.shape)
    return y


def border_of(y):
    """All that a bordered tensor has around its pixels."""
    h, w, c = y.shape
    whole = y.as_strided((h + 2, w + 2, c), y.stride(), 0).clone()
    whole[1:-1, 1:-1] = 0
    return whole


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["conv1_2", "conv2_1", "conv4_1"])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (9, 7), (12, 33)])
def test_a_convolution_forwards_equals_float64_of_the_same_rounded_numbers(kernel, frozen, name, size):
    engine = Bf16Engine(frozen, kernel=kernel)
    layer, weight = engine.convolutions[name], frozen.tensors[f"{name}.weight"].bfloat16().double()
    x = packed(engine, numbers(*size, layer.c).relu())
    y, features, before = engine.bordered(*size, layer.k), *(torch.full((*size, layer.k), torch.nan) for _ in range(2))
    y.new_empty(0).set_(y.untyped_storage()).fill_(float("nan"))
    mask = torch.zeros(*size, layer.k, dtype=torch.uint8)
    engine.convolve(name, x, y, bias=layer.bias, features=features, before=before, mask=mask)
    exact = F.conv2d(x.double().permute(2, 0, 1)[None], weight, layer.bias.double(), padding=1)[0].permute(1, 2, 0)
    assert error(before, exact) < 1e-6
    assert torch.equal(features, before.relu())
    assert torch.equal(mask, (before > 0).byte())
    assert torch.equal(y, features.bfloat16())
    assert not border_of(y).any()


@pytest.mark.parametrize("name", ["conv1_2", "conv2_1", "conv4_1"])
@pytest.mark.parametrize("size", [(1, 1), (9, 7), (12, 33)])
def test_a_convolution_back_equals_float64_of_the_same_rounded_numbers(kernel, frozen, name, size):
    engine = Bf16Engine(frozen, kernel=kernel)
    layer, weight = engine.convolutions[name], frozen.tensors[f"{name}.weight"].bfloat16().double()
    d, add, add_before = packed(engine, numbers(*size, layer.k)), *(numbers(*size, layer.c, seed=s) for s in (1, 2))
    mask = (numbers(*size, layer.c, seed=3) > 0).byte()
    pulled = F.conv_transpose2d(d.double().permute(2, 0, 1)[None], weight, padding=1)[0].permute(1, 2, 0)
    y, plain = engine.bordered(*size, layer.c), torch.full((*size, layer.c), torch.nan)
    engine.convolve(name, d, plain, back=True)
    assert error(plain, pulled) < 1e-6
    engine.convolve(name, d, y, back=True, features=plain, add=add, mask=mask, add_before=add_before)
    assert error(plain, (pulled + add) * mask + add_before) < 1e-6
    assert torch.equal(y, plain.bfloat16())
    assert not border_of(y).any()


def test_rounding_is_to_the_nearest_even_and_keeps_what_is_no_number(frozen):
    engine = Bf16Engine(frozen, kernel=Bf16Kernel.PLAIN)
    odd = [1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8 - 2**-20, 3.4e38, -3.4e38, 1e-40, 0.0, -0.0]
    odd += [float("inf"), -float("inf"), float("nan")]
    bits = torch.tensor([0x7FFFFFFF, 0x7F800001, -1], dtype=torch.int32).view(torch.float32)  # NaNs that may overflow
    x = torch.cat([torch.tensor(odd), bits, numbers(64 * 32 - len(odd) - 3) * 1e3]).view(8, 8, 32)
    assert torch.equal(packed(engine, x).isnan(), x.isnan())
    assert torch.equal(packed(engine, x).float().nan_to_num(7), x.bfloat16().float().nan_to_num(7))


CASES = [((33, 35), pooling, padding) for pooling in Pooling for padding in Padding] + [
    ((18, 70), Pooling.MAX, Padding.ZERO)
]
LAYERS = ["conv1_1", "relu1_1", "pool1", "relu2_2", "conv3_1", "relu4_1", "pool4", "relu5_1"]


@pytest.mark.thin(2)
@pytest.mark.parametrize(("size", "pooling", "padding"), CASES)
def test_features_and_gradient_are_float64s_but_for_rounding(kernel, frozen, size, pooling, padding):
    """Eight bits are 0.2 % a number at worst, of a sum over hundreds less; thirteen layers back add up to 2 %."""
    engine = Bf16Engine(frozen, pooling=pooling, padding=padding, kernel=kernel)
    reference, image = Decided(frozen, pooling=pooling, padding=padding).double(), image_of(*size)
    exact, found = reference.features(image.double(), LAYERS), engine.features(image, LAYERS)
    assert {name: f.dtype for name, f in found.items()} == dict.fromkeys(LAYERS, torch.float32)
    for name in LAYERS:
        assert error(found[name], exact[name]) < 0.01, name
    assert error(found["conv1_1"], exact["conv1_1"]) < 1e-6  # from float32 pixels in float32
    every = [layer.name for layer in native_bf16_layers()]
    reference.decisions = rounded_between(engine.features(image, every))
    pulled = random_gradients(found)
    now = gradient(engine, image, LAYERS, pulled)
    assert error(now, gradient(reference, image.double(), LAYERS, pulled)) < 0.02


def native_bf16_layers():
    from impasto.network.layers import LAYERS as ALL

    return ALL[: next(i for i, layer in enumerate(ALL) if layer.name == "relu5_1") + 1]


def rounded_between(features):
    """Features as the poolings are given them, which decide by rounded ones; what the ReLU decides stays."""
    return {
        name: torch.where(f.bfloat16().float() > 0, f.bfloat16().float(), f) if name.startswith("relu") else f
        for name, f in features.items()
    }


@pytest.mark.parametrize("below", ["pool1", "pool3"])
def test_starting_from_a_layer_gives_the_features_and_the_gradient_of_the_whole_network(kernel, frozen, below):
    engine, image, deep = Bf16Engine(frozen, kernel=kernel), image_of(50, 67), ["relu4_1", "relu5_1"]
    start = engine.features(image, [below])[below]
    expected, found = engine.features(image, deep), engine.features(start, deep, below=below)
    assert all(torch.equal(found[name], expected[name]) for name in deep)
    leaf = start.clone().requires_grad_()
    pulled = random_gradients(expected)
    there = engine.features(leaf, deep, below=below)
    d = torch.autograd.grad(sum((f * pulled[n]).sum() for n, f in there.items()), leaf)[0]
    in_two = gradient(engine, image, [below], {below: d})
    assert error(in_two, gradient(engine, image, deep, pulled).double()) < 0.02  # d in between isn't rounded


@pytest.mark.parametrize("kernel", [Bf16Kernel.PLAIN], indirect=True)
def test_tiles_give_the_whole_pictures_loss_and_its_gradient_but_for_rounding(kernel, frozen):
    """Between the stages a gradient is float32, within the whole network bfloat16; features are the same bits."""
    engine, layers = Bf16Engine(frozen, kernel=kernel), {"relu1_1": 0.3, "relu3_1": 0.3, "relu4_1": 0.4}
    w = LossWeights(0.05, 1.0, {"relu4_2": 1.0}, layers)
    content, style, canvas = (image_of(96, 112, seed) for seed in (1, 2, 3))
    whole, tiled = (
        objective_of(engine, w, content, [style], normalized=True, tile=tile).evaluate(canvas) for tile in (None, 64)
    )
    assert tiled.loss == pytest.approx(whole.loss, rel=1e-5)
    assert error(tiled.gradient, whole.gradient.double()) < 0.01


def test_runs_repeat_to_the_bit_whatever_the_number_of_threads(kernel, frozen):
    engine, image = Bf16Engine(frozen, kernel=kernel), image_of(72, 88)
    pulled = random_gradients(engine.features(image, STYLE))
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2, 3, 1):
            torch.set_num_threads(n)
            found.append((gradient(engine, image, STYLE, pulled), engine.features(image, STYLE)["relu5_1"]))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(f[0], found[0][0]) and torch.equal(f[1], found[0][1]) for f in found)


def test_features_handed_out_are_never_overwritten_and_buffers_are_half_as_large(frozen):
    engine, plain = Bf16Engine(frozen, kernel=Bf16Kernel.PLAIN), NativeEngine(frozen)
    kept = engine.features(image_of(64, 64), ["conv2_1", "relu2_1", "pool2"])
    copies = {name: f.clone() for name, f in kept.items()}
    for seed in range(3):
        gradient(engine, image_of(64, 64, seed), STYLE)
        gradient(plain, image_of(64, 64, seed), STYLE)
    assert all(torch.equal(kept[name], copies[name]) for name in kept)
    assert engine.buffer_bytes < 0.6 * plain.buffer_bytes


def test_a_canvas_that_is_no_number_is_noticed(kernel, frozen):
    broken = image_of(32, 32)
    broken[0, 1, 7, 9] = float("nan")
    found = Bf16Engine(frozen, kernel=kernel).features(broken, STYLE)
    assert all(f.isnan().any() for f in found.values())


def without_units(monkeypatch, kernels=()):
    for module in (native_library, native_bf16, choice):
        monkeypatch.setattr(module, "bf16_kernels", lambda: list(kernels))


def test_bfloat16_is_native_where_there_are_units_and_torchs_elsewhere(frozen, monkeypatch):
    without_units(monkeypatch, [Bf16Kernel.AVX512])
    for engine in ("auto", "native"):
        made = make_engine(Settings(precision="bfloat16", engine=engine), frozen)
        assert isinstance(made, Bf16Engine)
        assert made.kernel is Bf16Kernel.AVX512
    without_units(monkeypatch)
    made = make_engine(Settings(precision="bfloat16", device="cpu"), frozen)
    assert isinstance(made, VGG19)
    assert made.precision is Precision.BFLOAT16
    with pytest.raises(
        SettingsError,
        match="precision is 'bfloat16' and engine 'native', but it needs Linux and a processor with AVX512-BF16 or AMX",
    ):
        make_engine(Settings(precision="bfloat16", engine="native"), frozen)
    with pytest.raises(Unavailable, match="it needs Linux and a processor with AVX512-BF16 or AMX for that"):
        Bf16Engine(frozen)


def test_auto_is_bfloat16_only_where_amx_wins_a_trial_of_a_run_that_is_worth_one(frozen, monkeypatch):
    tried = []
    monkeypatch.setattr(trial, "bfloat16_wins", lambda: tried.append(1) or wins)
    long, short = {"size": 512, "epochs": 10}, {"size": 64, "epochs": 1}
    without_units(monkeypatch, Bf16Kernel)
    wins = True
    assert decided_precision(Settings(**long)) is Precision.BFLOAT16
    assert len(tried) == 1
    others = {"engine": "torch"}, {"compile": True}, {"precision": "float32"}, {"style_loss": "gram"}
    for other in (short, *(long | knobs for knobs in others)):
        assert decided_precision(Settings(**other)) is Precision.FLOAT32
    without_units(monkeypatch, [Bf16Kernel.AVX512])
    assert decided_precision(Settings(**long)) is Precision.FLOAT32
    assert len(tried) == 1
    without_units(monkeypatch, Bf16Kernel)
    wins = False
    assert decided_precision(Settings(**long)) is Precision.FLOAT32
    assert len(tried) == 2
    assert isinstance(made := make_engine(Settings(**long), frozen), NativeEngine)
    assert made.precision is Precision.FLOAT32


def test_a_run_tells_what_it_computed_in_and_is_repeated_in_float32_where_there_is_nothing_else(monkeypatch):
    without_units(monkeypatch, [])
    content, style = (image_of(32, 32, seed)[0].permute(1, 2, 0).numpy() for seed in (1, 2))
    short = Settings(size=32, scales=1, epochs=1, steps_per_epoch=1)
    then = Stylization(content, [style], short).recipe()
    assert (then.engine, then.precision) == ("native", "float32")
    coarse = replace(then, settings=then.settings | {"precision": "bfloat16"})
    again = from_recipe(coarse, content=content, styles=[style])
    assert again.settings.precision is Precision.FLOAT32
    assert again.recipe().precision == "float32"


def test_a_recipe_names_the_unit_that_rounded(frozen, monkeypatch):
    without_units(monkeypatch, [Bf16Kernel.AVX512, Bf16Kernel.AMX])
    content = image_of(32, 32)[0].permute(1, 2, 0).numpy()
    coarse = Settings(size=32, scales=1, epochs=1, steps_per_epoch=1, precision="bfloat16")
    monkeypatch.setattr(plan, "measure_speed", lambda engine, layers: 1e-6)  # AMX's kernel is there by name only
    job = Stylization(content, [content], coarse)
    assert job.recipe().precision == "bfloat16"
    assert job.recipe().machine.endswith(" AMX")


def test_the_trial_wants_a_clear_win(monkeypatch):
    threads = torch.get_num_threads()
    for faster, wins in ((1.1, False), (1.2, True)):
        engines = {NativeEngine: faster, Bf16Engine: 1.0}
        monkeypatch.setattr(trial, "seconds_of_a_pass", lambda engine, of=engines: of[type(engine)])
        monkeypatch.setattr(native_bf16, "why_no_bf16", lambda: None)
        monkeypatch.setattr(native_bf16, "bf16_kernels", lambda: [Bf16Kernel.AVX512])
        assert (trial.speed_of_bfloat16() >= trial.CLEARLY) is wins
    assert torch.get_num_threads() == threads


def test_doctor_names_what_multiplies_bfloat16(monkeypatch):
    monkeypatch.setattr(native_library, "bf16_kernels", lambda: [Bf16Kernel.AVX512, Bf16Kernel.AMX])
    assert _engines()["bfloat16"] == ["AVX512-BF16", "AMX"]
    monkeypatch.setattr(native_library, "bf16_kernels", list)
    assert _engines()["bfloat16"] == []
    assert "AVX512-BF16 or AMX" in _engines()["why_no_bfloat16"]


@pytest.mark.skipif(sys.platform != "linux", reason="no list of x86-64's instructions")
def test_the_kernels_are_those_that_linux_lists():
    flags = set(next(f for f in Path("/proc/cpuinfo").read_text().splitlines() if f.startswith("flags")).split())
    found = native_library.bf16_kernels()
    assert (Bf16Kernel.AVX512 in found) == ({"avx512_bf16", "avx512bw"} <= flags)
    if Bf16Kernel.AMX in found:  # the system may refuse it
        assert {"amx_bf16", "amx_tile"} <= flags
