"""Every error as an answer: its sentences, with the status that HTTP has for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from impasto.errors import ImageError, ImpastoError, SettingsError
from impasto.studio.models import Problem
from impasto.studio.problems import TooLargeError, problem_of, problems_of


def handle_errors(app: FastAPI) -> None:
    """Have an application answer errors with their sentences."""

    def answer(status: int, problems: list[Problem]) -> JSONResponse:
        return JSONResponse({"errors": [problem.model_dump() for problem in problems]}, status)

    def handler(kind: type[Exception], told: Callable[[Any], tuple[int, list[Problem]]]) -> None:
        @app.exception_handler(kind)
        async def _(request: Request, error: Exception) -> JSONResponse:
            return answer(*told(error))

    handler(SettingsError, lambda error: (422, problems_of(error)))
    handler(ImageError, lambda error: (422, problems_of(error)))
    handler(TooLargeError, lambda error: (413, problems_of(error)))
    handler(ImpastoError, lambda error: (409, problems_of(error)))
    handler(HTTPException, lambda error: (error.status_code, [_plain(str(error.detail))]))
    handler(
        sqlite3.OperationalError, lambda error: (507, [_plain(f"The studio can't write its list of jobs ({error})")])
    )
    handler(ClientDisconnect, lambda error: (400, [_plain("The request broke off")]))
    handler(
        Exception, lambda error: (500, [_plain(f"The studio failed ({type(error).__name__}): its log has the rest")])
    )
    handler(RequestValidationError, lambda error: (422, [_invalid(found) for found in error.errors()[:20]]))


def _plain(text: str) -> Problem:
    return Problem(message=text if text.endswith(".") else f"{text}.", fault=text)


def _invalid(finding: Any) -> Problem:
    """What is wrong with a request's form, with the place where."""
    place = ".".join(str(part) for part in finding["loc"] if part not in ("body", "query", "path"))
    return problem_of(ImpastoError(f"{place or 'The request'} isn't as the API wants it ({finding['msg']})"))
