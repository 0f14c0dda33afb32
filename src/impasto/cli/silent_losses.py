"""What a run would lose or change without a word, said in a line before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from impasto.cli.outputs import Outputs
from impasto.storage.files import quoted

if TYPE_CHECKING:
    from impasto.images.reading import SourceImage
    from impasto.jobs.stylization import Stylization

STRETCHED = 1.02
"""Ratio of a mask's shape to the content's from which on somebody would see that it was stretched."""

ENLARGED = 2.0
"""How many times as large a style is made from where on that is said: sharp edges of a pixel are blurred over more than
the three pixels that the first convolution sees, so its filters find none of them."""

FEW_PIXELS = 64
"""Longest side in pixels below which a style shows no strokes: half of the coarsest canvas's."""


def silent_losses(stylization: Stylization, outputs: Outputs) -> Iterator[str]:
    """A sentence for each."""
    from impasto.images.writing import FORMATS

    kind = FORMATS[outputs.picture.suffix.lower()]
    if outputs.with_recipe and not kind.has_note:
        yield f"{quoted(outputs.picture)} can't carry the recipe that 'impasto rerun' needs: .png, .tif and .webp can."
    yield from _lost_camera_notes(stylization, outputs)
    inputs = stylization.inputs
    if inputs.content.alpha is not None and not kind.has_alpha:
        yield f"{quoted(outputs.picture)} can't be transparent: what is, is laid over white; .png, .tif and .webp can."
    for image in (inputs.content, *inputs.styles):
        if image.frames > 1:
            yield f"{_named(image)} has {image.frames} frames, of which the first is painted."
    for what, mask in (*(("mask", mask) for mask in inputs.masks), ("strength map", inputs.strength_map)):
        if mask is not None and _ratio(mask, inputs.content) > STRETCHED:
            yield (
                f"The {what} {_named(mask)} is {mask.size[1]}×{mask.size[0]} px and the content "
                f"{inputs.content.size[1]}×{inputs.content.size[0]}: it is stretched to fit."
            )
    for image, times in zip(inputs.styles, inputs.enlargements(stylization.settings), strict=True):
        if times > ENLARGED and image.path is not None:  # a swatch is painted as large as the picture
            yield _enlarged(image, times)
    if inputs.faces is not None:
        yield _guarded(len(inputs.faces), stylization.settings.strength)
    if stylization.asked.style_scale == "auto":
        found = stylization.settings.style_scale
        yield f"--style-scale auto: {found:g}, where the painting's forms are nearest to the photo's in size."
    if len(inputs.styles) > 1 and not inputs.masks:
        yield f"{len(inputs.styles)} styles are blended: {', '.join(_named(style) for style in inputs.styles)}."


def _lost_camera_notes(stylization: Stylization, outputs: Outputs) -> Iterator[str]:
    """What was asked for of the camera's notes and isn't there, or can't be written."""
    from impasto.images import camera
    from impasto.images.writing import FORMATS, is_streamed

    settings, path = stylization.settings, outputs.picture
    holds = FORMATS[path.suffix.lower()].has_note and not is_streamed(path, stylization.plan.size)
    if (settings.keep_exif or settings.keep_gps) and not holds:
        yield f"{quoted(path)} can't carry what the camera noted: .png, .jpg and .webp can."
    noted, named = stylization.content.camera, _named(stylization.content)
    if settings.keep_exif and camera.chosen(noted, camera=True, place=False) is None:
        yield f"{named} has nothing that a camera noted, so there is nothing for --keep-exif to keep."
    if settings.keep_gps and camera.chosen(noted, camera=False, place=True) is None:
        yield f"{named} doesn't say where it was taken, so there is nothing for --keep-gps to keep."


def _enlarged(style: SourceImage, times: float) -> str:
    """What becomes of a style that has fewer pixels than the picture, and what helps."""
    what = f"{_named(style)} is {style.size[1]}×{style.size[0]} px"
    if max(style.size) < FEW_PIXELS:
        return f"{what}, too small to show strokes, and is enlarged {times:.1f} times: give a larger file."
    return (
        f"{what} and is enlarged {times:.1f} times for this size, which makes its finest strokes soft: "
        "a larger file keeps them, or smaller strokes (--style-scale)."
    )


def _guarded(faces: int, strength: float) -> str:
    """What strength the faces that were found get."""
    from impasto.images.faces import SHARE

    if not faces:
        return "No face was found, so there is nothing for --guard faces to keep."
    return f"{faces} {'face' if faces == 1 else 'faces'}: strength {SHARE * strength:.2f} there."


def _ratio(image: SourceImage, other: SourceImage) -> float:
    one, two = (each.size[0] / each.size[1] for each in (image, other))
    return max(one / two, two / one)


def _named(image: SourceImage) -> str:
    return repr(image.path or image.name)
