"""Films from files to files: what they keep of the original, that they are steady, and that they can go on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import PIL.Image
import pytest
import torch

from clips import FLAGS, QUICK, frames_of, pan, picture, times_of, write_film
from helpers import ExecutorHere, tiny_weights
from impasto.cli import main
from impasto.errors import ImageError, ImpastoError, SettingsError
from impasto.images import writing
from impasto.jobs import network
from impasto.jobs.batch import estimates
from impasto.jobs.executors import local, ray
from impasto.jobs.network import KeptNetwork
from impasto.jobs.video import analysis, at_once, flow, painting
from impasto.jobs.video import film as film_module
from impasto.jobs.video.clip import probe
from impasto.jobs.video.film import Film, Moved, Noted, Written
from impasto.jobs.video.painter import FramePainter
from impasto.jobs.video.part import Part, frame_time
from impasto.jobs.video.reading import frames
from impasto.jobs.video.steadiness import QUALITIES, Steadiness
from impasto.jobs.video.writing import target_of
from impasto.network import weights
from impasto.settings.settings import Settings

LITTLE = Steadiness(steps=2)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    monkeypatch.setattr(painting, "KEPT", KeptNetwork())
    monkeypatch.chdir(tmp_path)


def paint(
    source: Path | str,
    output: str,
    *,
    part: Part | None = None,
    steadiness: Steadiness = LITTLE,
    most: float = float("inf"),
    overwrite: bool = False,
    **knobs: Any,
) -> list[Any]:
    """All events of a film."""
    settings = Settings(**QUICK | knobs)
    target = target_of(output)
    with Film(str(source), ["dots"], settings, target, part=part, steadiness=steadiness, overwrite=overwrite) as film:
        film.analyse(lambda shots: 1)
        return [event for event in film.events(ExecutorHere(most)) if event is not None]


def pictures_in(folder: str) -> list[bytes]:
    return [PIL.Image.open(file).tobytes() for file in sorted(Path(folder).glob("*.png"))]


def test_a_film_keeps_its_times_even_where_they_vary_its_size_and_its_sound():
    times = [0, 40, 80, 200, 220, 400]
    write_film(Path("in.mp4"), pan(6), times=times, sound="aac")
    events = paint("in.mp4", "out.mp4")
    assert isinstance(events[-1], Written)
    assert times_of(Path("out.mp4")) == pytest.approx([t / 1000 for t in times], abs=1e-3)
    with av.open("in.mp4") as before, av.open("out.mp4") as after:
        heard = [[bytes(p) for p in film.demux(audio=0) if p.size] for film in (before, after)]
        assert (after.streams.video[0].width, after.streams.video[0].height) == (48, 36)
    shown = 0.44  # sound that lasts longer than the pictures is cut with them
    assert heard[1] == heard[0][: len(heard[1])]
    assert len(heard[1]) >= 44100 * shown / 1024 - 2
    assert not Path("out.mp4.film").exists()


@pytest.mark.thin(3)
@pytest.mark.parametrize("output", ["out.mkv", "out.webm", "out.mov", "out.avi", "out.ts", "out.ogv"])
def test_every_container_takes_the_film_and_what_it_can_of_its_sound(output):
    write_film(Path("in.mp4"), pan(3), sound="aac")
    events = paint("in.mp4", output)
    assert isinstance(events[-1], Written), events
    with av.open(output) as film:
        assert sum(1 for _ in film.decode(video=0)) == 3
    with av.open(output) as film:
        assert film.streams.audio
        assert sum(frame.samples for frame in film.decode(audio=0)) > 2000


def test_a_turned_film_is_painted_upright():
    upright = pan(2, (64, 48))
    write_film(Path("in.mp4"), [np.ascontiguousarray(np.rot90(frame, -1)) for frame in upright], turned=90)
    _patch_matrix_check("in.mp4")
    clip = probe("in.mp4")
    assert clip.size == (64, 48)
    shown = next(iter(frames(clip, clip.size)))
    assert np.abs(shown.pixels - upright[0]).mean() < 0.02
    paint("in.mp4", "out.mp4", size=64)
    assert frames_of(Path("out.mp4"))[0].shape == (64, 48, 3)


def _patch_matrix_check(name: str) -> None:
    """That the file tells what players go by: rows (a b; c d) that lead right to up (ISO 14496-12, 6.2.2)."""
    data = Path(name).read_bytes()
    header = data.index(b"tkhd") + 4
    matrix = np.frombuffer(data[header + 40 : header + 76], ">i4").reshape(3, 3)[:2, :2] / 65536
    assert matrix.tolist() == [[0, -1], [1, 0]]


def test_colours_stay_in_the_space_and_the_range_that_they_were_in():
    context = {"colorspace": 1, "color_range": 2}
    write_film(Path("in.mp4"), pan(2), context=context)
    paint("in.mp4", "out.mp4", strength=0)
    with av.open("out.mp4") as film:
        frame = next(film.decode(video=0))
        assert (int(frame.colorspace), int(frame.color_range)) == (1, 2)
    clips = [probe(name) for name in ("in.mp4", "out.mp4")]
    before, after = (next(iter(frames(clip, (36, 48)))).pixels for clip in clips)
    assert np.abs(before - after).mean() < 0.03  # at strength 0 the film stays itself


def test_a_part_begins_at_0_and_every_second_frame_lasts_twice_as_long():
    write_film(Path("in.mp4"), pan(12), sound="aac")
    paint("in.mp4", "out.mp4", part=Part(frame_time("0.12", "from"), frame_time("0:0.36", "to"), every=2))
    assert times_of(Path("out.mp4")) == pytest.approx([0, 0.08, 0.16])
    with av.open("out.mp4") as film:
        heard = sum(frame.samples for frame in film.decode(audio=0)) / 44100
    assert 0.2 < heard < 0.3
    paint("in.mp4", "all/", part=Part(frame_time("0.12", "from"), frame_time("0:0.36", "to")))
    assert len(pictures_in("all")) == 6


@pytest.mark.slow
def test_sequences_and_animations_come_in_and_go_out(tmp_path):
    for number, frame in enumerate(pan(3), start=8):  # 8, 9, 10: in the order of numbers, not of letters
        PIL.Image.fromarray((255 * frame).astype(np.uint8)).save(f"f{number}.png")
    paint("f%d.png", "out.gif", part=Part(rate=10))
    with PIL.Image.open("out.gif") as image:
        assert (image.n_frames, image.info["duration"]) == (3, 100)
    for name in ("out.webp", "out.apng"):
        paint("out.gif", name)
        with PIL.Image.open(name) as image:
            assert image.n_frames == 3, name
            image.seek(1)
            image.load()
            assert image.info["duration"] == 100, name
    paint("out.webp", "again/")
    paint("again", "last_%02d.jpg")
    assert sorted(path.name for path in tmp_path.glob("last_*")) == ["last_01.jpg", "last_02.jpg", "last_03.jpg"]


@pytest.mark.slow
def test_what_is_transparent_stays_so_where_the_format_has_it():
    frames = [np.dstack([frame, np.float32(np.arange(64) > 20) * np.ones((48, 1), np.float32)]) for frame in pan(2)]
    images = [PIL.Image.fromarray((255 * frame).astype(np.uint8)) for frame in frames]
    images[0].save("in.webp", save_all=True, append_images=images[1:], duration=40, lossless=True)
    for name in ("out.webp", "out.mov", "out.webm"):
        paint("in.webp", name)
        clip = probe(name)
        alpha = next(iter(frames_with_alpha(clip)))
        assert alpha is not None, name
        assert alpha[:, :10].max() < 0.1, name
        assert alpha[:, -20:].min() > 0.9, name
    paint("in.webp", "out.mp4")  # laid over white
    assert frames_of(Path("out.mp4"))[0][:, :8].min() > 225


def frames_with_alpha(clip) -> Iterator[np.ndarray | None]:
    return (frame.alpha for frame in frames(clip, clip.size))


def test_a_film_that_was_cut_off_anywhere_goes_on_to_the_same_frames(monkeypatch):
    write_film(Path("in.mp4"), [*pan(4), *pan(3, seed=7)])
    how = replace(LITTLE, back=(1, 2))
    paint("in.mp4", "whole/", steadiness=how)
    painted = []
    first, following = FramePainter.first, FramePainter.next
    monkeypatch.setattr(FramePainter, "first", lambda *a: painted.append(1) or first(*a))
    monkeypatch.setattr(FramePainter, "next", lambda *a: painted.append(1) or following(*a))
    for _ in range(3):  # two shots at each: after one frame of both
        assert not isinstance(paint("in.mp4", "parts/", steadiness=how, most=1)[-1], Written)
        assert Path("parts.film").is_dir()
    assert isinstance(paint("in.mp4", "parts/", steadiness=how)[-1], Written)
    assert len(painted) == 7  # no frame twice
    assert pictures_in("parts") == pictures_in("whole")
    assert len(pictures_in("whole")) == 7


def test_a_kill_between_a_frames_state_and_its_picture_costs_that_frame_alone(monkeypatch):
    write_film(Path("in.mp4"), pan(4))
    paint("in.mp4", "whole/")

    def dying(folder, number, painted, real=painting.WorkFolder.finish):
        if number == 2:
            raise KeyboardInterrupt
        real(folder, number, painted)

    with monkeypatch.context() as patch:
        patch.setattr(painting.WorkFolder, "finish", dying)
        with pytest.raises(KeyboardInterrupt):
            paint("in.mp4", "parts/")
    paint("in.mp4", "parts/")
    assert pictures_in("parts") == pictures_in("whole")


@pytest.mark.slow
def test_several_passes_go_to_and_fro_and_go_on_where_they_were():
    write_film(Path("in.mp4"), pan(4, step=(3.0, 1.0)))
    how = replace(LITTLE, passes=3)
    paint("in.mp4", "whole/", steadiness=how)
    for _ in range(6):
        paint("in.mp4", "parts/", steadiness=how, most=2)
    assert pictures_in("parts") == pictures_in("whole")
    paint("in.mp4", "once/")
    assert pictures_in("once") != pictures_in("whole")


def test_a_folder_of_another_film_is_refused_with_what_differs_and_begun_anew_when_told_to():
    write_film(Path("in.mp4"), pan(3))
    paint("in.mp4", "out.mp4", most=1)
    with pytest.raises(ImpastoError, match="tv_weight was"):
        paint("in.mp4", "out.mp4", tv_weight=0.5)
    with pytest.raises(ImpastoError, match="steps was 2"):
        paint("in.mp4", "out.mp4", steadiness=Steadiness(steps=5))
    write_film(Path("in.mp4"), pan(3, seed=3))
    with pytest.raises(ImpastoError, match="the film or a version was another"):
        paint("in.mp4", "out.mp4")
    assert isinstance(paint("in.mp4", "out.mp4", overwrite=True)[-1], Written)


def test_somebody_elses_files_in_the_work_folder_stay():
    write_film(Path("in.mp4"), pan(2))
    paint("in.mp4", "out.mp4", most=1)
    Path("out.mp4.film/mine.txt").write_text("kept")
    paint("in.mp4", "out.mp4")
    assert [path.name for path in Path("out.mp4.film").iterdir()] == ["mine.txt"]


class Steady:
    """A film that moves as is known, painted frame by frame in memory."""

    def __init__(self, frames, how: Steadiness, **knobs) -> None:
        settings = Settings(**QUICK | {"size": max(frames[0].shape[:2]), "steps_per_epoch": 30} | knobs)
        painter = FramePainter(["dots"], settings, how, KeptNetwork())
        self.painted = [painter.first(frames[0])]
        for frame in frames[1:]:
            earlier = [self.painted[-back] for back in how.back if back <= len(self.painted)]
            self.painted.append(painter.next(frame, earlier))
        self.alone = [painter.first(frame) for frame in frames] if len(frames) < 8 else []


def pixels(painted) -> np.ndarray:
    return np.ascontiguousarray(painted.picture[0].permute(1, 2, 0).numpy())


def flicker(pictures, step) -> float:
    """Lai et al. 2018, with the movement that is known."""
    height, width = pictures[0].shape[:2]
    back = np.full((height, width, 2), (-step[0], -step[1]), np.float32)
    inside = (slice(8, -8), slice(8, -8))
    each = [((flow.warp(after, back) - now)[inside] ** 2).mean() for now, after in pairwise(pictures)]
    return float(np.mean(each))


@pytest.mark.thin(2)
@pytest.mark.parametrize("step", [(2.0, 1.0), (1.3, -0.6)], ids=["whole pixels", "parts of pixels"])
def test_a_pan_flickers_a_third_or_less_of_what_it_does_frame_by_frame(step):
    rng = np.random.default_rng(0)
    clean = pan(6, (64, 80), step)
    noisy = [np.clip(f + 0.01 * rng.standard_normal(f.shape), 0, 1).astype(np.float32) for f in clean]
    found = Steady(noisy, Steadiness(steps=4), init_noise=0.0)
    steady, alone = ([pixels(one) for one in some] for some in (found.painted, found.alone))
    assert flicker(steady, step) < flicker(alone, step) / 3


def test_a_static_scene_neither_darkens_nor_sharpens_through_noise():
    rng = np.random.default_rng(0)
    ground = picture(48, 64)
    noisy = [np.clip(ground + 0.01 * rng.standard_normal(ground.shape), 0, 1).astype(np.float32) for _ in range(30)]
    painted = Steady(noisy, Steadiness(steps=3)).painted
    first, last = pixels(painted[0]), pixels(painted[-1])
    assert np.abs(first - last).mean() < 1 / 255
    assert (first == last).mean() > 0.9  # most of it to the bit
    assert np.abs(cv2.Laplacian(first, cv2.CV_32F)).mean() == pytest.approx(
        np.abs(cv2.Laplacian(last, cv2.CV_32F)).mean(), rel=0.02
    )


@pytest.mark.slow
def test_what_changes_in_a_static_scene_is_painted_and_the_rest_stays():
    ground, thing = picture(64, 96), picture(20, 20, seed=4)
    frames = []
    for n in range(4):
        frame = ground.copy()
        frame[30:50, 10 + 4 * n : 30 + 4 * n] = thing
        frames.append(frame)
    painted = [pixels(one) for one in Steady(frames, Steadiness(steps=4)).painted]
    assert np.array_equal(painted[0][:, 70:], painted[-1][:, 70:])
    assert np.abs(painted[0] - painted[-1])[30:50, 10:42].mean() > 0.02


@pytest.mark.slow
def test_a_larger_weight_holds_more_and_long_term_frames_come_back_from_behind():
    frames = pan(4, (64, 80), (1.4, 0.3))
    loose, tight = (
        [pixels(one) for one in Steady(frames, Steadiness(steps=8, weight=weight)).painted] for weight in (0.0, 3000.0)
    )
    assert flicker(tight, (1.4, 0.3)) < flicker(loose, (1.4, 0.3))
    ground, thing = picture(64, 96), picture(30, 30, seed=4)
    hidden = ground.copy()
    hidden[16:46, 30:60] = thing
    clip = [ground, hidden, ground]
    near, far = (
        [pixels(one) for one in Steady(clip, Steadiness(steps=1, back=back, more_where_new=0)).painted]
        for back in ((1,), (1, 2))
    )
    there = (slice(22, 40), slice(36, 54))
    assert np.abs(far[2] - far[0])[there].mean() < 0.5 * np.abs(near[2] - near[0])[there].mean()


def test_without_flow_what_stands_still_is_held_all_the_same():
    ground = picture(48, 64)
    how = Steadiness(steps=3, flow=False)
    first, second = (pixels(one) for one in Steady([ground, ground], how).painted)
    assert np.array_equal(first, second)


@pytest.mark.thin(3)
@pytest.mark.parametrize("knobs", [{"color": "keep"}, {"color": "tint"}, {"style_loss": "nnst"}], ids=str)
def test_other_colours_and_losses_are_held_too(knobs):
    if "style_loss" in knobs:
        knobs = {"style_loss": next(name.value for name in type(Settings().style_loss) if name.local)}
    frames = pan(3, (48, 64), (1.0, 0.0))
    found = Steady(frames, Steadiness(steps=3), steps_per_epoch=20, **knobs)
    steady, alone = ([pixels(one) for one in some] for some in (found.painted, found.alone))
    assert flicker(steady, (1, 0)) <= flicker(alone, (1, 0))


def test_the_command_paints_tells_and_draws_a_strip(capsys):
    write_film(Path("in.mp4"), pan(3), sound="aac")
    how = ["--quality", "draft", "--workers", "1", "--quiet"]
    assert main(["video", "in.mp4", "dots", "-o", "out.mp4", *FLAGS, *how, "--strip", "strip.png"]) == 0
    assert capsys.readouterr().out.strip() == "out.mp4"
    assert Path("strip.png").exists()
    assert main(["video", "in.mp4", "dots", "-o", "out.mp4", *FLAGS]) == 1
    assert "'out.mp4' already exists" in capsys.readouterr().err


def test_the_plan_of_a_film_makes_nothing_and_is_told_by_both_commands(capsys, tmp_path):
    write_film(Path("in.mp4"), [*pan(4), *pan(4, seed=8)])
    assert main(["video", "in.mp4", "dots", "-o", "out.mp4", "--plan", "--json", *FLAGS]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["shots"], found["size"]) == (8, 2, {"width": 48, "height": 36})
    assert found["next_frame_seconds"] < found["first_frame_seconds"] * 8
    assert found["disk_bytes"] > 0
    assert main(["plan", "in.mp4", "dots", *FLAGS]) == 0
    assert "8, in 2 shots" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.slow
def test_where_shots_are_painted_is_made_from_the_flags(monkeypatch, capsys):
    asked = []

    class Kept(ExecutorHere):
        def __init__(self, *given, **named) -> None:
            super().__init__()
            asked.append((given, named))

    monkeypatch.setattr(local, "LocalExecutor", Kept)
    monkeypatch.setattr(ray, "RayExecutor", Kept)
    write_film(Path("in.mp4"), [*pan(3), *pan(3, seed=8), *pan(3, seed=4)])
    for output, how in (("a/", ["--workers", "2"]), ("b/", ["--executor", "ray", "--address", "here:1"])):
        assert main(["video", "in.mp4", "dots", "-o", output, *FLAGS, *how, "--threads", "1", "--quiet"]) == 0
    (workers, threads, log), there = asked[0][0], asked[1]
    assert (workers, threads, log) == (2, 1, Path("a.film/log"))
    assert there == (("here:1", 1), {"gpu": False})
    assert pictures_in("a") == pictures_in("b")
    assert len(pictures_in("a")) == 9
    monkeypatch.setattr(at_once, "free_memory", lambda: 2**20)  # for none of them
    assert main(["video", "in.mp4", "dots", "-o", "c/", *FLAGS, "--workers", "3", "--quiet"]) == 0
    assert asked[2][0][0] == 1


def test_settings_of_a_film_come_from_files_too(capsys):
    write_film(Path("in.mp4"), pan(1))
    Path("mine.toml").write_text("size = 32\n")
    for how in (["--config", "mine.toml"], ["--preset", "mine.toml"]):
        assert main(["video", "in.mp4", "dots", "-o", "out.mp4", *FLAGS[2:], *how, "--plan", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["size"] == {"width": 32, "height": 24}


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["--quality", "superb"], "--quality is 'superb'"),
        (["--passes", "0"], "--passes is 0"),
        (["--flow", "farneback"], "--flow is 'farneback'"),
        (["--every", "0"], "--every is 0"),
        (["--from", "2", "--to", "1"], "--to isn't after --from"),
        (["--from", "soon"], "--from is 'soon'"),
        (["--from", "9"], "shows nothing in that part"),
        (["--rate", "25"], "tells its own frames a second: drop --rate"),
        (["--executor", "moon"], "--executor is 'moon'"),
    ],
    ids=str,
)
def test_what_flags_cannot_mean_is_said_in_a_sentence(flags, fault, capsys):
    write_film(Path("in.mp4"), pan(2))
    assert main(["video", "in.mp4", "dots", "-o", "out.mp4", *FLAGS, *flags]) in (1, 2)
    assert fault in capsys.readouterr().err
    assert not Path("out.mp4.film").exists()


def test_quality_buys_steps_and_best_looks_further_back():
    draft, good, best = QUALITIES.values()
    assert draft.steps < good.steps < best.steps
    assert max(best.back) > max(good.back)
    assert steadiness_refused()


def steadiness_refused() -> bool:
    with pytest.raises(SettingsError):
        frame_time("1:2:3:4", "from")
    return True


HOW = ["video", "in.mp4", "dots", *FLAGS, "--engine", "torch", "--workers", "1", "--quiet"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with a film and its frames, painted by a process that was left alone."""
    folder = tmp_path_factory.mktemp("whole")
    write_film(folder / "in.mp4", pan(6, step=(2.0, 1.0)))
    subprocess.run([*PROGRAM, *HOW, "-o", "whole/"], cwd=folder, env=ALONE, check=True, capture_output=True)
    return folder


