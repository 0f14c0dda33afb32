"""What a film would take: the plan of `impasto video --plan`, in the process that plans."""

from __future__ import annotations

from functools import lru_cache

from impasto.jobs.batch.estimates import SPARE, free_memory
from impasto.jobs.network import KeptNetwork
from impasto.jobs.video.analysis import Frames, times_and_shots
from impasto.jobs.video.clip import Clip, probe, size_of_film
from impasto.jobs.video.options import FilmOptions
from impasto.jobs.video.part import Part
from impasto.jobs.video.planning import plan_film
from impasto.settings.settings import Settings
from impasto.studio.films.models import PlannedFilm
from impasto.studio.models import Plan
from impasto.studio.runs import RunFiles


def plan(files: RunFiles, kept: KeptNetwork) -> Plan:
    """The plan of a film; raises `ImpastoError`."""
    options, settings = FilmOptions(**files.film or {}), Settings(**files.settings)
    clip, part = probe(str(files.content)), options.part()
    size = size_of_film(clip, settings, even=True)
    styles, steadiness = files.styles, options.steadiness()
    found = plan_film(clip, size, part, styles, settings, steadiness, known=_known(clip, part), kept=kept)
    return Plan(
        width=size[1],
        height=size[0],
        scales=[],
        seconds=found.seconds,
        peak_bytes=found.memory,
        budget_bytes=int(SPARE * free_memory()),
        disk_bytes=found.disk,
        tile=None,
        engine=found.engine,
        style_scale=found.style_scale,
        film=PlannedFilm(
            frames=found.frames,
            shots=found.shots,
            first_seconds=found.first_seconds,
            next_seconds=found.next_seconds,
            workers=found.workers,
        ),
    )


@lru_cache(maxsize=2)
def _known(clip: Clip, part: Part) -> Frames:
    """What is found by going through a film, which a page's next question needs again."""
    return times_and_shots(clip, part)
