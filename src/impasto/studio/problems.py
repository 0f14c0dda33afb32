"""Errors as the page shows them: a sentence, and its parts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.studio.models import Problem


class TooLargeError(ImpastoError):
    """More than the studio takes: an upload, or all that it keeps."""


def problem_of(error: ImpastoError) -> Problem:
    """One error, without the further ones in it."""
    sentence = error.sentences(_label)[0]
    return Problem(message=sentence, fault=error.fault, cure=error.cure, knob=error.knob)


def problems_of(error: ImpastoError) -> list[Problem]:
    """An error and each further one."""
    return [problem_of(error), *(found for other in error.others for found in problems_of(other))]


def without_folders(problem: Problem, files: Iterable[Path]) -> Problem:
    """A problem that says the names of these files alone, not where the studio keeps them."""

    def short(text: str) -> str:
        for file in files:
            text = text.replace(str(file), file.name)
        return text

    return problem.model_copy(update={"message": short(problem.message), "fault": short(problem.fault)})


def _label(knob: str) -> str:
    """A knob as the page spells it: 'style_weight' is 'style weight' there."""
    return knob.replace("_", " ")