PROGRAM, ALONE = [sys.executable, "-m", "impasto"], os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=str)
def test_a_process_that_ends_leaves_what_the_next_goes_on_with(number, whole):
    shutil.copy(whole / "in.mp4", "in.mp4")
    with subprocess.Popen([*PROGRAM, *HOW, "-o", "parts/"], env=ALONE, stderr=subprocess.PIPE, text=True) as process:
        while not Path("parts.film/frames/000001.png").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate()
    assert len(list(Path("parts.film/frames").glob("*.png"))) < 6
    assert process.returncode == (130 if number == signal.SIGINT else -9)
    if number == signal.SIGINT:
        assert "Run the same again to go on." in said
    subprocess.run([*PROGRAM, *HOW, "-o", "parts/"], env=ALONE, check=True, capture_output=True)
    assert pictures_in("parts") == pictures_in(str(whole / "whole"))


def test_a_film_that_goes_on_is_the_one_that_was_begun_though_it_is_to_replace_another(tmp_path):
    write_film(Path("in.mp4"), pan(3))
    Path("out.mp4").write_bytes(b"old")
    paint("in.mp4", "out.mp4", most=1, overwrite=True)
    first = Path("out.mp4.film/frames/000000.png")
    before = first.stat().st_mtime_ns
    paint("in.mp4", "out.mp4", most=1, overwrite=True)
    assert first.stat().st_mtime_ns == before
    assert Path("out.mp4").read_bytes() == b"old"
    assert isinstance(paint("in.mp4", "out.mp4", overwrite=True)[-1], Written)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


