"""From what a page asks for to jobs: settings checked, images found, one job for each content and combination."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from impasto.errors import ImageError, SettingsError
from impasto.jobs.video.options import FilmOptions
from impasto.settings import presets, roles
from impasto.settings.settings import Settings
from impasto.studio.config import StudioConfig
from impasto.studio.films.files import STILL
from impasto.studio.models import Input, Job, JobRequest, JobSpec, StyleRef
from impasto.studio.runs import RunFiles
from impasto.studio.schema import is_place, names_pictures
from impasto.studio.store import Store, now
from impasto.swatches.registry import SWATCHES

QUICK = "sketch"
"""The preset whose settings a quick look has, unless others are given."""

MOST_JOBS = 625
"""That one request may make."""


def new_id() -> str:
    """An id that nobody guesses."""
    return secrets.token_urlsafe(12)


class Orders:
    """Makes jobs of requests; raises `SettingsError` or `ImageError` for what can't be painted."""

    def __init__(self, config: StudioConfig, store: Store) -> None:
        self.config, self.store = config, store

    def jobs(self, request: JobRequest) -> list[tuple[Job, JobSpec]]:
        """The jobs of a request, every one of them checked."""
        cells, parts = list(_cells(request.vary)), list(_parts(request))
        if (many := len(cells) * len(parts) * len(request.contents)) > MOST_JOBS:
            raise SettingsError(f"That makes {many} jobs at once", f"ask for {MOST_JOBS} or fewer")
        if request.film is not None and not any(map(self._is_film, request.contents)):
            raise SettingsError("`film` is set, but none of the contents is one", "leave it out", knob="film")
        group = new_id() if many > 1 else None
        named = {} if request.title is None else {"title" if group is None else "group_title": request.title}
        made = [
            self._job(spec, group, {knob: _shown(value) for knob, value in cell.items()}, quick=request.quick)
            for content in request.contents
            for part in parts
            for cell in cells
            for spec in [self._spec(part, content, cell)]
        ]
        return [(job.model_copy(update=named | {"place": place}), spec) for place, (job, spec) in enumerate(made)]

    def job(self, spec: JobSpec) -> tuple[Job, JobSpec]:
        """A job of its own."""
        return self._job(spec, None, {}, quick=False)

    def settings(self, preset: str | None, given: dict[str, Any]) -> Settings:
        """All settings of a preset and what was given beside it; raises `SettingsError`."""
        for knob, value in given.items():
            if knob in Settings.model_fields and (is_place(knob) or _names_files(knob, value)):
                raise SettingsError(
                    f"`{knob}` names something on the studio's machine, which isn't chosen from here",
                    "upload a picture for it" if names_pictures(knob) else "leave it out",
                    knob=knob,
                    value=value,
                )
        return Settings(**{**self.config.base, **self._preset(preset), **given})

    def files(self, id: str, spec: JobSpec) -> RunFiles:
        """What the process that paints a job is told; raises `ImageError` where an image has gone."""
        named: dict[str, Any] = {knob: self._masks(knob, getattr(spec, f"{knob}s")) for knob in roles.image_lists()}
        named |= {knob: str(self.file(image)) for knob in roles.single_images() if (image := getattr(spec, knob))}
        settings = self.settings(spec.preset, spec.settings).model_dump(mode="json")
        settings |= {knob: value for knob, value in named.items() if value}
        film = None if spec.film is None else spec.film.model_dump()
        content = self.file(spec.content, whole=film is not None)
        styles = tuple(style.swatch or str(self.file(style.image or "")) for style in spec.styles)
        _check_counts(Settings(**settings), len(styles))  # together with the masks
        return RunFiles(self.config.data / "runs" / id, content, styles, settings, film)

    def file(self, image: str, *, whole: bool = False) -> Path:
        """Where an image's bytes are, of a film those of its first frame, or the `whole` of it; raises `ImageError`."""
        if (found := self.store.image(image)) is None:
            raise ImageError("A picture of this job isn't in the studio", "drop it again")
        if found.film is None or whole:
            return self.store.image_file(image)
        return self.config.data / "images" / image / STILL

    def style(self, style: StyleRef) -> Input:
        """A style as a page shows it."""
        if style.swatch is not None:
            return Input(swatch=style.swatch, name=style.swatch, thumbnail=swatch_thumbnail(style.swatch))
        return self._input(style.image or "")

    def _input(self, image: str) -> Input:
        if (found := self.store.image(image)) is None:
            raise ImageError("A picture of this job isn't in the studio", "drop it again")
        return Input(image=found.id, name=found.name, thumbnail=found.thumbnail)

    def _is_film(self, image: str) -> bool:
        found = self.store.image(image)
        return found is not None and found.film is not None

    def _film(self, request: JobRequest, content: str) -> FilmOptions | None:
        """The options of a content, None where a picture of it is wanted; raises `SettingsError`."""
        found = self.store.image(content)
        if request.quick or found is None or found.film is None:
            return None
        options = request.film or FilmOptions()
        options.check()
        begin, seconds = options.part().begin, found.film.seconds
        if begin is not None and begin >= seconds > 0:
            fault = f"`from` is {options.begin}, but the film lasts {seconds:g} s"
            raise SettingsError(fault, "give an earlier time", knob="from", value=options.begin)
        return options

    def _spec(self, request: JobRequest, content: str, cell: dict[str, Any]) -> JobSpec:
        quick = presets.load(QUICK).knobs if request.quick else {}
        return JobSpec(
            content=content,
            styles=request.styles,
            preset=request.preset,
            settings={**quick, **request.settings, **cell},
            masks=request.masks,
            style_masks=request.style_masks,
            strength_map=request.strength_map,
            init=request.init,
            film=self._film(request, content),
        )

    def _job(self, spec: JobSpec, group: str | None, labels: dict[str, str], *, quick: bool) -> tuple[Job, JobSpec]:
        id = new_id()
        content, styles = self._input(spec.content), [self.style(style) for style in spec.styles]
        _check_swatches(spec.styles)
        files = self.files(id, spec)
        names = " + ".join(Path(style.name).stem for style in styles)
        job = Job(
            id=id,
            group=group,
            title=f"{Path(content.name).stem} × {names}"[:200],
            created=now(),
            content=content,
            styles=styles,
            preset=spec.preset,
            settings=spec.settings,
            scheduled=files.scheduled_knobs(),
            **spec.model_dump(include={*roles.single_images(), *(f"{knob}s" for knob in roles.image_lists())}),
            labels=labels,
            quick=quick,
            film=spec.film,
        )
        return job, spec

    def _masks(self, knob: str, masks: Sequence[str | None]) -> list[str]:
        (word,) = roles.of(knob).file_words or ("",)
        return [word if mask is None else str(self.file(mask)) for mask in masks] if any(masks) else []

    def _preset(self, name: str | None) -> dict[str, Any]:
        if name is None:
            return {}
        if name not in presets.paths():  # a name, never a path
            raise SettingsError(f"`preset` is {name!r}, which isn't one", "choose one that is shown", knob="preset")
        return dict(presets.load(name).knobs)


