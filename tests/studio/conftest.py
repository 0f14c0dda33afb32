"""A studio that serves from a process of its own, and one that is only asked, without painting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from served import SMALL, Desk, Served, sent


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photo.png, other.png, brush.jpg, dots.png and mask.png."""
    import torch

    from helpers import smooth_image
    from impasto.images.writing import to_pil

    folder = tmp_path_factory.mktemp("pictures")
    for seed, name in enumerate(("photo.png", "other.png", "brush.jpg", "dots.png")):
        to_pil(smooth_image(48, 64, seed=seed)).save(folder / name)
    half = torch.zeros((1, 3, 48, 64))
    half[..., 32:] = 1
    to_pil(half).save(folder / "mask.png")
    return folder


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio that serves and paints, the same for a whole module."""
    served = Served(tmp_path_factory.mktemp("studio") / "data")
    yield served
    assert "Traceback" not in served.close()


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes studios that answer in this process and never paint: what is put into the queue stays there."""
    from impasto.studio.config import Limits, StudioConfig

    made: list[Desk] = []

    def ask(data: str = "data", *, limits: dict[str, int] | None = None, **config: Any) -> Desk:
        made.append(Desk(StudioConfig(tmp_path / data, limits=Limits(**limits or {}), **config)))
        return made[-1]

    yield ask
    for desk in made:
        desk.close()


@pytest.fixture
def desk(asked: Callable[..., Desk]) -> Desk:
    """One of those, as it is by itself."""
    return asked()


@pytest.fixture
def order(pictures: Path) -> Callable[..., dict[str, Any]]:
    """Uploads a photo to a studio that is only asked, and makes the body of a request for jobs."""

    def make(desk: Desk, *contents: str, **request: Any) -> dict[str, Any]:
        ids = [sent(desk, pictures / name)["id"] for name in contents or ("photo.png",)]
        return {"contents": ids, "styles": [{"swatch": "dots"}], "settings": SMALL} | request

    return make
