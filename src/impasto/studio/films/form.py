"""The options of a film as a page's controls, in the words of `impasto video --help`."""

from __future__ import annotations

from impasto.jobs.video.options import FilmOptions, words
from impasto.jobs.video.steadiness import QUALITIES, Steadiness
from impasto.studio.schema import Choice, KnobForm

USUAL = ("quality", "begin", "end", "every")
"""What a page shows at once."""

LEAST = {"every": 1, "passes": 1}
MOST = {"every": 10, "passes": 20}
"""Where sliders end; `every` may be larger."""

FLOWS = {"dis": "Optical flow", "none": "Only what is still is held"}


def film_form() -> list[KnobForm]:
    """A control for each option, in the order in which they are declared."""
    return [_control(field) for field in FilmOptions.model_fields]


def _control(field: str) -> KnobForm:
    declared = FilmOptions.model_fields[field]
    name = declared.alias or field
    return KnobForm(
        name=name,
        label=name.capitalize(),
        group="Film",
        help=words(field),
        default=declared.default,
        kind="choice" if field in _CHOICES else "integer" if isinstance(declared.default, int) else "text",
        minimum=LEAST.get(field),
        maximum=MOST.get(field),
        words=[],
        free=False,
        choices=_CHOICES.get(field),
        usual=field in USUAL,
        scheduled=False,
        images=False,
    )


def _told(how: Steadiness) -> str:
    steps = f"{how.steps} steps for a frame that follows another"
    return steps if len(how.back) == 1 else f"{steps}, held to several before it"


_CHOICES = {
    "quality": [Choice(value=name, help=_told(how)) for name, how in QUALITIES.items()],
    "flow": [Choice(value=name, help=told) for name, told in FLOWS.items()],
}