@pytest.mark.parametrize("run", ["out.mp4", "out.mp4.film"])
def test_resume_says_which_command_goes_on_with_a_film(run, capsys):
    write_film(Path("in.mp4"), pan(2))
    paint("in.mp4", "out.mp4", most=1)
    assert main(["resume", run]) == 1
    fault = "'out.mp4.film' is an unfinished film's: give its `impasto video` command again: it goes on"
    assert fault in capsys.readouterr().err


@pytest.mark.thin(4)
@pytest.mark.parametrize("broken", ['"text"', "[]", '{"format": 1}', "{"])
def test_a_folder_that_cannot_be_read_is_begun_anew_only_when_told_to(broken):
    write_film(Path("in.mp4"), pan(2))
    paint("in.mp4", "out.mp4", most=1)
    Path("out.mp4.film/film.json").write_text(broken)
    with pytest.raises(ImpastoError, match="isn't a film's folder"):
        paint("in.mp4", "out.mp4")
    assert isinstance(paint("in.mp4", "out.mp4", overwrite=True)[-1], Written)


def test_a_folder_that_only_is_called_like_a_films_keeps_all_that_is_in_it():
    write_film(Path("in.mp4"), pan(2))
    mine = [Path("out.mp4.film") / name for name in ("frames/000000.png", "log", "preview.png", "film.txt")]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ImpastoError, match="has files that aren't impasto's"):
            paint("in.mp4", "out.mp4", overwrite=overwrite)
        with pytest.raises(ImpastoError):
            paint("in.mp4", "out.mp4", overwrite=overwrite, mask=("gone.png",))
    assert all(path.read_text() == "mine" for path in mine)


