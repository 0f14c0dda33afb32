"""The photo and the painting that every benchmark uses, cut and resized once so that nobody resizes them again."""

from importlib.util import find_spec
from pathlib import Path

import PIL.Image

PAINTING = Path("/work/shared/images/starry_night.jpg")
SWATCH = "flow"


def photograph() -> Path:
    """A photo of 600×400 px that scikit-image's wheel carries."""
    return packaged("skimage/data/coffee.png")


def packaged(name: str) -> Path:
    """A picture that scikit-image's or scikit-learn's wheel carries, by package/path; the package isn't imported."""
    package, _, file = name.partition("/")
    found = find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"{package} is not installed, which carries {file}: pip install scikit-image scikit-learn")
    return Path(found.origin).parent / file


def painting() -> Path | None:
    """The Starry Night where it is at hand; None means the swatch."""
    return PAINTING if PAINTING.is_file() else None


def prepared(folder: Path, size: tuple[int, int], content: Path | None = None, style: Path | None = None) -> list[Path]:
    """Both pictures as PNG of exactly `size` (h, w): the middle is cut out in that shape, then resized."""
    style = style or painting()
    pictures = [_opened(content or photograph())]
    if style is not None:
        pictures.append(_opened(style))
    else:
        from impasto.swatches import catalogue as swatches

        pictures.append(PIL.Image.fromarray(swatches.paint(SWATCH, (768, 768))))
    paths = []
    for role, picture in zip(("content", "style"), pictures, strict=True):
        paths.append(folder / f"{role}_{size[1]}x{size[0]}.png")
        _cut(picture, size).save(paths[-1])
    return paths


def _opened(path: Path) -> PIL.Image.Image:
    with PIL.Image.open(path) as picture:
        return picture.convert("RGB")


def _cut(picture: PIL.Image.Image, size: tuple[int, int]) -> PIL.Image.Image:
    height, width = size
    scale = min(picture.width / width, picture.height / height)
    left, top = (picture.width - scale * width) / 2, (picture.height - scale * height) / 2
    box = (left, top, left + scale * width, top + scale * height)
    return picture.resize((width, height), PIL.Image.Resampling.BILINEAR, box=box)