def swatch_thumbnail(name: str) -> str:
    """The address of a swatch's thumbnail."""
    return f"/static/swatches/{name}.webp"


def _check_swatches(styles: Sequence[StyleRef]) -> None:
    for style in styles:
        if style.swatch is not None and style.swatch not in SWATCHES:
            raise ImageError(f"{style.swatch!r} is not a swatch", "take one from the shelf")


def one_per_style(settings: Settings, knob: str, styles: int) -> None:
    """Raise `SettingsError` where a knob has values, but not one for each style."""
    if (given := len(getattr(settings, knob))) and given != styles:
        raise SettingsError(f"`{knob}` has {given} values for {styles} styles", "give one per style", knob=knob)


def _check_counts(settings: Settings, styles: int) -> None:
    """Raise `SettingsError` for what `jobs.inputs` would refuse once the images are open."""
    for knob in (*roles.image_lists(), "style_weights"):
        one_per_style(settings, knob, styles)
    if settings.mask_erosion and not any(getattr(settings, knob) for knob in roles.image_lists()):
        raise SettingsError("`mask_erosion` is set but there is no `mask`", "give one per style", knob="mask_erosion")


def _names_files(knob: str, value: Any) -> bool:
    """Whether a value names a file: 'noise' for `init` is a word, anything else a path."""
    values = value if isinstance(value, list | tuple) else [value]
    return names_pictures(knob) and any(not isinstance(one, str) or roles.is_file(knob, one) for one in values)


def _cells(vary: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Each combination of what varies; one that is empty where nothing does."""
    return (dict(zip(vary, values, strict=True)) for values in product(*vary.values()))


def _parts(request: JobRequest) -> Iterator[JobRequest]:
    """The request itself, or one for each of its styles with that style's masks; raises `SettingsError`."""
    if not request.each_style:
        yield request
        return
    masks = {knob: getattr(request, f"{knob}s") for knob in roles.image_lists()}
    for knob, given in masks.items():
        if given and len(given) != len(request.styles):
            raise SettingsError(
                f"`{knob}` has {len(given)} values for {len(request.styles)} styles", "give one per style", knob=knob
            )
    for number, style in enumerate(request.styles):
        own = {f"{knob}s": given[number : number + 1] for knob, given in masks.items()}
        yield request.model_copy(update={"styles": [style]} | own)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
