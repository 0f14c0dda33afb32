"""Whether frames that are there are those that are asked for: by what is in the film, the settings and the versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from impasto.images.size import Size
from impasto.jobs.batch.fingerprint import HOW, Fingerprints
from impasto.jobs.video.clip import Clip, library
from impasto.jobs.video.flow import library as flow_library
from impasto.jobs.video.steadiness import Steadiness
from impasto.settings import roles
from impasto.settings.settings import Settings


def film_key(
    clip: Clip,
    size: Size,
    styles: Sequence[str],
    settings: Settings,
    part: Mapping[str, object],
    steadiness: Steadiness,
) -> str:
    """A SHA-256 over what is in the film, the styles and masks, the settings and the versions."""
    prints = Fingerprints()
    versions = {name: version(name) for name in ("impasto", "torch")}
    versions |= {"av": library().__version__, "opencv": flow_library().__version__}
    made_of = {
        "versions": versions,
        "settings": {
            knob: roles.with_files(knob, value, prints.file)
            for knob, value in settings.model_dump(mode="json").items()
            if knob not in HOW
        },
        "steadiness": asdict(steadiness),
        "part": {name: str(value) for name, value in part.items()},
        "size": size,
        "film": [prints.file(file) for file in clip.files],
        "styles": [prints.file(style) if Path(style).exists() else style for style in styles],
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def absolute(styles: Sequence[str], clip: Clip, settings: Settings) -> tuple[tuple[str, ...], Clip, Settings]:
    """The same with the whole paths of all files, as processes elsewhere need them."""

    def whole(file: str) -> str:
        return str(Path(file).absolute())

    knobs = {knob: roles.with_files(knob, value, whole) for knob, value in settings.model_dump(mode="json").items()}
    found = tuple(whole(style) if Path(style).exists() else style for style in styles)
    moved = replace(clip, files=tuple(map(whole, clip.files)), path=whole(clip.path))
    return found, moved, Settings(**knobs)
