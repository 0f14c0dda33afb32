"""`impasto batch`: what it says and leaves behind. Tasks run in this process, but where it says a real one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import PIL.Image
import pytest
import torch

from helpers import ExecutorHere, smooth_image, tiny_weights
from impasto.cli import main
from impasto.cli.batch_how import How
from impasto.images import reading
from impasto.images.writing import to_pil
from impasto.jobs.batch import painting
from impasto.network import weights

LAYERS = ["--style-layers", "relu1_1", "--content-layers", "relu2_1"]
SHORT = ["--size", "32", "--epochs", "2", "--steps-per-epoch", "2", "--device", "cpu", *LAYERS]


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source, **_: tiny_weights(dtype=torch.float32))
    monkeypatch.setattr(painting, "RESUMING", painting.Resuming())
    monkeypatch.setattr(How, "make", lambda self, workers, threads, folder, *, gpu: ExecutorHere())
    Path("photos").mkdir()
    for seed, name in enumerate(("a.png", "b.jpg")):
        to_pil(smooth_image(24, 32, seed=seed)).save(Path("photos") / name)
    for seed, name in enumerate(("dots.png", "mosaic.png"), start=5):
        to_pil(smooth_image(40, 40, seed=seed)).save(name)


def batch(*arguments: str) -> int:
    return main(["batch", "photos", "--styles", "dots.png", "-o", "out", *SHORT, *arguments])


def shape_of(path: str) -> tuple[str | None, tuple[int, int]]:
    with PIL.Image.open(path) as image:
        return image.format, image.size


def test_a_folder_is_painted_and_said_in_a_manifest_a_sheet_and_a_summary(capsys):
    assert main(["batch", "photos", "--styles", "dots.png", "mosaic.png", "-o", "out", *SHORT]) == 0
    out, err = capsys.readouterr()
    assert out == "out\n"
    assert "4 pictures to paint, 0 are finished: about" in err
    assert "4 of 4 pictures are done, 4 of them painted now" in err
    assert {path.name for path in Path("out").glob("*_*.png")} == {
        *("a_dots.png", "a_mosaic.png", "b_dots.png", "b_mosaic.png"),
        "contact_sheet.png",
    }
    assert json.loads(Path("out/summary.json").read_text())["done"] == 4
    assert len(Path("out/manifest.jsonl").read_text().splitlines()) == 4
    assert min(shape_of("out/contact_sheet.png")[1]) > 32
    assert json.loads(str(reading.read_note("out/a_dots.png")))["impasto"]["settings"]["size"] == 32


def test_a_poisonous_file_fails_alone_with_exit_code_3_and_heals(capsys):
    Path("photos/c.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert batch("--quiet") == 3
    out, err = capsys.readouterr()
    assert out == "out\n"
    assert err.startswith(
        "impasto: 3/3  c.png in dots.png failed: 'photos/c.png'".replace("'photos", f"'{Path.cwd()}/photos")
    )
    assert len(err.splitlines()) == 1
    summary = json.loads(Path("out/summary.json").read_text())
    assert (summary["done"], summary["failed"], [*summary["failures"]]) == (2, 1, ["c_dots.png"])
    shutil.copy("photos/a.png", "photos/c.png")
    assert batch("--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], told["painted_now"], told["skipped"]) == (3, 1, 2)
    assert told["sheet"] == "out/contact_sheet.png"


def test_a_dry_run_says_what_and_how_long_and_makes_nothing(capsys):
    assert batch("--dry-run") == 0
    first, second, total = capsys.readouterr().out.splitlines()
    assert first.startswith("out/a_dots.png  ")
    assert second.startswith("out/b_dots.png  ")
    assert total.startswith("2 pictures to paint, 0 are finished: about")
    assert not Path("out").exists()
    assert batch("--quiet") == 0
    shutil.copy("photos/a.png", "photos/c.png")
    capsys.readouterr()
    assert batch("--dry-run", "--json", "--workers", "1") == 0
    told = json.loads(capsys.readouterr().out)
    assert ([one["output"] for one in told["pictures"]], told["finished"]) == (["out/c_dots.png"], 2)
    assert told["workers"] == 1
    assert told["seconds"] > 0


def test_photos_and_styles_may_be_zipped_and_pictures_of_another_format():
    assert (
        main(
            [
                "batch",
                "photos",
                "--styles",
                "dots.png",
                "mosaic.png",
                "-o",
                "out",
                *SHORT,
                "--zip",
                "--format",
                "webp",
                "--quiet",
            ]
        )
        == 0
    )
    assert {path.name for path in Path("out").glob("*.webp")} == {"a_dots.webp", "b_mosaic.webp"}
    assert shape_of("out/a_dots.webp") == ("WEBP", (32, 24))


def test_a_table_names_pictures_with_settings_of_their_own(capsys):
    Path("jobs.csv").write_text(
        "content,styles,output,size\nphotos/a.png,dots.png,small.png,24\nphotos/b.jpg,mosaic.png,,\n"
    )
    assert main(["batch", "--manifest", "jobs.csv", "-o", "out", "--quiet", *SHORT]) == 0
    assert shape_of("out/small.png")[1] == (24, 18)
    assert shape_of("out/b_mosaic.png")[1] == (32, 24)
    Path("jobs.csv").write_text("content,styles,strength\nphotos/a.png,dots,7\n")
    capsys.readouterr()
    assert main(["batch", "--manifest", "jobs.csv", "-o", "out", "--quiet", *SHORT]) == 2
    assert (
        "--strength is '7' but should be less than or equal to 1 (set by jobs.csv, line 2)" in capsys.readouterr().err
    )


def test_a_picture_of_somebody_elses_stays_unless_told_to(capsys):
    Path("out").mkdir()
    Path("out/a_dots.png").write_bytes(b"mine")
    assert batch("--quiet") == 3
    assert Path("out/a_dots.png").read_bytes() == b"mine"
    assert "is there already and isn't what this batch wrote: move it, or set --overwrite." in capsys.readouterr().err
    assert batch("--quiet", "--overwrite") == 0
    assert len(Path("out/a_dots.png").read_bytes()) > 100


def test_settings_come_from_files_too(capsys):
    Path("wild.toml").write_text("strength = 7\n")
    for flag in ("--config", "--preset"):
        assert batch(flag, "wild.toml") == 2
        assert "--strength is 7" in capsys.readouterr().err
    Path("mild.toml").write_text("strength = 0.9\n")
    assert batch("--config", "mild.toml", "--quiet") == 0
    assert json.loads(str(reading.read_note("out/a_dots.png")))["impasto"]["settings"]["strength"] == 0.9


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["batch", "-o", "out"], "No photo was given: name photos or folders, or give a --manifest."),
        (["batch", "photos", "-o", "out"], "No style was given: name at least one with --styles."),
        (["batch", "photos", "--styles", "dots", "-o", "photos"], "'photos' is the photos' own folder"),
        (["batch", "nothing/*.png", "--styles", "dots", "-o", "out"], "'nothing/*.png' fits no file: check the path."),
        (["batch", "photos", "--styles", "dots", "-o", "out", "--workers", "0"], "--workers is 0: give 1 or more."),
        (["batch", "photos", "--styles", "dots", "-o", "out", "--format", "gif"], "--format is 'gif': choose from"),
        (["batch", "photos", "--styles", "dots", "-o", "out", "--executor", "slurm"], "--executor is 'slurm'"),
        (["batch", "photos", "--styles", "dots", "-o", "out", "--address", "auto"], "--address is of a cluster"),
        (["batch", "photos", "--styles", "dots", "-o", "out", "--fetch"], "--fetch is of a cluster: add --executor"),
        (["batch", "photos", "--styles", "dots", "-o", "out", "--zip"], "--zip takes as many styles as contents"),
        (["batch", "--manifest", "no.csv", "-o", "out"], "The table 'no.csv' can't be read"),
        (["batch", "photos", "--manifest", "no.csv", "-o", "out"], "--manifest names the photos and styles"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_said_in_one_sentence(arguments, sentence, capsys):
    assert main(arguments) in (1, 2)
    err = capsys.readouterr().err
    assert err.startswith(f"impasto: {sentence}")
    assert len(err.splitlines()) == 1
    assert not Path("out").exists()


def test_where_pictures_are_painted_is_made_from_the_flags(monkeypatch, tmp_path):
    monkeypatch.undo()
    local = How(2, "local", None, fetch=False).make(2, 1, tmp_path, gpu=False)
    assert (local.workers, local.threads, local.log) == (2, 1, tmp_path / "batch.log")
    ray = How(None, "ray", "10.0.0.1:6379", fetch=True).make(2, 3, tmp_path, gpu=True)
    assert (ray.address, ray.threads, ray.gpu) == ("10.0.0.1:6379", 3, True)
    assert ray.parcel is not None


def test_a_folder_that_is_watched_is_painted_as_pictures_come_until_ctrl_c(monkeypatch, capsys):
    from impasto.jobs.batch import watching

    monkeypatch.setattr(watching, "SETTLED", 0.2)
    monkeypatch.setattr(watching, "LOOK_EVERY", 0.05)

    def put_one_and_leave() -> None:
        wait_for(Path("out/b_dots.png"))
        shutil.copy("photos/a.png", "photos/c.png")
        wait_for(Path("out/c_dots.png"))
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    person = threading.Thread(target=put_one_and_leave)
    person.start()
    assert batch("--watch") == 130
    person.join()
    assert "impasto: 1/1  c.png in dots.png" in capsys.readouterr().err
    assert json.loads(Path("out/summary.json").read_text())["done"] == 3


def wait_for(path: Path, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.05)


def real(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "impasto", "batch", "photos", "--styles", "dots", "-o", "out", *arguments]


@pytest.mark.slow
def test_real_processes_paint_the_same_and_go_on_after_ctrl_c(capfd):
    long = ["--size", "32", "--epochs", "40", "--steps-per-epoch", "20", *LAYERS]
    with subprocess.Popen(real(*long, "--workers", "2", "--quiet")) as process:
        wait_for(Path("out/a_dots.png.run/state.safetensors"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert "Run the same again to go on." in capfd.readouterr().err
    states = [json.loads(line)["state"] for line in Path("out/manifest.jsonl").read_text().splitlines()]
    assert "cut off" in states
    assert subprocess.run(real(*long, "--workers", "2", "--quiet"), check=False).returncode == 0
    alone = ["paint", "photos/a.png", "dots", "-o", "alone.png", "--threads", "1", *long, "--quiet"]
    assert subprocess.run([sys.executable, "-m", "impasto", *alone], check=False).returncode == 0
    assert torch.equal(reading.load("out/a_dots.png").pixels, reading.load("alone.png").pixels)