def test_no_other_process_gets_a_films_folder_while_it_is_begun_anew(monkeypatch):
    write_film(Path("in.mp4"), pan(2))
    paint("in.mp4", "out.mp4", most=1)
    target = target_of("out.mp4")
    with Film("in.mp4", ["dots"], Settings(**QUICK, tv_weight=0.5), target, overwrite=True) as film:
        film.analyse(lambda shots: 1)
        with (
            pytest.raises(ImpastoError, match="another process is painting"),
            Film("in.mp4", ["dots"], Settings(**QUICK), target, overwrite=True),
        ):
            pass


def test_a_kill_while_a_finished_films_folder_is_removed_leaves_nothing_of_it_to_go_on_with(monkeypatch):
    write_film(Path("in.mp4"), pan(3))
    paint("in.mp4", "whole/")

    def dying(path, *, missing_ok=False, real=Path.unlink):
        real(path, missing_ok=missing_ok)
        if path.name == "000001.png":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", dying)
        with pytest.raises(KeyboardInterrupt):
            paint("in.mp4", "out/")
    assert Path("out.film").exists()
    paint("in.mp4", "out/", overwrite=True)
    assert pictures_in("out") == pictures_in("whole")
    assert not Path("out.film").exists()


def test_pictures_that_could_not_all_be_put_out_are_put_out_by_the_next_run(monkeypatch):
    write_film(Path("in.mp4"), pan(4))
    for output in ("out/", "f_%d.png"):
        with monkeypatch.context() as patch:
            written = []

            def failing(path, *given, real=writing.save, written=written, **named):
                written.append(path)
                if len(written) == 3:
                    raise OSError(28, "No space left on device")
                return real(path, *given, **named)

            patch.setattr(writing, "save", failing)
            with pytest.raises(ImpastoError, match="No space left"):
                paint("in.mp4", output)
        assert isinstance(paint("in.mp4", output)[-1], Written)
    assert len(pictures_in("out")) == len(list(Path().glob("f_*.png"))) == 4
    with pytest.raises(ImpastoError, match="already exists"):
        paint("in.mp4", "out/")


