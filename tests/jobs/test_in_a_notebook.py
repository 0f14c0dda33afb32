"""What a notebook shows: results by themselves, a run as it goes, and controls that steer it."""

from __future__ import annotations

import asyncio
import re
import sys
from io import BytesIO
from types import ModuleType, SimpleNamespace
from typing import Any

import PIL.Image
import pytest
import torch

from helpers import smooth_image, tiny_weights
from impasto import ImpastoError, LivePreview, Settings, Stylization, StylizationWidget, stylize
from impasto.images.writing import SHOWN, PaintedImage
from impasto.jobs import notebook
from impasto.jobs.recipe import Recipe
from impasto.network import weights
from impasto.run.events import EpochDone, Finished, ScaleDone, Stepped

TINY: Any = {
    "size": 48, "epochs": 2, "steps_per_epoch": 4, "scales": 1, "device": "cpu", "style_layers": ("relu1_1",),
    "content_layers": ("relu2_2",),
}  # fmt: skip
PHOTO, BRUSH, OTHER = (smooth_image(36, 48, seed=seed).float() for seed in range(3))


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))


@pytest.fixture
def cells(monkeypatch) -> list[str]:
    """What a marimo that runs a notebook was told to show, one after another."""
    shown: list[str] = []
    marimo: Any = ModuleType("marimo")
    marimo.running_in_notebook = lambda: True
    marimo.Html = str
    marimo.output = SimpleNamespace(replace=shown.append)
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    return shown


def test_results_and_events_with_pictures_show_themselves_as_png():
    for event in Stylization(PHOTO, [BRUSH], Settings(**TINY)).events():
        if isinstance(event, EpochDone | ScaleDone | Finished):
            with PIL.Image.open(BytesIO(event._repr_png_())) as shown:
                assert (shown.format, shown.size) == ("PNG", (48, 36))
    with PIL.Image.open(BytesIO(stylize(PHOTO, BRUSH, **TINY)._repr_png_())) as shown:  # pyright: ignore
        assert (shown.format, shown.size) == ("PNG", (48, 36))


