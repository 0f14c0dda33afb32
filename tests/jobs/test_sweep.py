import json
import os
import signal
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from helpers import smooth_image, tiny_weights
from impasto.cli import main
from impasto.errors import DivergedError, ImageError, SettingsError
from impasto.images import reading
from impasto.images.writing import to_pil
from impasto.jobs import style_scale, sweep
from impasto.jobs.recipe import Recipe
from impasto.jobs.stylization import Stylization
from impasto.jobs.sweep import TARGET_KNOBS, Sweep
from impasto.network import weights
from impasto.objective import stylization
from impasto.run import plan
from impasto.run.events import Finished
from impasto.settings.grid import cells, parse_axis, reconstructions
from impasto.settings.settings import Settings

QUICK = {"size": 48, "epochs": 1, "steps_per_epoch": 3, "scales": 1, "device": "cpu", "content_layers": ("relu2_2",)}
QUICK |= {"style_layers": ("relu1_1", "relu2_1"), "optimizer": "gd"}
FLAGS = ["--size", "48", "--scales", "1", "--epochs", "1", "--steps-per-epoch", "2", "--device", "cpu"]
FLAGS += ["--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_2"]
CONTENT, STYLE = (to_pil(smooth_image(36, 48, seed=seed)) for seed in (1, 2))

