"""What the command line says to what can't be: words too many, a style that is none, an address, a finished run."""

from pathlib import Path

import pytest
import torch

from helpers import smooth_image, tiny_weights
from impasto.cli import main
from impasto.errors import ImageError
from impasto.images import reading
from impasto.images.writing import to_pil
from impasto.network import weights

QUICK = [
    *("--size", "32", "--scales", "1", "--epochs", "1", "--steps-per-epoch", "1", "--device", "cpu"),
    *("--style-layers", "relu1_1", "--quiet"),
]
ADDRESS = "https://example.com/starry.jpg"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    for seed, name in enumerate(("photo", "brush")):
        to_pil(smooth_image(24, 32, seed=seed)).save(f"{name}.png")


def said(capsys) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["inspect", "photo.png", "brush.png"], "impasto inspect takes OUT alone, and 'brush.png' is left over"),
        (["resume", "a", "b", "c"], "impasto resume takes RUN alone, and 'b' 'c' are left over"),
        (["texture", "dots", "brush.png"], "impasto texture takes STYLE alone, and 'brush.png' is left over"),
        (["demo", "my photo.png"], "impasto demo takes no arguments, and 'my photo.png' is left over"),
        (["weights", "convert", "a", "b", "c"], "impasto weights convert takes SOURCE DESTINATION alone, and 'c' is"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_words_that_a_command_doesnt_take_are_named_with_those_it_takes(arguments, fault, capsys):
    assert main(arguments) == 2
    assert said(capsys).startswith(f"impasto: {fault}")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["paint"], "impasto paint needs CONTENT: the photo."),
        (["paint", "photo.png"], "impasto paint needs STYLE: paintings, or names from 'impasto swatches'."),
        (["studio", "--port"], "impasto studio needs a value for --port: where it listens."),
        (
            ["video", "film.mp4", "dots"],
            "impasto video needs --output: a film: .mp4, .webm …, .gif, a folder or frame_%04d.png.",
        ),
        (["texture"], "impasto texture needs STYLE: a painting, or a name from 'impasto swatches'."),
        (["presets", "show"], "impasto presets show needs NAME: a preset, or a TOML file of settings."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_command_needs_is_asked_for_with_what_it_may_be(arguments, sentence, capsys):
    assert main(arguments) == 2
    assert said(capsys) == f"impasto: {sentence}\n"


@pytest.mark.parametrize("command", [["paint", "photo.png"], ["sweep", "--vary", "seed=1,2", "photo.png"], ["texture"]])
@pytest.mark.parametrize(
    ("style", "cure"),
    [
        ("watercolor", "did you mean the swatch 'watercolour'? 'impasto swatches' lists them all."),
        ("watercolour.jpg", "did you mean the swatch 'watercolour'? 'impasto swatches' lists them all."),
        ("none.jpg", "check the path, or take one that 'impasto swatches' lists."),
        ("art/none", "check the path, or take one that 'impasto swatches' lists."),
    ],
)
def test_a_style_that_is_none_brings_up_the_swatches_and_the_nearest_name(command, style, cure, capsys):
    assert main([*command, style, *QUICK]) == 1
    assert said(capsys) == f"impasto: {style!r} is neither a file nor a swatch: {cure}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["paint", "photo.png", ADDRESS],
        ["paint", ADDRESS, "brush.png"],
        ["paint", "photo.png", "brush.png", "--mask", ADDRESS],
        ["paint", "photo.png", "brush.png", "--init", ADDRESS],
        ["texture", ADDRESS],
        ["plan", ADDRESS],
        ["sweep", "photo.png", ADDRESS, "--vary", "seed=1,2"],
    ],
    ids=lambda value: " ".join(value)[:20],
)
def test_an_address_is_to_be_downloaded_first(arguments, capsys):
    quick = QUICK[:-1] if arguments[0] == "plan" else QUICK
    assert main([*arguments, *quick]) == 1
    assert said(capsys) == f"impasto: '{ADDRESS}' is an address, not a file: download it first and name the file.\n"


def test_a_file_whose_name_looks_like_an_address_is_a_file():
    Path("https:/a").mkdir(parents=True)
    to_pil(smooth_image(24, 32)).save("https:/a/b.png")
    assert reading.load("https://a/b.png").size == (24, 32)
    with pytest.raises(ImageError, match="is an address, not a file"):
        reading.load("https://a/c.png")


@pytest.mark.parametrize("run", ["a.png", "a.png.run"])
def test_resuming_what_is_finished_says_so_kindly(run, capsys):
    assert main(["paint", "photo.png", "brush.png", *QUICK, "-o", "a.png"]) == 0
    before = Path("a.png").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["resume", run]) == 0
    assert capsys.readouterr() == ("a.png\n", "impasto: The picture had been finished before.\n")
    assert Path("a.png").stat().st_mtime_ns == before


def test_resuming_where_no_run_was_is_refused(capsys):
    for run in ("none.png", "none.png.run", "photo.png", "photo.png.run"):
        assert main(["resume", run]) == 1
        assert "doesn't exist, so there is no run to go on with: check the path." in said(capsys)


@pytest.mark.parametrize(
    ("knob", "value", "wanted"),
    [
        ("epochs", "ten", "a whole number"),
        ("epochs", "1.5", "a whole number"),
        ("strength", "much", "a number"),
        ("style-weights", "1,x", "a number"),
        ("mask-erosion", "maybe", "true or false"),
    ],
)
def test_what_is_no_number_is_said_in_plain_words(knob, value, wanted, tmp_path, capsys):
    Path("odd.toml").write_text(f"{knob} = {value.split(',') if ',' in value else value!r}\n")
    assert main(["plan", "photo.png", "--config", "odd.toml"]) == 2
    shown = value.split(",")[-1]
    assert said(capsys) == f"impasto: --{knob} is {shown!r} but should be {wanted} (set by odd.toml).\n"