def test_a_large_result_is_shown_small_and_without_its_recipe_and_stays_as_it_was():
    picture = PaintedImage.of(PIL.Image.new("RGBA", (3 * SHOWN, SHOWN), "red"), "a note")
    with PIL.Image.open(BytesIO(picture._repr_png_())) as shown:
        assert (shown.size, shown.mode) == ((SHOWN, SHOWN // 3), "RGBA")
        assert not shown.getexif()
    assert (picture.size, picture.note) == ((3 * SHOWN, SHOWN), "a note")
    assert picture._repr_jpeg_() is None


def test_a_live_preview_shows_each_step_and_ends_full(cells):
    stylize(PHOTO, BRUSH, progress=LivePreview(seconds=0), **TINY)
    shares = [float(re.search(r'value="([\d.]+)"', html)[1]) for html in cells]  # pyright: ignore
    assert len(cells) == 1 + 8 + 1
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert "img" not in cells[0]
    assert all("data:image/jpeg;base64," in html for html in cells[1:])
    assert "8 steps" in cells[-1]


def test_previews_come_no_faster_than_they_are_wanted(cells):
    stylize(PHOTO, BRUSH, progress=LivePreview(seconds=3600), **TINY)
    assert len(cells) == 1 + 1 + 1


def test_a_preview_is_no_longer_than_it_is_wanted():
    with PIL.Image.open(BytesIO(notebook.preview(PHOTO, 24))) as shown:
        assert (shown.format, shown.size) == ("JPEG", (24, 18))


def test_outside_of_a_notebook_there_is_no_live_preview():
    with pytest.raises(ImpastoError, match="No notebook is running"):
        LivePreview()


def painted(widget: StylizationWidget, at_step: Any = None) -> Any:
    """What becomes of a widget's run, `at_step` being called once at its first step."""

    async def main() -> Any:
        pending, show = [at_step] if at_step else [], widget._shown

        def shown(event: Any, before: Any) -> Any:
            picture = show(event, before)
            if isinstance(event, Stepped) and pending:
                pending.pop()()
            return picture

        widget._shown = shown
        widget.start()
        assert widget.start_button.disabled
        with pytest.raises(ImpastoError, match="already"):
            widget.start()
        result = await widget.done()
        assert not widget.start_button.disabled
        return result

    return asyncio.run(main())


def recipe_of(picture: Any) -> Recipe:
    return Recipe.from_json(picture.note, "the picture")


def test_a_widget_paints_what_stylize_paints():
    widget = StylizationWidget(PHOTO, {"brush": BRUSH}, **TINY)
    picture = painted(widget)
    assert picture.tobytes() == stylize(PHOTO, BRUSH, **TINY).tobytes()
    assert widget.bar.value == 1
    assert bytes(widget.image.value[:2]) == b"\xff\xd8"
    assert "text/plain" in widget._repr_mimebundle_()


def test_a_slider_steers_the_run_from_its_next_step_on_and_the_recipe_says_so():
    widget = StylizationWidget(PHOTO, {"brush": BRUSH}, **TINY)

    def move() -> None:
        widget.controls["strength"].value = 0.9

    picture = painted(widget, move)
    (change,) = recipe_of(picture).schedule
    assert (change.after, dict(change.knobs)) == (1, {"strength": 0.9})
    assert picture.tobytes() != stylize(PHOTO, BRUSH, **TINY).tobytes()


def test_another_style_goes_on_from_the_picture_so_far():
    widget = StylizationWidget(PHOTO, {"brush": BRUSH, "other": OTHER}, **TINY)

    def choose() -> None:
        widget.style.value = "other"

    picture = painted(widget, choose)
    recipe = recipe_of(picture)
    assert recipe.init is not None
    assert picture.tobytes() not in (stylize(PHOTO, style, **TINY).tobytes() for style in (BRUSH, OTHER))


def test_a_stopped_widget_keeps_the_picture_so_far_and_may_begin_again():
    widget = StylizationWidget(PHOTO, {"brush": BRUSH}, **TINY)
    stopped = painted(widget, widget.stop)
    assert stopped.size == (48, 36)
    assert widget.bar.value < 1
    assert painted(widget).tobytes() == stylize(PHOTO, BRUSH, **TINY).tobytes()


def test_a_widget_that_is_stopped_at_once_paints_nothing():
    async def main() -> Any:
        widget.start()
        widget.stop()
        return await widget.done()

    widget = StylizationWidget(PHOTO, {"brush": BRUSH}, **TINY)
    assert asyncio.run(main()) is None


def test_the_buttons_start_and_stop():
    async def main() -> Any:
        widget.start_button.click()
        await asyncio.sleep(0)
        widget.stop_button.click()
        await widget.done()

    widget = StylizationWidget(PHOTO, {"brush": BRUSH}, **TINY)
    asyncio.run(main())
    assert (widget.start_button.disabled, widget.stop_button.disabled) == (False, True)


def test_a_widget_has_a_control_for_what_people_turn_and_may_be_turned_meanwhile():
    widget = StylizationWidget(PHOTO, ["mosaic", "woodcut"], strength=0.3, color="keep", **TINY)
    assert {knob: control.value for knob, control in widget.controls.items()} == {"strength": 0.3, "color": "keep"}
    assert widget.style.options == ("mosaic", "woodcut")
    papers = StylizationWidget(PHOTO, ["mosaic"], objective="gatys", **TINY)
    assert papers.controls["strength"].disabled


def test_what_goes_wrong_is_shown_and_raised():
    widget = StylizationWidget("no such photo.jpg", ["mosaic"], **TINY)
    with pytest.raises(ImpastoError, match="no such photo"):
        painted(widget)
    assert "no such photo" in widget.text.value
    with pytest.raises(ImpastoError, match="No style"):
        StylizationWidget(PHOTO, [], **TINY)


def test_without_ipywidgets_the_error_says_how_to_get_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImpastoError, match=r"pip install 'impasto\[notebook\]'"):
        StylizationWidget(PHOTO, ["mosaic"])