@pytest.mark.parametrize("plan", [[], ["--plan"]], ids=["paint", "plan"])
def test_ctrl_c_while_a_film_is_gone_through_ends_it_there_and_loses_nothing(plan, monkeypatch, capsys, request):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has its background jobs ignore
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    write_film(Path("in.mp4"), pan(8))
    paint("in.mp4", "out.mp4", most=1)
    there, decoded = {path: path.stat().st_mtime_ns for path in Path().rglob("*.*")}, []

    def interrupted(*given, real=analysis.frames):
        for frame in real(*given):
            decoded.append(frame)
            if len(decoded) == 2:
                signal.raise_signal(signal.SIGINT)
            yield frame

    monkeypatch.setattr(analysis, "frames", interrupted)
    capsys.readouterr()
    assert main(["video", "in.mp4", "dots", "-o", "out.mp4", "--overwrite", *FLAGS, "--every", "2", *plan]) == 130
    said = "." if plan else " while the film was gone through: nothing was painted, and nothing is lost."
    assert capsys.readouterr() == ("", f"impasto: Interrupted{said}\n")
    assert len(decoded) == 2
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*.*")} == there


def test_a_shot_that_cannot_be_painted_is_told_at_once_and_the_others_are_painted(monkeypatch):
    write_film(Path("in.mp4"), [*pan(2), *pan(2, seed=8)])

    def failing(item, tell, ending, real=painting.paint):
        return {"error": "It is torn."} if item["shot"] == 0 else real(item, tell, ending)

    monkeypatch.setattr(painting, "paint", failing)
    told = []
    with Film("in.mp4", ["dots"], Settings(**QUICK), target_of("out.mp4"), steadiness=LITTLE) as film:
        assert film.analyse(lambda shots: 1).shots == ((0, 2), (2, 4))
        with pytest.raises(ImpastoError, match=r"^Shot 1 of 2 wasn't painted\. It is torn\.$"):
            told += (event for event in film.events(ExecutorHere()) if event is not None)
        assert [film.folder.is_painted(number) for number in range(4)] == [False, False, True, True]
    assert [event.sentence for event in told if isinstance(event, Noted)] == ["Shot 1 of 2 wasn't painted. It is torn."]
    assert isinstance(told[-1], Moved)  # of the other shot, after it was told


