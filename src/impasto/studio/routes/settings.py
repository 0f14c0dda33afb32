"""Settings as forms, presets, swatches, and what is wrong with a choice."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter

from impasto.errors import SettingsError
from impasto.settings import presets
from impasto.studio.films.form import film_form
from impasto.studio.models import Checked, CheckRequest, PresetForm, SwatchForm
from impasto.studio.orders import one_per_style, swatch_thumbnail
from impasto.studio.problems import problems_of
from impasto.studio.routes.parts import TheStudio
from impasto.studio.schema import SettingsForm, settings_form
from impasto.swatches.registry import SWATCHES

router = APIRouter(prefix="/api/v1", tags=["settings"])


@router.get("/settings/schema")
async def schema() -> SettingsForm:
    """Every control: its range, default, help and group."""
    return settings_form().model_copy(update={"film": film_form()})


@router.post("/settings/check")
async def check(request: CheckRequest, studio: TheStudio) -> Checked:
    """What is wrong with settings, before anything starts."""
    try:
        settings = studio.orders.settings(request.preset, request.settings)
        if request.styles:
            one_per_style(settings, "style_weights", request.styles)
    except SettingsError as error:
        return Checked(errors=problems_of(error))
    return Checked(errors=[], settings=settings.model_dump(mode="json"))


@router.get("/presets")
async def listed() -> list[PresetForm]:
    """The presets, impasto's and the user's own."""
    found = []
    for name in presets.paths():
        with contextlib.suppress(SettingsError):  # a file of the user's own that is damaged
            found.append(presets.load(name))
    return [PresetForm(name=one.name, description=one.description, settings=dict(one.knobs)) for one in found]


@router.get("/swatches")
async def swatches() -> list[SwatchForm]:
    """The bundled styles."""
    return [
        SwatchForm(name=swatch.name, title=swatch.title, thumbnail=swatch_thumbnail(swatch.name))
        for swatch in SWATCHES.values()
    ]
