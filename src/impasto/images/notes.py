"""The note that a saved image carries: in EXIF's UserComment, or in a BigTIFF's ImageDescription."""

from __future__ import annotations

import contextlib

from PIL import Image

from impasto.images import bigtiff
from impasto.settings.values import LEAST_DPI, MOST_DPI

IMAGE_DESCRIPTION, SOFTWARE, EXIF_FOLDER, USER_COMMENT = 0x010E, 0x0131, 0x8769, 0x9286

X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, INCH, CENTIMETRE = 0x011A, 0x011B, 0x0128, 2, 3

ASCII, UNICODE = b"ASCII\0\0\0", b"UNICODE\0"  # EXIF 2.3, 4.6.5: the first 8 bytes of UserComment


def to_exif(note: str | None, camera: bytes | None = None, dpi: float | None = None) -> bytes:
    """EXIF that holds a note in UserComment, beside what a camera noted, and a resolution that has no other place."""
    exif = Image.Exif()
    if camera is not None:
        exif.load(camera)
    exif[SOFTWARE] = "impasto"  # Pillow drops EXIF whose main folder is empty
    if dpi is not None:
        exif[X_RESOLUTION] = exif[Y_RESOLUTION] = dpi
        exif[RESOLUTION_UNIT] = INCH
    if note is None:
        return exif.tobytes()
    coded = ASCII + note.encode() if note.isascii() else UNICODE + note.encode("utf-16-le", "surrogatepass")
    exif.get_ifd(EXIF_FOLDER)[USER_COMMENT] = coded
    return exif.tobytes()


def resolution(image: Image.Image) -> float | None:
    """The pixels an inch that an opened image tells, in its format's own field or in EXIF, if they are of any use."""
    across, down = image.info.get("dpi") or (None, None)
    if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2):
        across = down = None  # Pillow takes 72 where EXIF tells none
    if across is None and "exif" in image.info:
        exif = image.getexif()
        across, down = exif.get(X_RESOLUTION), exif.get(Y_RESOLUTION)
        if exif.get(RESOLUTION_UNIT) == CENTIMETRE and across and down:
            across, down = 2.54 * float(across), 2.54 * float(down)
    if across is None or down is None or abs(float(across) - float(down)) > 0.5:
        return None
    dpi = round(float(across), 2)  # PNG and BMP count by the metre
    return dpi if LEAST_DPI <= dpi <= MOST_DPI else None


def from_exif(exif: Image.Exif) -> str | None:
    """The note that `to_exif` or `bigtiff.write` put in, or None."""
    comment = exif.get_ifd(EXIF_FOLDER).get(USER_COMMENT)
    encoding = {ASCII: "ascii", UNICODE: "utf-16-le"}.get(comment[:8]) if isinstance(comment, bytes) else None
    if comment is not None and encoding is not None:
        with contextlib.suppress(UnicodeDecodeError):
            return comment[8:].decode(encoding, "surrogatepass" if encoding != "ascii" else "strict")
    description = exif.get(IMAGE_DESCRIPTION)
    if isinstance(description, str) and description.startswith(bigtiff.NOTE):
        return description.removeprefix(bigtiff.NOTE).encode("latin-1", "replace").decode(errors="replace")
    return None