def test_pictures_of_a_longer_film_that_was_there_before_are_told_of():
    write_film(Path("in.mp4"), pan(4))
    paint("in.mp4", "out/")
    part = Part(end=frame_time("0.05", "to"))
    noted = [event for event in paint("in.mp4", "out/", part=part, overwrite=True) if isinstance(event, Noted)]
    assert "'out/frame_00003.png' and all 2 such pictures were there before" in noted[0].sentence


def test_a_frame_is_never_painted_without_what_it_follows():
    write_film(Path("in.mp4"), pan(4))
    paint("in.mp4", "out/", most=2)
    for state in Path("out.film/states").iterdir():
        state.unlink()
    with pytest.raises(ImpastoError, match="What frame 2 follows is missing"):
        paint("in.mp4", "out/")


def test_the_sheet_is_drawn_of_a_film_that_lacked_room_at_first_too(monkeypatch):
    write_film(Path("in.mp4"), pan(2))
    command = ["video", "in.mp4", "dots", "-o", "out.mp4", *FLAGS, "--workers", "1", "--quiet", "--strip", "strip.png"]
    monkeypatch.setattr(local, "LocalExecutor", lambda *given: ExecutorHere())
    with monkeypatch.context() as patch:
        patch.setattr(film_module, "write", lambda *a, **k: (_ for _ in ()).throw(ImageError("no room")))
        assert main(command) == 1
    assert not Path("strip.png").exists()
    assert main(command) == 0
    assert Path("strip.png").exists()


