"""A batch paints what is missing, whatever happened before; its tasks run in this process here, one after another."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from helpers import ExecutorHere, smooth_image, tiny_weights
from impasto.errors import ImpastoError, SettingsError
from impasto.images import reading
from impasto.images.writing import to_pil
from impasto.jobs.batch import job, painting, table
from impasto.jobs.batch.batch import Batch, Ended, Moved
from impasto.jobs.batch.manifest import NAME, State
from impasto.jobs.batch.watching import Watch
from impasto.jobs.stylization import Stylization
from impasto.network import weights
from impasto.settings.settings import Settings

QUICK = Settings(
    size=32, epochs=2, steps_per_epoch=2, scales=1, style_layers=("relu1_1",), content_layers=("relu2_1",), device="cpu"
)


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source, **_: tiny_weights(dtype=torch.float32))
    monkeypatch.setattr(painting, "TELL_EVERY", 0.0)
    monkeypatch.setattr(painting, "RESUMING", painting.Resuming())
    Path("photos").mkdir()
    for seed, name in enumerate(("a.png", "b.jpg")):
        to_pil(smooth_image(24, 32, seed=seed)).save(Path("photos") / name)
    for seed, name in enumerate(("brush.png", "dots.png"), start=5):
        to_pil(smooth_image(40, 40, seed=seed)).save(name)


def asked(settings: Settings = QUICK, *styles: str, photos: str = "photos") -> list[job.Wanted]:
    return job.pairs(job.contents([photos]), styles or ("brush.png", "dots.png"), settings, zipped=False)


def run(wanted: list[job.Wanted] | None = None, executor: ExecutorHere | None = None, **options) -> Batch:
    with Batch(Path("out"), **options) as batch:
        jobs = batch.unfinished(batch.placed(wanted or asked(), ".png"))
        list(batch.events(jobs, executor or ExecutorHere(), [1.0] * len(jobs)))
        return batch


def states(batch: Batch) -> dict[str, State]:
    return {record.output: record.state for record in batch.ended}


def pixels(name: str) -> np.ndarray:
    with PIL.Image.open(Path("out") / name) as image:
        return np.asarray(image)


def test_every_photo_is_painted_in_every_style_as_alone_to_the_bit():
    batch = run()
    assert states(batch) == dict.fromkeys(("a_brush.png", "a_dots.png", "b_brush.png", "b_dots.png"), State.DONE)
    *_, last = Stylization("photos/a.png", ["brush.png"], QUICK).events()
    assert (pixels("a_brush.png") == np.asarray(to_pil(last.picture))).all()


def test_a_task_finds_its_files_from_any_folder():
    settings = QUICK.model_copy(update={"mask": ("dots.png", "rest")})
    item = painting.item(Path("photos/a.png"), ("brush.png", "mosaic"), settings, Path("out/a.png"))
    here = str(Path.cwd())
    assert item["content"] == f"{here}/photos/a.png"
    assert item["styles"] == [f"{here}/brush.png", "mosaic"]
    assert item["settings"]["mask"] == [f"{here}/dots.png", "rest"]
    assert item["output"] == f"{here}/out/a.png"


def test_what_is_finished_is_not_painted_again_until_something_changes():
    run()
    again = run()
    assert (len(again.skipped), again.ended) == (4, [])
    assert set(states(run(asked(QUICK.model_copy(update={"strength": 0.9}))))) == {*again.manifest.records}
    shutil.copy("photos/b.jpg", "photos/a.png")  # another picture by the same name
    assert set(states(run(asked(QUICK.model_copy(update={"strength": 0.9}))))) == {"a_brush.png", "a_dots.png"}
    threads = QUICK.model_copy(update={"strength": 0.9, "threads": 1})
    assert states(run(asked(threads))) == {}  # no pixel is asked to change by it


def test_what_failed_is_tried_again_and_stops_nobody_else():
    Path("photos/c.jpg").write_bytes(b"no picture")
    first = run()
    assert {name for name, state in states(first).items() if state is State.FAILED} == {"c_brush.png", "c_dots.png"}
    assert "is not a PNG" in str(first.manifest.records["c_dots.png"].error)
    shutil.copy("photos/a.png", "photos/c.jpg")
    assert states(run()) == {"c_brush.png": State.DONE, "c_dots.png": State.DONE}


def test_what_was_cut_off_goes_on_to_the_same_pixels():
    run()
    whole = {name: pixels(name) for name in ("a_brush.png", "b_dots.png")}
    shutil.rmtree("out")
    cut = run(executor=ExecutorHere(most=2))
    assert set(states(cut).values()) == {State.CUT_OFF}
    assert (Path("out") / "a_brush.png.run" / "state.safetensors").exists()
    begun = ExecutorHere()
    assert set(states(run(executor=begun)).values()) == {State.DONE}
    assert all((pixels(name) == picture).all() for name, picture in whole.items())
    assert not list(Path("out").glob("*.run"))


def test_a_state_of_other_settings_is_not_gone_on_with():
    run(executor=ExecutorHere(most=2))
    other = QUICK.model_copy(update={"strength": 0.9})
    run(asked(other))
    *_, last = Stylization("photos/a.png", ["brush.png"], other).events()
    assert (pixels("a_brush.png") == np.asarray(to_pil(last.picture))).all()


def test_a_picture_that_somebody_else_put_there_stays_unless_it_may_be_replaced():
    Path("out").mkdir()
    shutil.copy("brush.png", "out/a_dots.png")
    batch = run()
    assert states(batch)["a_dots.png"] is State.FAILED
    assert Path("out/a_dots.png").read_bytes() == Path("brush.png").read_bytes()
    assert states(run(overwrite=True)) == {"a_dots.png": State.DONE}
    shutil.copy("brush.png", "out/a_dots.png")  # edited since
    assert states(run()) == {"a_dots.png": State.FAILED}


def test_a_manifest_that_was_cut_in_its_last_line_loses_that_line_alone():
    run()
    manifest = Path("out") / NAME
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(lines[:-1]) + lines[-1][:40])
    Path("out/b_dots.png").unlink()
    assert states(run()) == {"b_dots.png": State.DONE}
    assert [json.loads(line)["state"] for line in manifest.read_text().splitlines()] == ["done"] * 4
    manifest.write_text("{\n" + "".join(lines))
    with pytest.raises(ImpastoError, match="is damaged in line 1: remove that line"):
        run()


def test_a_run_that_was_killed_leaves_what_it_was_painting_to_the_next():
    with Batch(Path("out")) as batch:
        events = batch.events(batch.placed(asked(), ".png"), ExecutorHere(), [1.0] * 4)
        next(events)  # begun, and nothing is known of it any more
        events.close()
        assert batch.manifest.records["a_brush.png"].state is State.CUT_OFF
    shutil.copy("brush.png", "out/a_brush.png")  # its process finished all the same
    assert states(run())["a_brush.png"] is State.DONE


def test_progress_goes_by_planned_work_and_not_by_number():
    with Batch(Path("out")) as batch:
        jobs = batch.placed(asked(), ".png")
        shares: list[float] = []
        done = []
        for event in batch.events(jobs, ExecutorHere(), [7.0, 1.0, 1.0, 1.0]):
            match event:
                case Moved():
                    shares.append(event.share)
                    done.append(len(batch.ended))
                case Ended():
                    pass
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert shares[done.index(1)] == pytest.approx(0.7)


def test_the_statistics_of_a_style_are_measured_once_and_change_nothing():
    run(asked(QUICK, "brush.png"))
    known = painting.RESUMING.styles
    assert (known.measured, known.reused) == (1, 1)
    *_, last = Stylization("photos/b.jpg", ["brush.png"], QUICK).events()
    assert (pixels("b_brush.png") == np.asarray(to_pil(last.picture))).all()


def test_two_batches_at_once_in_one_folder_are_refused():
    with Batch(Path("out")), pytest.raises(ImpastoError, match="belongs to a batch that another process is painting"):
        run()


def test_a_folder_stands_for_its_pictures_and_a_pattern_for_what_fits():
    Path("photos/.hidden.png").write_bytes(b"")
    Path("photos/notes.txt").write_bytes(b"")
    Path("photos/more").mkdir()
    shutil.copy("brush.png", "photos/more/c.png")
    names = [path.as_posix() for path in job.contents(["photos", "photos/a.png", "photos/**/*.png"])]
    assert names == ["photos/a.png", "photos/b.jpg", "photos/more/c.png"]
    with pytest.raises(ImpastoError, match=r"'none-\?' fits no file"):
        job.contents(["none-?"])
    Path("empty").mkdir()
    with pytest.raises(ImpastoError, match="'empty' is a folder without pictures"):
        job.contents(["empty"])


def test_the_first_is_painted_in_the_first_where_they_are_zipped():
    wanted = job.pairs(job.contents(["photos"]), ["dots", "brush.png"], QUICK, zipped=True)
    assert [(one.content.name, one.styles) for one in wanted] == [("a.png", ("dots",)), ("b.jpg", ("brush.png",))]
    with pytest.raises(SettingsError, match="2 contents and 1 styles"):
        job.pairs(job.contents(["photos"]), ["dots"], QUICK, zipped=True)


def test_names_stay_whatever_comes_later_and_no_two_are_one():
    Path("more").mkdir()
    shutil.copy("photos/b.jpg", "more/a.jpg")
    run(asked(QUICK, "dots.png", photos="photos"))
    both = asked(QUICK, "dots.png", photos="more") + asked(QUICK, "dots.png")
    with Batch(Path("out")) as batch:
        places = {str(one.content): one.output.name for one in batch.placed(both, ".png")}
    assert places == {"more/a.jpg": "a_dots-2.png", "photos/a.png": "a_dots.png", "photos/b.jpg": "b_dots.png"}


def test_a_table_has_settings_of_its_own_in_every_row():
    Path("jobs.csv").write_text(
        "content,styles,output,strength,layer-weights\nphotos/a.png,brush.png;dots,one.jpg,0.9,\nphotos/b.jpg,dots,,,\n"
    )
    first, second = table.read(Path("jobs.csv"))
    assert (first.content, first.output, first.knobs) == (Path("photos/a.png"), "one.jpg", {"strength": "0.9"})
    assert first.styles == ("brush.png", "dots")
    assert (second.styles, second.output, second.knobs, second.line) == (("dots",), None, {}, 3)
    Path("jobs.jsonl").write_text('{"content": "photos/a.png", "styles": ["dots"], "strength": 0.9}\n\n')
    (only,) = table.read(Path("jobs.jsonl"))
    assert (only.styles, only.knobs) == (("dots",), {"strength": 0.9})


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("jobs.csv", "content,styles\na.png\n", "lacks a content or a style in line 2"),
        ("jobs.csv", "content,styles\na.png,dots,1\n", "has 3 fields in line 2"),
        ("jobs.csv", "content,styles\n", "has no rows"),
        ("jobs.csv", "content,styles,output\na.png,dots,x/y.png\n", "names the output 'x/y.png' in line 2"),
        ("jobs.jsonl", "{}\n[1]\n", "lacks a content or a style in line 1|has no JSON object in line 2"),
        ("jobs.jsonl", '{"content": "a.png", "styles": 3}\n', "lacks a content or a style in line 1"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_line(name, text, fault):
    Path(name).write_text(text)
    with pytest.raises(SettingsError, match=fault):
        table.read(Path(name))
    with pytest.raises(SettingsError, match=r"'none\.csv' can't be read"):
        table.read(Path("none.csv"))


def writing(path: Path, data: bytes) -> Iterator[int]:
    """Write a file in four pieces, the next one at each step."""
    quarter = -(-len(data) // 4)
    for number in range(4):
        with path.open("ab") as file:
            file.write(data[number * quarter : (number + 1) * quarter])
        yield number


def test_a_file_that_is_still_written_is_not_taken(monkeypatch):
    from impasto.jobs.batch import watching

    monkeypatch.setattr(watching, "SETTLED", 0.3)
    monkeypatch.setattr(watching, "LOOK_EVERY", 0.1)
    Path("inbox").mkdir()
    watch = Watch(["inbox"])
    assert watch.wait(lambda: False)  # nothing is there yet, which is known now
    data = Path("photos/a.png").read_bytes()
    began, pieces = time.monotonic(), writing(Path("inbox/new.png"), data)
    written: list[float] = []

    def next_piece() -> bool:
        """Asked between two looks: the time to write some more."""
        if time.monotonic() - began > 0.2 * (len(written) + 1) and next(pieces, None) is not None:
            written.append(time.monotonic())
        return time.monotonic() - began > 20

    assert watch.wait(next_piece)
    assert len(written) == 4
    assert reading.load("inbox/new.png").pixels.shape == (1, 3, 24, 32)
    assert time.monotonic() - written[-1] >= 0.3
    assert not watch.wait(lambda: True)


def test_pictures_are_known_where_their_photos_lie_elsewhere_now():
    run(asked(QUICK, "brush.png"))
    shutil.move("photos", "elsewhere")
    shutil.copy("elsewhere/a.png", "elsewhere/twin.png")  # the same photo by another name is a picture more
    moved = run(asked(QUICK, "brush.png", photos="elsewhere"))
    assert (len(moved.skipped), states(moved)) == (2, {"twin_brush.png": State.DONE})
    assert states(run(asked(QUICK, "brush.png", photos="elsewhere"))) == {}
    other = asked(QUICK.model_copy(update={"strength": 0.9}), "brush.png", photos="elsewhere")
    assert set(states(run(other))) == {"a_brush-2.png", "b_brush-2.png", "twin_brush.png"}
