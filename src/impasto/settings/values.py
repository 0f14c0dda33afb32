"""What a single knob may hold where its type and range don't say, and pydantic's findings as our error."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError

from impasto.errors import SettingsError

LAYER_NAME = re.compile(r"(conv|relu)(1_[12]|2_[12]|3_[1-4]|4_[1-4]|5_[1-4])|pool[1-5]")
"""The names a loss may use: VGG19's convolutions, ReLUs and poolings (Simonyan & Zisserman 2014, configuration E)."""

MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([MG])i?B?", re.IGNORECASE)
"""A number of megabytes or gigabytes."""

ORIGINAL = "original"

NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
RESOLUTION = rf"(?P<unit>cm|mm|in)@(?P<dpi>{NUMBER})dpi"
PRINT = re.compile(rf"(?P<length>{NUMBER}){RESOLUTION}")
"""The longest side of a print with its unit and its resolution in pixels an inch: 30cm@300dpi."""

PER_INCH = {"in": 1.0, "cm": 2.54, "mm": 25.4}
LEAST_SIDE, MOST_SIDE = 16, 65536
LEAST_DPI, MOST_DPI = 1, 10000
"""What files can hold of it: JPEG has 16 bits."""

DEVICE_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class WrongValueError(ValueError):
    """What is wrong with a value, as a clause whose subject is the knob, and the cure."""

    def __init__(self, fault: str, cure: str = "") -> None:
        super().__init__(fault)
        self.fault, self.cure = fault, cure


WHOLE = re.compile(r"[0-9]{1,12}")

MOST_THREADS = 4096

STOP_WINDOW = 10
"""Steps over which `stop_gain` averages what they gain on as many before."""


def auto_or_number(otherwise: str, allowed: Callable[[int], bool]) -> Callable[[Any], int | str]:
    """A check that takes 'auto' and whole numbers that are `allowed`, which `otherwise` says in words."""

    def check(value: Any) -> int | str:
        if value == "auto":
            return value
        if isinstance(value, bool) or not WHOLE.fullmatch(str(value)) or not allowed(int(value)):
            raise WrongValueError(f"should be 'auto' or {otherwise}")
        return int(value)

    return check


def auto_or_between(least: float, most: float) -> Callable[[Any], float | str]:
    """A check that takes 'auto' and numbers from `least` to `most`."""

    def check(value: Any) -> float | str:
        if value == "auto":
            return value
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if isinstance(value, bool) or not least <= number <= most:
            raise WrongValueError(f"should be 'auto' or a number from {least:g} to {most:g}")
        return number

    return check


def memory(value: str) -> str:
    """'auto' or an amount of memory, see `bytes_of`."""
    if value != "auto" and MEMORY.fullmatch(value) is None:
        raise WrongValueError("should be 'auto' or a number with its unit, such as 3GB or 800MB")
    return value


def bytes_of(amount: str) -> int | None:
    """'3GB' -> 3,000,000,000; None for 'auto'."""
    found = MEMORY.fullmatch(amount)
    return None if found is None else int(float(found[1]) * (1e9 if found[2] in "gG" else 1e6))


def size(value: Any) -> int | str:
    """A number of pixels, 'original', or the longest side of a print with its resolution, without spaces."""
    if isinstance(value, str):
        text = re.sub(r"\s", "", value).lower()
        if text == ORIGINAL:
            return ORIGINAL
        if printed := PRINT.fullmatch(text):
            _check_print(printed)
            return text
    try:
        pixels = float(value)
    except (TypeError, ValueError, OverflowError):
        pixels = math.nan
    if isinstance(value, bool) or not pixels.is_integer():
        raise WrongValueError(
            "should be a number of pixels, 'original', or a print's longest side, such as 30cm@300dpi"
        )
    if not pixels >= LEAST_SIDE:
        raise WrongValueError(f"should be greater than or equal to {LEAST_SIDE}")
    if not pixels <= MOST_SIDE:
        raise WrongValueError(f"should be less than or equal to {MOST_SIDE}")
    return int(pixels)


def _check_print(printed: re.Match[str]) -> None:
    dpi, pixels = float(printed["dpi"]), pixels_of(float(printed["length"]), printed)
    if not LEAST_DPI <= dpi <= MOST_DPI:
        raise WrongValueError(f"should have from {LEAST_DPI} to {MOST_DPI} dpi, not {dpi:g}")
    if not LEAST_SIDE <= pixels <= MOST_SIDE:
        raise WrongValueError(f"should come to {LEAST_SIDE} to {MOST_SIDE} pixels, not {pixels}")


def pixels_of(length: float, printed: re.Match[str]) -> int:
    """A length on a print in pixels, in the unit and at the resolution that a match of `PRINT` has."""
    return round(length / PER_INCH[printed["unit"]] * float(printed["dpi"]))


def longest_side(size: int | str) -> int | None:
    """A size in pixels; None for the photo's own."""
    printed = PRINT.fullmatch(size) if isinstance(size, str) else None
    return pixels_of(float(printed["length"]), printed) if printed else None if isinstance(size, str) else size


def dpi_of(size: int | str) -> float | None:
    """The resolution that a size tells, in pixels an inch."""
    printed = PRINT.fullmatch(size) if isinstance(size, str) else None
    return float(printed["dpi"]) if printed else None


def device(value: str) -> str:
    """A device's name, whether it is there or not."""
    if DEVICE_NAME.fullmatch(value) is None:
        raise WrongValueError("should be auto, cpu, cuda, cuda:N or mps")
    return value


def layers(value: tuple[str, ...]) -> tuple[str, ...]:
    """Names of VGG19's layers, each once."""
    for name in value:
        if LAYER_NAME.fullmatch(name) is None:
            raise WrongValueError(
                f"names {name!r}, which VGG19 doesn't have", "use conv1_1 … conv5_4, relu1_1 … relu5_4 or pool1 … pool5"
            )
    if len(set(value)) < len(value):
        raise WrongValueError("names a layer twice", "name each once and use its weight")
    return value


PLAIN = {
    kind: f"should be {wanted}"
    for wanted, kinds in {
        "a whole number": ("int_parsing", "int_from_float", "int_type"),
        "a number": ("float_parsing", "float_type"),
        "true or false": ("bool_parsing", "bool_type"),
    }.items()
    for kind in kinds
}
"""Pydantic's findings that say more than is needed, by their type."""


def as_settings_error(found: ValidationError, known: Iterable[str]) -> SettingsError:
    """Pydantic's findings as one error, with an error for each further knob in `others`."""
    first, *others = (_as_error(dict(finding), list(known)) for finding in found.errors())
    return SettingsError(first.fault, first.cure, knob=first.knob, value=first.value, others=others)


def _as_error(finding: dict[str, Any], known: list[str]) -> SettingsError:
    name, value = str(finding["loc"][0]), finding["input"]
    if finding["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, n=1)
        shown = f"`{name}`" if re.fullmatch(r"\w+", name) else repr(name)
        cure = f"did you mean `{near[0]}`?" if near else ""
        return SettingsError(f"{shown} is not a setting", cure, knob=name, value=value)
    wrong = finding.get("ctx", {}).get("error")
    if not isinstance(wrong, WrongValueError):
        told = str(finding["msg"]).removeprefix("Value error, ").removeprefix("Input ")
        wrong = WrongValueError(PLAIN.get(finding["type"], told))
    is_value = f"is {value!r} but " if wrong.fault.startswith("should") else ""
    return SettingsError(f"`{name}` {is_value}{wrong.fault}", wrong.cure, knob=name, value=value)
