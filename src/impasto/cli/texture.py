"""`impasto texture`: a painting's manner alone, on a canvas of any size."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli import knobs
from impasto.cli.knobs import OUTPUT
from impasto.cli.outputs import Outputs, inputs, placed, stems
from impasto.cli.progress import following
from impasto.cli.result import Progress, tell_result
from impasto.cli.weights import fetch_if_missing
from impasto.errors import SettingsError
from impasto.settings import values
from impasto.settings.texture import texture_settings
from impasto.storage.process import Interruption

if TYPE_CHECKING:
    from impasto.jobs.texture import Texture


PIXELS = re.compile(r"([1-9]\d{0,5})(?:[x×]([1-9]\d{0,5}))?", re.IGNORECASE)
PRINT = re.compile(rf"({values.NUMBER})(?:[x×]({values.NUMBER}))?{values.RESOLUTION}")


def texture(
    style: Annotated[str, Parameter(help="A painting, or a name from 'impasto swatches'.")],
    /,
    *,
    size: Annotated[
        str,
        Parameter(metavar="WxH", group=OUTPUT, help="Width and height in pixels, or of a print, as 30x20cm@300dpi."),
    ] = "512x512",
    seamless: Annotated[
        bool, Parameter(group=OUTPUT, help="Let copies side by side show no seam: sides are multiples of 16 px then.")
    ] = False,
    output: Annotated[
        str | None,
        Parameter(
            ("--output", "-o"),
            metavar="OUT",
            group=OUTPUT,
            help="Where the texture goes: a picture or a folder. Default: STYLE_texture_impasto.png beside the "
            "painting.",
        ),
    ] = None,
    overwrite: knobs.Overwrite = False,
    json: knobs.AsJson = False,
    quiet: knobs.Quiet = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: Annotated[knobs.TextureKnobs | None, Parameter(name="*")] = None,
) -> int:
    """Fill a canvas with the texture of a painting, from noise, without a photo.

    What a preset, a file or the environment says of photos, colours and starts doesn't matter here. The painting is
    used in its own pixels, or shrunk to the canvas: a bigger canvas gets more of it. A texture carries no recipe:
    'impasto rerun' can't repeat it, but the same command does, unless it has a time (--until).
    """
    width, height = parse_size(size)
    dpi = parse_dpi(size)
    wanted = knobs.from_shell(flags or {}, os.environ, config, preset)
    settings = texture_settings(wanted, (height, width))
    files = Outputs(placed(output, default_texture(Path(style))), overwrite=overwrite)
    if Path(style).parent.is_dir():  # if not, that is the first thing to say, and Texture says it
        files.check(settings, inputs([style], settings, config))
    fetch_if_missing(settings.weights, quiet=quiet)
    from impasto.jobs.texture import Texture

    made = Texture(style, (width, height), settings, seamless=seamless)
    files.check_plan(made.plan)
    return _make(made, files, dpi, as_json=json, quiet=quiet)


def _make(made: Texture, files: Outputs, dpi: float | None, *, as_json: bool, quiet: bool) -> int:
    """Make the texture, write it, say where it is, and return the exit code; the first Ctrl-C saves what there is."""
    from impasto.images import writing

    so_far = Progress()
    with Interruption() as interruption:
        with following(epochs=made.settings.epochs, quiet=quiet) as show:
            for event in made.events():
                so_far.observe(event)
                if interruption.signal is not None:
                    break
                show(event)
        picture = so_far.picture()
        if picture is None:
            return interruption.code
        full = so_far.at_full_size(picture, made.scratch)
        writing.save(files.picture, full, dpi=dpi, overwrite=files.overwrite)
    tell_result(so_far, files, made.settings, as_json=as_json, quiet=quiet)
    return 0 if so_far.finished else interruption.code


def parse_size(text: str) -> tuple[int, int]:
    """'512x256' -> (512, 256), width and height, and '512' -> (512, 512); '2x1in@300dpi' -> (600, 300).

    Raises `SettingsError`.
    """
    plain = re.sub(r"\s", "", text).lower()
    if found := PIXELS.fullmatch(plain):
        return int(found[1]), int(found[2] or found[1])
    if found := PRINT.fullmatch(plain):
        width, height = (values.pixels_of(float(side), found) for side in (found[1], found[2] or found[1]))
        if min(width, height) >= 1 and values.LEAST_DPI <= float(found["dpi"]) <= values.MOST_DPI:
            return width, height
    wanted = "width and height in pixels, such as 512x512, or of a print, such as 30x20cm@300dpi"
    raise SettingsError(f"`size` is {text!r} but should be {wanted}", knob="size", value=text)


def parse_dpi(text: str) -> float | None:
    """The resolution in a size that was parsed, in pixels an inch."""
    found = PRINT.fullmatch(re.sub(r"\s", "", text).lower())
    return None if found is None else float(found["dpi"])


def default_texture(style: Path) -> Path:
    """STYLE_texture_impasto.png beside the painting; here, if it is a swatch."""
    return style.with_name(f"{stems(style)}_texture_impasto.png")