def test_a_film_goes_on_by_the_means_that_are_asked_for_now():
    write_film(Path("in.mp4"), pan(3))
    Path("here").mkdir()
    paint("in.mp4", "out.mp4", most=1, max_memory="5GB", size=64)

    def asked_for(**knobs: Any) -> dict[str, Any]:
        settings, target = Settings(**QUICK | {"size": 64} | knobs), target_of("out.mp4")
        with Film("in.mp4", ["dots"], settings, target, steadiness=LITTLE) as film:
            film.analyse(lambda shots: 1)
        return json.loads(Path("out.mp4.film/film.json").read_text())["settings"]

    before = asked_for()
    assert before["max_memory"] == "5GB"  # what is left open stays as it was
    other = {"max_memory": "4GB", "scratch": "here", "tile": 64}
    moved = asked_for(**other)
    assert moved == before | other | {"history": moved["history"]}  # which follows the memory
    assert asked_for(engine="auto") == moved
    assert asked_for(threads=2)["threads"] == 2
    with pytest.raises(ImpastoError, match="memory"):
        asked_for(max_memory="1MB", scratch="/proc")
    assert isinstance(paint("in.mp4", "out.mp4", size=64)[-1], Written)


def test_a_plan_counts_the_threads_that_each_of_the_shots_gets(monkeypatch, capsys):
    write_film(Path("in.mp4"), [*pan(3), *pan(3, seed=8)])
    counted = []
    monkeypatch.setattr(network, "measure_speed", lambda *given: counted.append(torch.get_num_threads()) or 1e-6)
    monkeypatch.setattr(at_once, "processors", lambda: 6)
    for how in ([], ["--workers", "1"], ["--threads", "2"]):
        assert main(["video", "in.mp4", "dots", "-o", "out.mp4", "--plan", *FLAGS, *how]) == 0
    assert counted == [3, 6, 2]
    assert main(["plan", "in.mp4", "dots", *FLAGS]) == 0
    assert counted == [3, 6, 2, 3]


def test_on_a_gpu_one_shot_is_painted_at_once_unless_more_are_asked_for(monkeypatch):
    monkeypatch.setattr(estimates, "processors", lambda: 16)
    monkeypatch.setattr(at_once, "processors", lambda: 16)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for knobs, expected in (({}, 1), ({"device": "cuda:0"}, 1), ({"device": "cpu"}, 9), ({"engine": "native"}, 9)):
        settings = Settings(**knobs)
        assert at_once.at_once_at_most(9, None, settings) == expected
        assert at_once.at_once_at_most(9, 3, settings) == 3
        some = [estimates.Estimate(1.0, 1)] * 9
        assert estimates.sensible_workers(some, [settings] * 9, None) == expected
