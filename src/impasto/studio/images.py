"""Uploads: streamed to disk within limits, read in a process of their own, kept once however often they come."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
import unicodedata
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto.errors import ImageError
from impasto.settings import roles
from impasto.settings.knob import Group
from impasto.settings.settings import Settings
from impasto.studio import reading
from impasto.studio.config import StudioConfig
from impasto.studio.models import FoundRecipe, Image, RecipeInput
from impasto.studio.orders import new_id
from impasto.studio.problems import TooLargeError
from impasto.studio.schema import is_place, names_pictures
from impasto.studio.store import Store, hours_ago, now
from impasto.swatches.registry import SWATCHES

UNFIT = re.compile(r"[^\w.() +-]+")
"""What a file's name here never holds."""

OWN = "own"
"""The folder of an upload's own file, whatever that is called, beside what is made of it."""

FILMS = ("content", "any")
"""Roles of what may be a film; a style is a picture, if one of many frames."""

MOST_READERS = 2
"""Pictures that are read at once."""


class Images:
    """The studio's uploads; raises `ImageError` for what is neither picture nor film, `TooLargeError` for too much."""

    def __init__(self, config: StudioConfig, store: Store) -> None:
        self.config, self.store = config, store
        self._readers = asyncio.Semaphore(MOST_READERS)
        self._coming: set[str] = set()

    async def receive(self, chunks: AsyncIterator[bytes], name: str, role: str, *, shelf: bool = True) -> Image:
        """Take an upload in; the same bytes give the same image."""
        folder = self.config.data / "images" / (id := new_id())
        kept = False
        self._coming.add(id)
        try:
            (folder / OWN).mkdir(mode=0o700, parents=True)
            file = folder / OWN / safe_name(name)
            digest = await self._stream(chunks, file)
            if (known := self.store.image_by_hash(digest)) is not None:
                return self._again(known, role, shelf)
            async with self._readers:
                found = await asyncio.to_thread(self._read, file, folder, role)
            if (known := self.store.image_by_hash(digest)) is not None:  # sent twice at the same time
                return self._again(known, role, shelf)
            address = f"/api/v1/images/{id}"
            image = Image(
                id=id,
                name=_shown(name),
                role=role,
                width=found["width"],
                height=found["height"],
                bytes=file.stat().st_size,
                sha256=digest,
                added=now(),
                shelf=shelf,
                thumbnail=f"{address}/thumbnail",
                view=f"{address}/view",
                file=f"{address}/file",
                film=found["film"],
                recipe=None if found["recipe"] is None else self._recipe(json.loads(found["recipe"])),
            )
            self.store.add_image(image, file)
            kept = True
            return image
        except OSError as error:
            raise TooLargeError(f"The picture can't be kept ({error.strerror})", "make room on the disk") from error
        finally:
            self._coming.discard(id)
            if not kept:
                shutil.rmtree(folder, ignore_errors=True)

    async def adopt(self, file: Path, name: str) -> Image:
        """Take in a picture that the studio painted itself."""

        async def chunks() -> AsyncIterator[bytes]:
            with file.open("rb") as stream:
                while chunk := await asyncio.to_thread(stream.read, 2**20):
                    yield chunk

        return await self.receive(chunks(), name, "any", shelf=False)

    def shown(self, id: str, kind: str) -> Path:
        """The file of an image's thumbnail, view, or itself; raises `KeyError`."""
        return self.store.image_file(id) if kind == "file" else self.config.data / "images" / id / f"{kind}.webp"

    async def converted(self, picture: Path, suffix: str) -> Path:
        """A painted picture in another format, with its recipe."""
        if suffix == picture.suffix:
            return picture
        target = picture.with_name(f"download{suffix}")
        if not target.exists() or target.stat().st_mtime < picture.stat().st_mtime:
            async with self._readers:
                draft = picture.with_name(f"{new_id()}{suffix}")
                await asyncio.to_thread(reading.convert, picture, draft, self.config.limits)
                draft.replace(target)
        return target

    async def write_original(self, film: Path, size: tuple[int, int], time: Fraction, target: Path) -> None:
        """A film's frame that is shown at a time, as a page shows it; raises `ImpastoError`."""
        async with self._readers:
            draft = target.with_name(f"{new_id()}.webp")
            await asyncio.to_thread(reading.write_original, film, size, time, draft, self.config.limits)
            draft.replace(target)

    def sweep(self) -> None:
        """Remove what nobody can reach any more: off the shelf and in no job, or left by an upload that broke off."""
        folders = [folder for folder in (self.config.data / "images").iterdir() if folder.name not in self._coming]
        for folder in folders:
            image = self.store.image(folder.name)
            if image is None or self.store.forget_image(image.id, added_before=hours_ago(1)):
                shutil.rmtree(folder, ignore_errors=True)

    async def _stream(self, chunks: AsyncIterator[bytes], file: Path) -> str:
        """Write an upload; its SHA-256."""
        limits, digest, size = self.config.limits, hashlib.sha256(), 0
        with file.open("wb") as stream:
            async for chunk in chunks:
                size += len(chunk)
                if size > limits.upload_bytes:
                    raise TooLargeError(
                        f"The file has more than {limits.upload_bytes // 1_000_000} MB", "use a smaller one"
                    )
                digest.update(chunk)
                await asyncio.to_thread(stream.write, chunk)
        if not size:
            raise ImageError("The file is empty", "use another copy")
        return digest.hexdigest()

    def _read(self, file: Path, folder: Path, role: str) -> dict[str, Any]:
        return reading.read_upload(file, folder, self.config.limits, films=role in FILMS)

    def _again(self, image: Image, role: str, shelf: bool) -> Image:
        """An image that is here already, back on the shelf."""
        found = self.store.change_image(
            image.id, shelf=image.shelf or shelf, role=role if role != "any" else image.role
        )
        return found or image

    def _recipe(self, recipe: dict[str, Any]) -> FoundRecipe:
        """What a painted picture was made of, with the ids of what is here."""
        painted = recipe["impasto"]

        def here(file: dict[str, Any], *, style: bool = False) -> RecipeInput:
            known = self.store.image_by_hash(file["sha256"])
            swatch = file["name"] if style and file["path"] is None and file["name"] in SWATCHES else None
            return RecipeInput(
                name=file["path"] or file["name"], image=None if known is None else known.id, swatch=swatch
            )

        ended_with = painted["settings"]
        for change in painted["schedule"]:
            ended_with = ended_with | change["knobs"]
        knobs = {
            knob: value
            for knob, value in ended_with.items()
            if knob in Settings.model_fields and not is_place(knob) and not names_pictures(knob)
        }
        return FoundRecipe(
            settings=changed_from_defaults(knobs),
            content=here(painted["content"]),
            styles=[here(style, style=True) for style in painted["styles"]],
            **self._others(painted, here),
        )

    def _others(self, painted: dict[str, Any], here: Callable[..., RecipeInput]) -> dict[str, Any]:
        """Single images by their role, and masks, None for a word: the recipe has the masks' files in a row."""
        left = iter(painted["masks"])
        single = {knob: None if painted[knob] is None else here(painted[knob]) for knob in roles.single_images()}
        return single | {
            f"{knob}s": [
                here(next(left)) if roles.is_file(knob, name) else None for name in painted["settings"].get(knob, ())
            ]
            for knob in roles.image_lists()
        }


def changed_from_defaults(knobs: dict[str, Any]) -> dict[str, Any]:
    """The knobs that aren't what they are by themselves, nor only decided by the machine that painted."""
    usual = Settings(objective=knobs.get("objective", "normalized")).model_dump(mode="json")
    machine = (Group.NETWORK, Group.MEMORY)
    of_machine = {knob for knob in roles.settled() if roles.of(knob).group in machine}
    return {knob: value for knob, value in knobs.items() if value != usual[knob] and knob not in of_machine}


def safe_name(name: str) -> str:
    """A name for an upload's file: its own where nothing is wrong with it, 'picture' where nothing is left."""
    plain = unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2])
    plain = UNFIT.sub("_", plain).strip(". ")
    stem, dot, suffix = plain.rpartition(".")
    stem, suffix = (stem, suffix[:8]) if dot else (plain, "")
    while len(stem.encode()) > 80:
        stem = stem[:-1]
    return f"{stem or 'picture'}.{suffix}" if suffix else stem or "picture"


def _shown(name: str) -> str:
    """A name as a page shows it: without folders and what can't be seen."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:200].strip() or "picture"
