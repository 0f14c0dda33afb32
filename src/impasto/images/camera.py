"""What a camera noted in a photo's EXIF, as far as it is still true of a picture painted from it."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Mapping

from PIL import ExifTags, Image

from impasto.images import bigtiff

MAIN_FOLDER, EXIF_FOLDER, GPS_FOLDER = None, int(ExifTags.IFD.Exif), int(ExifTags.IFD.GPSInfo)

MAIN_TAGS = frozenset(
    ExifTags.Base[name] for name in ("ImageDescription", "Make", "Model", "Artist", "Copyright", "DateTime")
)
"""Of EXIF 2.32's main folder; orientation, resolution and whatever describes the file's own pixels are left out."""

EXIF_TAGS = frozenset(ExifTags.Base[name] for name in (
    "ExposureTime", "FNumber", "ExposureProgram", "ISOSpeedRatings", "SensitivityType", "DateTimeOriginal",
    "DateTimeDigitized", "OffsetTime", "OffsetTimeOriginal", "OffsetTimeDigitized", "SubsecTime",
    "SubsecTimeOriginal", "SubsecTimeDigitized", "ShutterSpeedValue", "ApertureValue", "BrightnessValue",
    "ExposureBiasValue", "MaxApertureValue", "SubjectDistance", "MeteringMode", "LightSource", "Flash",
    "FocalLength", "ExposureMode", "WhiteBalance", "DigitalZoomRatio", "FocalLengthIn35mmFilm", "SceneCaptureType",
    "GainControl", "Contrast", "Saturation", "Sharpness", "LensSpecification", "LensMake", "LensModel",
))  # fmt: skip
"""Of its folder of exposure; makers' notes, serial numbers and owners' names are left out."""

MOST_BYTES = 16_000
"""Of all of it: cameras write less than 2,000."""


def read(image: Image.Image) -> bytes | None:
    """What the camera noted, with the place (GPS), as EXIF; None where there is nothing, or nothing sound."""
    with contextlib.suppress(Exception):  # a stranger's EXIF may be damaged in any way
        if "exif" not in image.info and image.format != "TIFF":
            return None  # here PNG's getexif() would look behind the pixels
        coded = _picked(image.getexif(), {MAIN_FOLDER: MAIN_TAGS, EXIF_FOLDER: EXIF_TAGS, GPS_FOLDER: None})
        return coded if coded is not None and len(coded) <= MOST_BYTES else None
    return None


def chosen(exif: bytes | None, *, camera: bool, place: bool) -> bytes | None:
    """Of what `read` gave: what the camera did, where it was, both or neither; None where that is nothing."""
    if exif is None:
        return None
    found = Image.Exif()
    found.load(exif)
    folders = {MAIN_FOLDER: MAIN_TAGS, EXIF_FOLDER: EXIF_TAGS} if camera else {}
    return _picked(found, folders | ({GPS_FOLDER: None} if place else {}))


def _is_ours(value: object) -> bool:
    """Whether this is a note of ours, which a BigTIFF carries as its description: the picture gets one of its own."""
    return isinstance(value, str) and value.startswith(bigtiff.NOTE)


def _picked(exif: Image.Exif, folders: Mapping[int | None, Container[int] | None]) -> bytes | None:
    """EXIF of the tags named of each folder, all of them where it has None; None where there are none at all."""
    kept, empty = Image.Exif(), True
    for folder, tags in folders.items():
        values = dict(exif) if folder is None else exif.get_ifd(folder)
        if picked := {
            tag: value for tag, value in values.items() if (tags is None or tag in tags) and not _is_ours(value)
        }:
            empty = False
            (kept if folder is None else kept.get_ifd(folder)).update(picked)
    return None if empty else kept.tobytes()