VALUES = {
    "objective": "objective=gatys,normalized",
    "content_weight": "content-weight=0.1,3",
    "style_weight": "style-weight=1,4",
    "content_layer_weights": "content-layer-weights=1;4",
    "layer_weights": "layer-weights=1,2;3,1",
    "tv_weight": "tv-weight=0,1",
    "optimizer": "optimizer=gd,adam",
    "learning_rate": "learning-rate=0.01,0.1",
    "epochs": "epochs=1,2",
    "steps_per_epoch": "steps-per-epoch=2,3",
    "scales": "scales=1,2",
    "init": "init=content,noise",
    "strength": "strength=0.2,0.9",
    "step_ratio": "step-ratio=0.5,2",
    "detail": "detail=0,1",
    "negligible": "negligible=0,0.4",
    "stop_gain": "stop-gain=0,0.02",
    "until": "until=500,1000",
    "scratch": "scratch=auto,.",
    "max_memory": "max-memory=20GB,30GB",
    "history": "history=2,5",
    "keep_exif": "keep-exif=false,true",
    "keep_gps": "keep-gps=false,true",
    "max_pixels": "max-pixels=10000,20000",
}


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("IMPASTO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    CONTENT.save("photo.png")
    STYLE.save("brush.png")


@pytest.fixture
def counted(monkeypatch):
    """How often targets were measured, networks made and pictures opened."""
    calls = {"targets": 0, "networks": 0, "pictures": 0}

    def count(module, name, kind):
        real = getattr(module, name)

        def counting(*given, **named):
            calls[kind] += 1
            return real(*given, **named)

        monkeypatch.setattr(module, name, counting)

    count(stylization, "measure_targets", "targets")
    count(sweep, "load_network", "networks")
    count(reading, "load", "pictures")
    return calls


def grid(*texts: str, **knobs):
    return cells([parse_axis(text) for text in texts], lambda changes: Settings(**QUICK | knobs | changes))


def results(job: Sweep) -> dict[int, torch.Tensor]:
    return {number: event.picture for number, event in job.events() if isinstance(event, Finished)}


def alone(settings: Settings, styles=(STYLE,)) -> torch.Tensor:
    *_, last = Stylization(CONTENT, styles, settings).events()
    assert isinstance(last, Finished)
    return last.picture


def test_every_knob_said_to_leave_targets_alone_is_tried_here():
    assert VALUES.keys() == Settings.model_fields.keys() - {*TARGET_KNOBS}


@pytest.mark.thin(3)
@pytest.mark.parametrize("knob", VALUES)
def test_runs_that_share_targets_paint_the_same_as_alone_to_the_bit(knob, counted):
    beside = {
        "objective": {"style_loss": "gram"},
        "stop_gain": {"steps_per_epoch": 24},
        "learning_rate": {"optimizer": "adam"},
        "history": {"optimizer": "lbfgs"},
    }
    beside |= {knob: {"scales": 2} for knob in ("step_ratio", "detail")}
    found = grid(VALUES[knob], **beside.get(knob, {}))
    pictures = results(Sweep(CONTENT, [STYLE], found))
    assert counted["targets"] == (2 if knob in ("scales", "step_ratio", "detail") else 1)
    for number, cell in enumerate(found):
        assert pictures[number].equal(alone(cell.settings))


@pytest.mark.parametrize(
    "text",
    [
        "size=32,48",
        "style-loss=gram,w2",
        "pooling=max,average",
        "style-weights=1,2;3,1",
        *(
            pytest.param(text, marks=pytest.mark.slow)
            for text in ("seed=1,2", "style-scale=0.5,2", "style-layers=relu1_1;relu2_1", "color=style,keep")
        ),
    ],
)
def test_runs_that_need_other_targets_get_them(text, counted):
    styles = [STYLE, CONTENT] if "weights" in text else [STYLE]
    found = grid(text, "content-weight=0.1,2")
    pictures = results(Sweep(CONTENT, styles, found))
    assert counted["targets"] == 2
    for number, cell in enumerate(found):
        assert pictures[number].equal(alone(cell.settings, styles))


def test_a_size_of_strokes_that_the_photo_chooses_is_found_once_and_painted_as_alone(monkeypatch, counted):
    asked = []
    monkeypatch.setattr(style_scale, "nearest_style_scale", lambda *given: asked.append(given) or 0.5)
    found = grid("style-scale=auto,1", "tv-weight=0,1")
    job = Sweep("photo.png", ["brush.png"], found)
    assert [p.settings.style_scale for p in job.stylizations] == [0.5, 1.0] * 2
    assert (len(asked), counted["networks"], counted["pictures"]) == (1, 1, 2)
    pictures = results(job)
    for number, cell in enumerate(found):
        assert pictures[number].equal(alone(cell.settings))


def test_pictures_are_opened_once_and_networks_made_once_each(counted):
    Sweep("photo.png", ["brush.png"], grid("pooling=max,average", "size=32,40,48"))
    assert (counted["pictures"], counted["networks"]) == (2, 2)


def test_what_settings_name_is_opened_once_for_all_cells(counted):
    named = {"init": "brush.png", "mask": ("photo.png",), "style_mask": ("photo.png",)}
    job = Sweep("photo.png", ["brush.png"], grid("size=32,40,48", "max-pixels=10000,20000", **named))
    assert counted["pictures"] == 2  # the inputs, which settings name again
    assert len({id(picture) for p in job.stylizations for picture in (p.inputs.init, *p.inputs.all_masks())}) == 2
    small = to_pil(smooth_image(20, 30))
    with pytest.raises(ImageError, match=r"'photo\.png'.*48×36"):
        Sweep(small, [small], grid("max-pixels=1000,20000", mask=("photo.png",)))


def test_a_swatch_is_painted_for_the_size_it_serves():
    job = Sweep(CONTENT, ["dots"], grid("size=48,300"))
    assert [p.styles[0].pixels.shape[-1] for p in job.stylizations] == [256, 300]
    assert job.stylizations[0].recipe().styles[0].path is None


def test_all_is_checked_before_anything_is_painted(monkeypatch):
    monkeypatch.setattr(Stylization, "events", lambda self: pytest.fail("painted"))
    with pytest.raises(SettingsError, match="scales is 9, which makes the coarsest picture"):
        Sweep(CONTENT, [STYLE], grid("scales=1,9", epochs=9))
    with pytest.raises(SettingsError, match="style_weights has 2 values for 1 styles"):
        Sweep(CONTENT, [STYLE], grid("style-weights=1;1,2"))


def test_the_time_is_that_of_all_cells_with_what_they_share_counted_once(monkeypatch):
    """A run's 3 steps take 4 evaluations, one of what the last led to; measuring two images, half of 2."""
    speeds = []
    monkeypatch.setattr(sweep, "measure_speed", lambda engine, layers: speeds.append(layers) or 1.0)
    monkeypatch.setattr(plan, "evaluation_pixels", lambda size, **how: 1.0)
    monkeypatch.setattr(plan, "forward_pixels", lambda *what: 1.0)
    seconds = {}
    for axes in (["content-weight=0.1,1,2"], ["seed=1,2,3"], ["content-weight=0.1,1,2", "seed=1,2"]):
        job = Sweep(CONTENT, [STYLE], grid(*axes))
        seconds[axes[0][:4] + str(len(axes))] = job.seconds
        assert job.seconds == sum(job.estimates)
    assert len(speeds) == 3  # a network's speed is measured once
    steps, measuring = plan.OVERHEAD * 3 * 4, plan.OVERHEAD * 0.5 * 2
    assert seconds["cont1"] == pytest.approx(steps + measuring)
    assert seconds["seed1"] == pytest.approx(steps + 3 * measuring)
    assert seconds["cont2"] == pytest.approx(2 * (steps + measuring))


def test_larger_cells_and_more_steps_take_longer():
    estimates = Sweep(CONTENT, [STYLE], grid("size=32,48", "epochs=1,4")).estimates
    assert 0 < estimates[0] < estimates[1] < estimates[3]
    assert 2 * estimates[0] < estimates[2] < 4 * estimates[0]


def test_a_run_that_diverges_does_not_take_the_others_with_it(monkeypatch):
    real = Stylization.events

    def events(self, **given):
        if self.settings.content_weight == 1:
            raise DivergedError("The loss became nan", picture=torch.zeros(1, 3, 36, 48))
        yield from real(self, **given)

    monkeypatch.setattr(Stylization, "events", events)
    ends = {n: e for n, e in Sweep(CONTENT, [STYLE], grid("content-weight=0.5,1,2")).events() if not hasattr(e, "step")}
    assert [type(ends[n]).__name__ for n in range(3)] == ["Finished", "DivergedError", "Finished"]
    assert main(["sweep", "photo.png", "brush.png", *FLAGS, "--vary", "content-weight=0.5,1", "--json", "--quiet"]) == 0


def test_sweep_writes_one_sheet_and_says_the_time_first(capsys):
    arguments = ["--vary", "content-weight=0.1,1", "--vary", "size=32,48,64"]
    assert main(["sweep", "photo.png", "brush.png", *FLAGS[2:], *arguments]) == 0
    out, err = capsys.readouterr()
    assert out == "photo_brush_sweep.png\n"
    first, *rest = err.splitlines()
    assert first.startswith("impasto: 6 pictures, about ")
    assert len(rest) == 6
    assert rest[-1].startswith("impasto: 6/6  content-weight 1, size 64: ")
    with PIL.Image.open("photo_brush_sweep.png") as sheet:
        assert sheet.width > 2 * 192
        assert sheet.height > 3 * 48
    assert {path.name for path in Path().iterdir()} == {"photo.png", "brush.png", "photo_brush_sweep.png"}


def test_kept_pictures_can_be_painted_again_from_themselves(capsys):
    arguments = ["--vary", "content-weight=0.1,1", "--keep", "cells", "-o", "sheet.jpg", "--quiet", "--json"]
    assert main(["sweep", "photo.png", "brush.png", *FLAGS, *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["output"] == "sheet.jpg"
    names = [f"cells/{n}_content-weight-{value}.png" for n, value in ((1, "0.1"), (2, "1"))]
    assert [cell["picture"] for cell in result["cells"]] == names
    assert [cell["varied"] for cell in result["cells"]] == [{"content_weight": 0.1}, {"content_weight": 1.0}]
    assert main(["rerun", names[1], "--quiet", "-o", "again.png"]) == 0
    with PIL.Image.open(names[1]) as kept, PIL.Image.open("again.png") as again:
        assert np.array_equal(np.asarray(kept), np.asarray(again))


@pytest.mark.parametrize(
    ("arguments", "fault", "code"),
    [
        (["--vary", "size=32,3"], "--size is '3' but should be greater than or equal to 16 (set by --vary).", 2),
        (["--vary", "syze=32,48"], "--vary names 'syze', which is not a setting: did you mean 'size'?", 2),
        (["--vary", "scales=1,2", "--scales", "1"], "--scales is given and varied too: drop one.", 2),
        (["--vary", "size=32,48", "-o", "photo.png", "--overwrite"], "'photo.png' is one of the inputs", 2),
        (["--vary", "size=32,48", "-o", "sheet.gif"], "'sheet.gif' ends in '.gif'", 1),
        (["--vary", "size=32,48", "--keep", "brush.png"], "'brush.png' can't be made (File exists)", 1),
        ([], "impasto sweep needs --vary: a setting and its values", 2),
    ],
)
def test_wrong_use_is_refused_before_anything_is_loaded(arguments, fault, code, capsys, monkeypatch):
    monkeypatch.setattr(sweep, "Sweep", lambda *_: pytest.fail("loaded"))
    assert main(["sweep", "photo.png", "brush.png", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"impasto: {fault}")
    assert err.count("\n") == 1


def test_nothing_is_overwritten_without_being_told(capsys):
    arguments = ["sweep", "photo.png", "brush.png", *FLAGS, "--vary", "seed=1,2", "--keep", "cells", "--quiet"]
    assert main(arguments) == 0
    assert main(arguments) == 1
    assert "already exists" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


def test_an_interruption_leaves_a_sheet_of_what_is_done(capsys, monkeypatch):
    real = Stylization.events

    def events(self, **given):
        if self.settings.seed == 3:
            os.kill(os.getpid(), signal.SIGINT)
        yield from real(self, **given)

    monkeypatch.setattr(Stylization, "events", events)
    arguments = ["--vary", "seed=1,2,3,4", "--keep", "cells", "--json", "--quiet"]
    assert main(["sweep", "photo.png", "brush.png", *FLAGS, *arguments]) == 130
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["finished"], len(result["cells"])) == (False, 2)
    assert err == "impasto: Interrupted after 2 of 4 pictures: the sheet has those.\n"
    assert Path("photo_brush_sweep.png").exists()
    assert len(list(Path("cells").iterdir())) == 2


def test_reconstruct_shows_each_layers_content_and_style_up_to_each_depth(capsys):
    arguments = ["--size", "48", "--epochs", "1", "--steps-per-epoch", "2", "--device", "cpu"]
    layers = ["--layers", "relu1_1, relu2_1", "--keep", "cells", "--quiet"]
    assert main(["reconstruct", "photo.png", *arguments, *layers]) == 0
    out = capsys.readouterr().out.splitlines()
    names = ["1_content-of-relu1_1", "2_content-of-relu2_1", "3_style-up-to-relu1_1", "4_style-up-to-relu2_1"]
    assert out == ["photo_reconstruction.png", *(f"cells/{name}.png" for name in names)]
    settings = [Recipe.from_json(reading.read_note(path), path).checked_settings() for path in out[1:]]
    assert [s.content_layers for s in settings] == [("relu1_1",), ("relu2_1",), (), ()]
    assert [s.style_layers for s in settings] == [(), (), ("relu1_1",), ("relu1_1", "relu2_1")]
    assert {(s.init, s.scales, s.objective) for s in settings} == {("noise", 1, "gatys")}


def test_a_layers_content_brings_the_picture_back_from_noise_and_its_style_does_not():
    def settle(changes):
        return Settings(**QUICK | {"init": "noise", "objective": "gatys", "epochs": 40, "optimizer": "lbfgs"} | changes)

    pictures = results(Sweep(CONTENT, [CONTENT], reconstructions(["relu1_1"], settle)))
    photo = reading.load(CONTENT).pixels
    content, style = ((pictures[n] - photo).square().mean().sqrt().item() for n in (0, 1))
    assert content < 0.6 * style


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--layers", "relu9_1"], "--content-layers names 'relu9_1', which VGG19 doesn't have"),
        (
            ["--style-layers", "relu1_1"],
            "--style-layers is set by reconstruct itself: drop it; --layers says what counts.",
        ),
        (["--style-weight", "3"], "--style-weight is set by reconstruct itself: drop it; --layers says what counts."),
        (["--of", "colour"], 'Invalid value "colour" for --of.'),
    ],
)
def test_wrong_use_of_reconstruct_is_one_sentence(arguments, fault, capsys):
    assert main(["reconstruct", "photo.png", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"impasto: {fault}")
    assert err.count("\n") == 1
