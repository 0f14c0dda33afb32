import json

import numpy as np
import PIL.Image
import pytest
import torch
from matplotlib.figure import Figure
from test_metrics import KNOBS, TINY, noise

from helpers import plan_of
from impasto.errors import ImageError, ImpastoError
from impasto.report import metrics as measures
from impasto.report import record as report
from impasto.report.figure import Report, draw
from impasto.report.layout import arrange
from impasto.report.record import Recorder, epochs_shown
from impasto.run.events import EpochDone, Finished, ScaleDone, Started, Stepped
from impasto.settings.choices import Color, ObjectiveName
from impasto.settings.settings import Settings

LOSSES = {"content/relu4_2": 0.0, "style/relu1_1": 0.7, "style/relu2_1": 0.3, "tv": -1.0}


def no_picture() -> torch.Tensor:
    raise AssertionError("a recorder asks for no picture of a step")


def record(
    size: tuple[int, int] = (40, 48),
    styles: int = 1,
    losses: dict[str, float] = LOSSES,
    settings: Settings = KNOBS,
    **masks: list[torch.Tensor | None],
) -> Report:
    """A report on synthetic events: 20 steps in 2 scales and 10 epochs, the loss at step n being total / n."""
    coarse = (size[0] // 2, size[1] // 2)
    recorder = Recorder(
        noise(1, size), [noise(n, (30, 50)) for n in range(2, 2 + styles)], settings=settings, network=TINY, **masks
    )
    recorder.observe(Started(plan_of((coarse, 12), (size, 8)), "cpu"))
    for n in range(1, 21):
        scale, shape = (1, coarse) if n <= 12 else (2, size)
        parts = {name: value / n for name, value in losses.items()}
        recorder.observe(Stepped(n, (n + 1) // 2, scale, shape, sum(parts.values()), parts, 0.1 * n, no_picture))
        if n % 2 == 0:
            recorder.observe(EpochDone(n // 2, noise(n, shape)))
        if n in (12, 20):
            recorder.observe(ScaleDone(scale, noise(n, shape)))
    recorder.observe(Finished(noise(99, size), 0.5, losses, 20, 2.0))
    return recorder.report()


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_json_round_trips_and_holds_no_nan():
    report = record()
    assert json.loads(report.to_json(), parse_constant=pytest.fail) == report.measures
    assert report.measures["loss"] == {"first": pytest.approx(0.0), "last": 0.5, "parts": LOSSES}
    assert report.measures["size"] == {"width": 48, "height": 40}


def test_the_report_has_the_settings_of_its_run_among_them_strength_colours_and_masks():
    settings = KNOBS.model_copy(update={"strength": 0.7, "color": Color.KEEP, "mask": ("sky.png",)})
    report = record(settings=settings)
    found = json.loads(report.to_json())["settings"]
    assert found.items() <= settings.model_dump(mode="json").items()
    assert {"size", "epochs", "style_weights"} < found.keys()
    assert not {"device", "max_memory"} & found.keys()
    assert (found["strength"], found["color"], found["mask"]) == (0.7, "keep", ["sky.png"])


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({"strength": 0.7}, ["strength 0.7", "colours: the style's"], ["the photo's"]),
        ({"color": Color.KEEP}, ["strength 0.5", "colours: the photo's, only lightness is painted"], []),
        ({"color": Color.MATCH}, ["colours: the photo's, which the style takes on first"], []),
        ({"color": Color.TINT}, ["colours: the photo's in the style's range, after painting"], []),
        ({"objective": ObjectiveName.GATYS}, ["(gatys)"], ["strength"]),
    ],
)
def test_the_figure_tells_strength_and_colour_mode(changes, said, unsaid):
    figure = draw(record(settings=KNOBS.model_copy(update=changes)))
    line = " ".join(text.get_text() for text in figure.texts)
    assert all(words in line for words in said)
    assert not any(words in line for words in unsaid)


def test_the_figure_shows_masks_beside_what_they_are_of():
    left, part = torch.zeros(1, 1, 40, 48), torch.zeros(1, 1, 30, 50)
    left[..., :24], part[..., 25:] = 1, 1
    figure = draw(record(styles=2, masks=[left, 1 - left], style_masks=[None, part]))
    names = ["Photo", "Style 1", "Mask 1", "Style 2", "Mask 2", "Part 2"]
    assert [name for name in texts(figure) if name in {*names, "Part 1"}] == names
    drawn = {name: axes for axes, name in zip(figure.axes, names, strict=False)}
    for name, mask in (("Mask 1", left), ("Mask 2", 1 - left), ("Part 2", part)):
        shown = drawn[name].images[0].get_array()
        assert shown.shape[2] == 3
        white = torch.from_numpy(np.asarray(shown))[..., 0]
        assert white[:, : white.shape[1] // 2].mean() == pytest.approx(
            mask[..., : mask.shape[3] // 2].mean().item(), abs=0.02
        )
        assert white.mean() == pytest.approx(0.5, abs=0.02)


def test_the_last_loss_of_a_figure_is_that_of_its_picture():
    figure = draw(record())
    curves = next(axes for axes in figure.axes if axes.get_yscale() == "log")
    (result,) = [line for line in curves.get_lines() if line.get_label() == "result"]
    assert (result.get_xdata()[-1], result.get_ydata()[-1]) == (21, 0.5)
    assert curves.get_xlim()[1] > 21
    assert "loss 0.5" in " ".join(texts(figure))


def test_a_report_before_the_end_is_refused():
    recorder = Recorder(noise(1), [noise(2)], settings=KNOBS, network=TINY)
    recorder.observe(Started(plan_of(((40, 48), 20)), "cpu"))
    with pytest.raises(ImpastoError, match="not finished"):
        recorder.report()


def test_the_pictures_kept_are_those_of_the_epochs_wanted():
    report = record()
    assert sorted(report.pictures) == [1, 5, 10]
    assert torch.equal(report.pictures[5], noise(10, (20, 24)))


@pytest.mark.parametrize(
    ("wanted", "last", "shown"),
    [
        ((1, 5, 10), 10, (1, 5, 10)),
        ((1, 5, 10), 100, (1, 5, 10)),
        ((1, 5, 10), 7, (1, 4, 7)),
        ((1, 5, 10), 2, (1, 2)),
        ((1, 5, 10), 1, (1,)),
        ((3, 2, 3), 4, (2, 3)),
        ((), 4, ()),
    ],
)
def test_epochs_that_a_run_lacks_give_way_to_its_first_middle_and_last(wanted, last, shown):
    assert epochs_shown(wanted, last) == shown


def test_curves_hold_what_was_fed_and_leave_out_what_has_no_logarithm():
    figure = draw(record())
    curves = next(axes for axes in figure.axes if axes.get_yscale() == "log")
    lines = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in curves.get_lines()}
    n = np.arange(1, 21)
    np.testing.assert_allclose(lines["style relu1_1"], 0.7 / n)
    np.testing.assert_allclose(lines["style relu2_1"], 0.3 / n)
    assert np.isnan(lines["tv"]).all()
    assert np.isnan(lines["content relu4_2"]).all()
    borders = [line.get_xdata()[0] for line in curves.get_lines() if str(line.get_label()).startswith("_")]
    assert borders == [12.5]
    assert {"24 px", "48 px"} <= set(texts(figure))


def test_table_shows_content_result_and_style():
    report = record()
    report.measures["style"]["mean_optimised"] = 0.934
    report.measures["style"]["mean_others"] = None
    report.measures["structure"]["result"]["edges"] = -0.004
    shown = texts(draw(report))
    assert {"photo", "result", "painting", "93 %", "—", "0.00", "2.0 s", "100 ms"} <= set(shown)


@pytest.mark.parametrize(
    ("size", "styles", "losses"),
    [
        pytest.param((32, 48), 3, {"style/relu1_1": 1.0}, marks=pytest.mark.slow),
        ((3, 48), 2, {"content/relu4_2": 1e-20, "style/relu1_1": 1e20}),
        ((48, 2), 8, {}),
    ],
    ids=["landscape", "panorama", "sliver"],
)
def test_every_shape_of_picture_makes_a_figure_whose_pictures_dont_overlap(tmp_path, size, styles, losses):
    settings = Settings(size=48, style_layers=("relu1_1",), content_layers=())
    report = record(size, styles, losses, settings)
    report.save_figure(tmp_path / "run.png")
    with PIL.Image.open(tmp_path / "run.png") as image:
        assert 1500 <= image.width <= 2000
        assert 600 <= image.height <= 1600
        assert np.asarray(image.convert("L")).std() > 10
    places = [axes.get_position(original=True) for axes in draw(report).axes]
    assert len(places) == 1 + styles + 3 + 1 + 3
    for i, a in enumerate(places):
        assert a.width > 0
        assert a.height > 0
        assert min(a.x0, a.y0) > 0
        assert max(a.x1, a.y1) < 1
        for b in places[:i]:
            assert a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0


def test_arranged_rows_are_justified_beside_a_picture_of_their_height():
    (above, below), large = arrange([[1.5, 1.0], [1.5, 1.5, 1.5]], 1.5, 12)
    assert large.x + large.w == pytest.approx(12)
    assert large.w / large.h == pytest.approx(1.5)
    assert above[-1].x + above[-1].w == pytest.approx(below[-1].x + below[-1].w)
    assert below[0].y + below[0].h == pytest.approx(large.y + large.h)


def test_bars_that_fall_far_below_zero_are_cut_but_named(tmp_path):
    report = record()
    report.measures["style"]["layers"]["relu1_1"]["closed"] = -7.5
    assert "−750 %" in texts(draw(report))
    report.save_figure(tmp_path / "run.svg")
    assert (tmp_path / "run.svg").read_text().startswith("<?xml")


def test_a_figure_of_unknown_format_or_in_no_folder_is_one_sentence(tmp_path):
    report = record()
    with pytest.raises(ImageError, match=r"use \.png"):
        report.save_figure(tmp_path / "run.docx")
    with pytest.raises(ImageError, match=r"can't be written \(No such file or directory\)"):
        report.save_figure(tmp_path / "nowhere" / "run.png")


def test_large_pictures_are_kept_and_measured_smaller_and_their_sizes_are_told(monkeypatch):
    monkeypatch.setattr(report, "LONGEST_KEPT", 30)
    monkeypatch.setattr(measures, "MEASURED", 40)
    made = record()
    assert [max(picture.shape) for picture in made.pictures.values()] == [24, 24, 30]
    words = " ".join(texts(draw(made)))
    assert "24×20 px" in words
    assert "48×40 px" in words
    assert "measured at 40×33" in words


def begun() -> Recorder:
    recorder = Recorder(noise(1, (20, 24)), [noise(2, (30, 50))], settings=KNOBS, network=TINY)
    recorder.observe(Started(plan_of(((20, 24), 4)), "cpu"))
    recorder.observe(Stepped(1, 1, 1, (20, 24), 0.5, {"tv": 0.5}, 0.1, no_picture))
    recorder.observe(EpochDone(1, noise(3, (20, 24))))
    return recorder


def test_what_a_recorder_noted_is_taken_up_by_another_and_what_none_noted_is_refused():
    noted = begun().state()
    another = Recorder(noise(1, (20, 24)), [noise(2, (30, 50))], settings=KNOBS, network=TINY)
    another.load_state(noted)
    again = another.state()
    assert torch.equal(again["steps"], noted["steps"])
    assert torch.equal(again["pictures"]["1"], noted["pictures"]["1"])
    assert (again["parts"], again["sizes"]) == (noted["parts"], noted["sizes"])
    odd = [
        {"steps": torch.zeros(3)}, {"steps": torch.zeros(1, 5)}, {"steps": [[1.0] * 6]}, {"parts": "tv"},
        {"pictures": {"1": torch.zeros(2)}}, {"pictures": {"0": torch.zeros(1, 3, 2, 2)}}, {"pictures": {"1": None}},
        {"sizes": {"1": [1, 2, 3]}}, {"sizes": {"x": [1, 2]}}, {"more": 1}, {"parts": [1]},
    ]  # fmt: skip
    for change in odd:
        with pytest.raises(ImpastoError, match="record of the run is odd: start the run again"):
            begun().load_state(noted | change)
