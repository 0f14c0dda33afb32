"""What the pages for users say can be typed: commands in their blocks are run, flags, files and links exist."""

import os
import re
import shlex
from pathlib import Path

import pytest
import torch
from test_flags import FLAGS

from helpers import smooth_image, tiny_weights
from impasto.cli import demo, main
from impasto.cli.error_text import flag
from impasto.images.writing import to_pil
from impasto.network import weights
from impasto.report import figure
from impasto.settings.settings import Settings

HOUSE = Path(__file__).parents[2]
STARTS = sorted(str(path.relative_to(HOUSE)) for path in HOUSE.glob("docs/start/*.md"))
PAGES = (
    "README.md",
    "docs/guide.md",
    "docs/resume.md",
    "docs/how-it-works.md",
    "docs/studio.md",
    "docs/batch.md",
    *STARTS,
    "docs/video.md",
)
RECORDS = sorted(str(path.relative_to(HOUSE)) for path in HOUSE.glob("docs/decisions/*.md"))
EVERY_PAGE = (
    *PAGES,
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/promises.md",
    "docs/mutations.md",
    "docs/benchmarks.md",
    "docs/gallery.md",
    "docs/sheets.md",
    "docs/scaling.md",
    "docs/reference.md",
    "docs/api.md",
    "docs/library.md",
    "docs/integrations.md",
    *RECORDS,
)
TINY = {"size": "48", "epochs": "1", "steps_per_epoch": "2", "device": "cpu"}
FOREIGN = {"--extra-index-url", "--torch-backend", "--data-binary", "--pip-args"}
"""Flags of other programs."""


def commands(page: str) -> list[list[str]]:
    """What comes after 'impasto' in the indented blocks of a page, in their order."""
    lines = (HOUSE / page).read_text(encoding="utf-8").splitlines()
    parts = [part for line in lines if line.startswith("    ") for part in line.split("&&")]
    found = [shlex.split(part, comments=True)[1:] for part in parts if part.strip().startswith("impasto ")]
    elsewhere = (
        "studio",
        "batch",
        "video",
    )  # which serve or make processes: see tests/studio and test_batch_command.py
    return [words for words in found if words[0] not in elsewhere]


def made_tiny(words: list[str]) -> list[str]:
    """The same command for small pictures and few steps; what isn't typed comes from the environment."""
    found = list(words)
    for n, word in enumerate(words[:-1]):
        knob = word.removeprefix("--").replace("-", "_")
        if word == "--size":
            found[n + 1] = "48x32" if "texture" in words else TINY["size"]
        elif word == "--snapshots":
            found[n + 1] = "1"
        elif word == "--stop-gain":
            found += ["--steps-per-epoch", "24"]  # it compares twenty
        elif knob in TINY:
            found[n + 1] = TINY[knob]
    return found


@pytest.fixture
def _surroundings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("IMPASTO_")]:
        monkeypatch.delenv(name)
    for knob, value in TINY.items():
        monkeypatch.setenv(f"IMPASTO_{knob.upper()}", value)
    monkeypatch.setenv("IMPASTO_PRESETS", str(tmp_path / "presets"))
    monkeypatch.setattr(figure, "DPI", 40)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    monkeypatch.setattr(demo, "photograph", lambda: Path("photo.jpg"))
    monkeypatch.setattr(demo, "SETTINGS", Settings(**TINY))
    for seed, name in enumerate(("photo.jpg", "painting.jpg", "a.jpg", "b.jpg", "sky.png", "part.png", "where.png")):
        to_pil(smooth_image(48, 64, seed=seed)).save(name)


@pytest.mark.usefixtures("_surroundings")
@pytest.mark.parametrize(
    "page", ["README.md", *(pytest.param(page, marks=pytest.mark.slow) for page in ("docs/guide.md", *STARTS))]
)
def test_every_command_of_a_page_works_one_after_another(page, capsys):
    found = commands(page)
    assert len(found) >= 8 or page in STARTS
    for words in found:
        assert main(made_tiny(words)) == 0, (words, capsys.readouterr().err)


def test_the_guide_shows_every_command_and_every_setting_that_shapes_a_picture():
    text = (HOUSE / "docs/guide.md").read_text(encoding="utf-8")
    for command in FLAGS:
        if command.split()[0] not in ("weights", "demo", "doctor", "bench"):
            assert f"impasto {command}" in text, command
    surroundings = {"size", "max_pixels", "device", "engine", "precision", "compile", "tile", "history", "weights"}
    surroundings |= {"content_layer_weights", "style_layers", "style_weight", "pooling", "padding", "negligible"}
    assert [knob for knob in Settings.model_fields.keys() - surroundings if flag(knob) not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_that_a_page_names_exists(page):
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", (HOUSE / page).read_text(encoding="utf-8")))
    known = {flag(knob) for knobs in (Settings.model_fields, *FLAGS.values()) for knob in knobs}
    assert named - known - FOREIGN <= {"--help", "--help-all", "--install-completion"}


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_every_file_and_every_link_of_a_page_exists(page):
    text = (HOUSE / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", text):
        assert (HOUSE / page).parent.joinpath(link).exists(), link
    tests = {path.name for path in (HOUSE / "tests").rglob("test_*.py")}
    for name in re.findall(r"`([\w/]+(?:\.(?:py|c|md)|/))`", text):
        found = any((place / name).exists() for place in (HOUSE / "src/impasto", HOUSE))
        assert found or name in tests, name


@pytest.mark.parametrize("page", ["docs/how-it-works.md", "CONTRIBUTING.md", "docs/decisions/0013-the-house.md"])
def test_a_name_that_stands_behind_its_file_is_in_that_file(page):
    text = (HOUSE / page).read_text(encoding="utf-8")
    pairs = re.findall(r"`([\w/]+\.py)`, `([\w.]+)`", text) + [
        (file, name) for name, file in re.findall(r"`([\w.]+)` \(`([\w/]+\.py)`\)", text)
    ]
    assert len(pairs) >= 5
    for file, name in pairs:
        source = (HOUSE / "src/impasto" / file).read_text(encoding="utf-8")
        for part in name.split("."):
            assert re.search(rf"\b{part}\b", source), (file, name)


@pytest.mark.usefixtures("_surroundings")
@pytest.mark.parametrize("page", ["README.md", "docs/resume.md", "docs/start/developer.md"])
def test_the_python_on_a_page_runs(page):
    block = "".join(re.findall(r"```python\n(.*?)```", (HOUSE / page).read_text(encoding="utf-8"), re.DOTALL))
    assert block.count("size=512") >= 1
    tiny = ", ".join(f"{knob}={value!r}" for knob, value in {**TINY, "style_layers": ("relu1_1", "relu2_1")}.items())
    exec(compile(block.replace("size=512", tiny), page, "exec"), {})


def test_the_map_has_every_folder():
    text = (HOUSE / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for folder in (HOUSE / "src/impasto").glob("*/__init__.py"):
        assert f"── {folder.parent.name}/ " in text
