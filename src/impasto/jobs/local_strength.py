"""How much of the strength each place of a canvas gets: by a map, and less where faces are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from impasto.images.faces import LONGEST, Face, find_faces, strength_around
from impasto.images.size import Size, fit, size_of
from impasto.objective.regions import resized_mask
from impasto.settings.choices import Guard
from impasto.settings.settings import Settings

Faces = tuple[Face, ...]


def guarded_faces(content: Tensor, settings: Settings, known: Sequence[Face] | None = None) -> Faces | None:
    """The faces in a content (1, 3, h, w) if settings guard them, the `known` ones where there are; None if they don't.

    Raises `ImpastoError` where faces are to be found and the detector isn't installed.
    """
    if settings.guard is Guard.FACES and known is None:
        return find_faces(content)
    return None if known is None else tuple(known)


def strength_shares(strength_map: Tensor | None, faces: Faces | None, content: Size) -> Tensor | None:
    """The share of the strength at each place (1, 1, h, w): a map's, times what faces get; None for all of it."""
    if not faces:
        return strength_map
    size = fit(content, min(max(content), LONGEST))
    if strength_map is None:
        return strength_around(faces, size)
    height, width = (max(sides) for sides in zip(size_of(strength_map), size, strict=True))
    return resized_mask(strength_map, (height, width)) * strength_around(faces, (height, width))
