"""Films in a studio: sent, refused, painted, watched frame by frame, interrupted, played with ranges."""

import io
import shutil
from pathlib import Path

import av
import httpx
import numpy as np
import PIL.Image
import pytest
import torch
from served import SMALL, Desk, Served, ended, sent, until

from clips import frames_of, pan, write_film
from helpers import ExecutorHere, tiny_weights
from impasto.errors import ImageError, SettingsError
from impasto.jobs.network import KeptNetwork
from impasto.jobs.video import painting
from impasto.jobs.video.clip import probe
from impasto.jobs.video.options import FilmOptions
from impasto.network import weights
from impasto.studio.films import painter, reading
from impasto.studio.films.files import FilmFiles, runs_of
from impasto.studio.films.form import film_form
from impasto.studio.films.reading import FilmLimits
from impasto.studio.models import State
from impasto.studio.runs import RunFiles

FRAMES = 5
MANY = FilmLimits(frames=100, pixels=1_000_000)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of five frames with sound."""
    return write_film(tmp_path_factory.mktemp("films") / "clip.mp4", pan(FRAMES), sound="aac")


@pytest.fixture
def film(desk: Desk, clip: Path) -> dict:
    """The film in a studio that doesn't paint."""
    return sent(desk, clip, role="content")


def asked_for(image: dict, **film) -> dict:
    return {"contents": [image["id"]], "styles": [{"swatch": "dots"}], "settings": SMALL, "film": film}


def test_a_film_that_is_sent_tells_what_it_has_and_shows_its_first_frame(desk, film, clip):
    assert film["film"] == {"frames": FRAMES, "rate": 25.0, "seconds": 0.2, "sound": True}
    assert (film["width"], film["height"]) == (64, 48)
    with PIL.Image.open(io.BytesIO(desk.get(film["view"]).content)) as shown:
        assert np.abs(np.asarray(shown.convert("RGB"), float) - frames_of(clip)[0]).mean() < 6
    assert desk.get(film["file"]).content == clip.read_bytes()


def test_an_animation_is_a_film_as_a_content_and_a_picture_as_a_style(desk, tmp_path):
    frames = [PIL.Image.fromarray((255 * frame).astype(np.uint8)) for frame in pan(3)]
    frames[0].save(tmp_path / "cat.gif", save_all=True, append_images=frames[1:], duration=80)
    assert sent(desk, tmp_path / "cat.gif", role="content")["film"]["frames"] == 3
    frames[0].save(tmp_path / "dog.gif", save_all=True, append_images=frames[2:], duration=80)
    assert sent(desk, tmp_path / "dog.gif", role="style")["film"] is None


def refused(desk: Desk, name: str, data: bytes, role: str = "content") -> str:
    """The sentence that an upload is refused with; nothing of it is kept."""
    answer = desk.post("/api/v1/images", params={"name": name, "role": role}, content=data)
    (error,) = answer.json()["errors"]
    assert answer.status_code in (413, 422), answer.text
    assert str(desk.studio.config.data) not in error["message"]
    assert [*(desk.studio.config.data / "images").iterdir()] == []
    return error["message"]


def test_a_damaged_film_is_refused_in_a_sentence(desk, clip):
    assert refused(desk, "clip.mp4", clip.read_bytes()[:600]).startswith("'clip.mp4' can't be read as a film (")
    assert "can't be read as a film" in refused(desk, "text.mkv", b"hello" * 100)


def test_a_film_is_no_style(desk, clip):
    assert "clip.mp4" in refused(desk, "clip.mp4", clip.read_bytes(), role="style")


def test_a_list_of_other_files_is_no_film_wherever_it_leads(tmp_path, clip):
    shutil.copy(clip, tmp_path / "secret.mp4")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with av.open(str(tmp_path / "list.mp4")) as followed:  # FFmpeg by itself would
        assert followed.format.name == "concat"
    with pytest.raises(ImageError, match="can't be read as a film"):
        reading.read(tmp_path / "list.mp4", tmp_path / "still.png", MANY)


def test_too_long_and_too_large_films_are_refused_with_what_they_are_and_what_is_taken(asked, clip):
    desk = asked(limits={"film_frames": 4})
    message = refused(desk, "clip.mp4", clip.read_bytes())
    assert message == (
        "'clip.mp4' has 5 frames, and the studio takes films of up to 4: cut it, or paint it with 'impasto video'."
    )
    desk = asked("other", limits={"film_pixels": 3000})
    assert refused(desk, "clip.mp4", clip.read_bytes()).startswith("'clip.mp4' is 64×48, ")
    desk = asked("third", limits={"upload_bytes": 2000})
    assert "more than" in refused(desk, "clip.mp4", clip.read_bytes())


def test_what_8k_is_refused_with_names_its_size_and_the_cure(tmp_path, clip, monkeypatch):
    from dataclasses import replace

    huge = replace(probe(str(clip)), size=(4320, 7680))
    monkeypatch.setattr(reading, "probe", lambda path: huge)
    with pytest.raises(ImageError) as found:
        reading.read(clip, tmp_path / "still.png", FilmLimits(20_000, 9_000_000))
    assert str(found.value).endswith(
        "is 7680×4320, 33 megapixels a frame, and the studio takes films of up to 9: scale it down, to 4K or less."
    )


@pytest.mark.parametrize("missing", ["av", "cv2"])
def test_without_the_extra_a_film_is_refused_with_the_command_that_installs_it(missing, monkeypatch, tmp_path, clip):
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    with pytest.raises(SettingsError, match=r"is not installed: pip install 'impasto\[video\]'"):
        reading.read(clip, tmp_path / "still.png", MANY)


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("quality", "superb", "quality is 'superb'"),
        ("from", "noon", "from is 'noon'"),
        ("from", "10:00", "from is 10:00, but the film lasts"),
        ("to", "0", "to isn't after from"),
        ("every", 0, "every is 0"),
        ("passes", 21, "passes is 21"),
        ("flow", "wild", "flow is 'wild'"),
    ],
)
def test_an_option_that_cannot_be_is_refused_beside_its_control(option, value, fault, desk, film):
    for route in ("jobs", "plan"):
        answer = desk.post(f"/api/v1/{route}", json=asked_for(film, **{option: value}))
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["knob"]) == (422, option)
        assert error["message"].startswith(fault)
    assert option in [control.name for control in film_form()]


def test_options_of_a_film_without_one_are_refused_and_a_quick_look_paints_its_first_frame(desk, film, pictures, order):
    photo = sent(desk, pictures / "photo.png")
    answer = desk.post("/api/v1/jobs", json=asked_for(photo, quality="best"))
    assert (answer.status_code, answer.json()["errors"][0]["knob"]) == (422, "film")
    (quick,) = desk.post("/api/v1/jobs", json=asked_for(film) | {"settings": {}, "quick": True}).json()["jobs"]
    assert quick["film"] is None
    content = desk.studio.orders.files(quick["id"], desk.studio.store.spec(quick["id"])).content
    with PIL.Image.open(content) as still:
        assert still.size == (64, 48)


def test_of_a_film_and_a_photo_the_film_alone_has_options(desk, film, pictures):
    photo = sent(desk, pictures / "photo.png")
    both = asked_for(film, **{"from": 0.04, "every": 2}) | {"contents": [film["id"], photo["id"]]}
    options = [job["film"] for job in desk.post("/api/v1/jobs", json=both).json()["jobs"]]
    assert options[1] is None
    usual = {control.name: control.default for control in film_form()}
    assert options[0] == usual | {"from": "0.04", "every": 2}


def test_what_a_film_cannot_do_is_said(desk, film):
    (job,) = desk.post("/api/v1/jobs", json=asked_for(film)).json()["jobs"]
    address = f"/api/v1/jobs/{job['id']}"
    for answer in (
        desk.post(f"{address}/stop"),
        desk.post(f"{address}/enlarge", json={"size": 4096}),
        desk.patch(address, json={"settings": {"strength": 0.2}}),
    ):
        assert answer.status_code == 409
        assert answer.json()["errors"][0]["message"].endswith(".")
    for frame, status in (("0", 404), ("-1", 422), ("x", 422), ("1000000", 422), ("0/original", 404)):
        assert desk.get(f"{address}/frames/{frame}").status_code == status, frame
    assert desk.get(f"{address}/film").status_code == 404


def test_a_photo_has_no_frames(desk, order):
    (job,) = desk.post("/api/v1/jobs", json=order(desk)).json()["jobs"]
    for path in ("film", "frames/0", "frames/0/original"):
        assert desk.get(f"/api/v1/jobs/{job['id']}/{path}").status_code == 404


def test_a_films_frames_and_bytes_ask_for_the_token(asked, film):
    desk = asked("guarded", token="twelve letters")
    for path in ("film", "frames/0", "frames/0/original"):
        assert desk.get(f"/api/v1/jobs/{'A' * 16}/{path}").status_code == 401


def test_cancelling_a_film_that_waits_removes_what_was_painted_of_it(desk, film):
    (job,) = desk.post("/api/v1/jobs", json=asked_for(film)).json()["jobs"]
    files = FilmFiles(desk.studio.config.data / "runs" / job["id"])
    for place in (files.draft, files.painted(0), files.original(0)):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    desk.studio.store.change_job(job["id"], state=State.PAUSED)
    assert desk.post(f"/api/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert [*files.folder.iterdir()] == []


def test_runs_are_from_a_first_to_before_an_end():
    assert runs_of([0, 1, 2, 7, 9, 10]) == [(0, 3), (7, 8), (9, 11)]
    assert runs_of([]) == []


class Told:
    """The server's end of a painter's line: what was told, and what is asked of it as soon as it listens."""

    def __init__(self, *asked: dict) -> None:
        self.messages: list[dict] = []
        self._asked = [*asked]

    def waiting(self) -> list[dict]:
        asked, self._asked = self._asked, []
        return asked

    def tell(self, **message) -> None:
        self.messages.append(message)

    def of(self, kind: str) -> list:
        return [message[kind] for message in self.messages if kind in message]


class Killable(ExecutorHere):
    """An executor in this process that may be killed, before it began at the latest."""

    def kill(self) -> None:
        self.end()


def paint_film(patch: pytest.MonkeyPatch, clip: Path, folder: Path, *asked: dict, most: float, film: dict) -> Told:
    """Paint the film in this process with a tiny network, as far as `most` frames; what was told."""
    patch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    patch.setattr(painting, "KEPT", KeptNetwork())
    patch.setattr(painter, "LocalExecutor", lambda workers, threads, log: Killable(most))
    folder.mkdir(exist_ok=True)
    knobs = SMALL | {"device": "cpu", "engine": "torch", "threads": 1, "style_layers": ("relu1_1",)}
    files = RunFiles(folder, clip, ("dots",), knobs, FilmOptions(**{"quality": "draft"} | film).model_dump())
    painter.FilmPainter(files, told := Told(*asked)).run()
    return told


@pytest.fixture
def paint(monkeypatch, tmp_path, clip):
    return lambda run, *asked, most=float("inf"), **film: paint_film(
        monkeypatch, clip, tmp_path / run, *asked, most=most, film=film
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory, clip) -> tuple[Told, Path]:
    """What was told of a film that was left alone, and its folder."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        return paint_film(patch, clip, folder, most=float("inf"), film={}), folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "frames").iterdir())}


def test_a_film_is_painted_to_the_end_and_tells_which_frames_are_finished(whole):
    told, folder = whole
    assert told.of("started") == [{"width": 32, "height": 24}]
    assert told.of("ended") == ["done"]
    steps = told.of("step")
    assert [step["step"] for step in steps] == [0, FRAMES]
    assert (steps[-1]["steps"], steps[-1]["share"], steps[-1]["seconds_left"]) == (FRAMES, 1.0, 0.0)
    assert steps[-1]["film"]["finished"] == [(0, FRAMES)]
    assert steps[-1]["film"]["newest"] == FRAMES - 1
    with av.open(str(folder / "film.mp4")) as film:
        assert len(film.streams.audio) == 1
    painted = frames_of(folder / "film.mp4")
    assert len(painted) == FRAMES
    assert sorted(path.name for path in folder.iterdir()) == [
        *("film.mp4", "frames", "frames.json", "picture.png", "preview.jpg", "thumbnail.webp")
    ]
    for number, frame in enumerate(painted):  # the scrubber shows what the film does
        with PIL.Image.open(FilmFiles(folder).painted(number)) as shown:
            assert np.abs(np.asarray(shown.convert("RGB"), float) - frame).mean() < 12, number


def test_a_film_that_was_interrupted_goes_on_to_the_same_frames_and_paints_none_twice(whole, paint, tmp_path):
    first = paint("cut", most=2)
    assert first.of("ended") == ["paused"]
    assert first.of("step")[-1]["film"]["finished"] == [(0, 2)]
    before = contents(tmp_path / "cut")
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cut/frames").iterdir()}
    second = paint("cut")
    assert second.of("ended") == ["done"]
    assert second.of("step")[0]["step"] == 2
    after = contents(tmp_path / "cut")
    assert before.items() <= after.items()
    assert after == contents(whole[1])
    assert {name: (tmp_path / "cut/frames" / name).stat().st_mtime_ns for name in times} == times
    assert second.of("step")[-1]["seconds"] > first.of("step")[-1]["seconds"]


def check_all_is_told(now: Told, before: Told) -> None:
    """One last step, as if nobody had been killed; the pace isn't known any more."""
    (step,), last = now.of("step"), before.of("step")[-1]
    assert now.of("ended") == ["done"]
    assert step["film"] == last["film"] | {"seconds_each": None}
    assert step | {"seconds": 0, "film": None} == last | {"seconds": 0, "film": None}


def test_a_film_that_was_killed_when_it_was_written_is_not_painted_again(whole, paint, tmp_path):
    files = FilmFiles(tmp_path / "killed")
    files.state.mkdir(parents=True)
    shutil.copy(whole[1] / "film.mp4", files.draft)
    shutil.copy(whole[1] / "frames.json", files.index)
    check_all_is_told(paint("killed"), whole[0])
    assert files.film.read_bytes() == (whole[1] / "film.mp4").read_bytes()


@pytest.mark.parametrize("left", [(), ("first.png",)])
def test_a_film_that_was_kept_when_the_server_was_killed_is_not_painted_again(whole, paint, tmp_path, left):
    folder = shutil.copytree(whole[1], tmp_path / "kept")
    for name in left:  # its state was only partly removed
        (folder / "state").mkdir()
        shutil.copy(folder / "picture.png", folder / "state" / name)
    check_all_is_told(paint("kept"), whole[0])
    found, expected = ({path.name for path in place.iterdir()} for place in (folder, whole[1]))
    assert found == expected
    assert contents(folder) == contents(whole[1])


def test_a_part_and_every_second_frame_are_what_is_painted(paint, tmp_path):
    paint("part", **{"from": "0.04", "every": 2})
    assert [*contents(tmp_path / "part")] == ["000000.webp", "000001.webp"]
    size, time = FilmFiles(tmp_path / "part").frame(1)
    assert (size, float(time)) == ((24, 32), 0.12)


def test_cancelling_a_film_that_is_painted_keeps_nothing_of_it(paint, tmp_path):
    told = paint("gone", {"do": "end", "as": "cancelled"})
    assert told.of("ended") == ["cancelled"]
    assert not (tmp_path / "gone/state").exists()
    assert not (tmp_path / "gone/frames").exists()


def test_a_film_of_another_version_is_not_mixed_with_this_ones(paint, monkeypatch):
    paint("old", most=2)
    monkeypatch.setattr("impasto.jobs.video.fingerprint.version", lambda name: "99")
    told = paint("old")
    assert told.of("errors")[0][0]["message"] == "The film was begun by another version of impasto: paint it again."


@pytest.fixture(scope="module")
def painted(studio: Served, clip: Path) -> dict:
    """A film that a studio has painted."""
    image = studio.client.upload(clip, "content")
    (job,) = studio.client.create(**asked_for(image, quality="draft"))["jobs"]
    return ended(studio.client, job["id"])


def fetched(studio: Served, job: dict, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{studio.port}/api/v1/jobs/{job['id']}/{path}", headers=headers)


@pytest.mark.slow
def test_a_films_frames_and_originals_are_shown_by_number_and_its_bytes_by_ranges(studio, painted, clip):
    assert (painted["state"], painted["error"]) == ("done", None)
    assert painted["progress"]["film"]["finished"] == [[0, FRAMES]]
    whole = fetched(studio, painted, "film")
    assert (whole.headers["content-type"], whole.headers["accept-ranges"]) == ("video/mp4", "bytes")
    head = httpx.head(f"http://127.0.0.1:{studio.port}/api/v1/jobs/{painted['id']}/film")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(whole.content)), b"")
    part = fetched(studio, painted, "film", range="bytes=100-199")
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    assert fetched(studio, painted, "film", range="bytes=99999999-").status_code == 416
    for number in range(FRAMES):
        shown = PIL.Image.open(io.BytesIO(fetched(studio, painted, f"frames/{number}/original").content))
        expected = PIL.Image.fromarray(frames_of(clip)[number]).resize((32, 24), PIL.Image.Resampling.LANCZOS)
        assert np.abs(np.asarray(shown.convert("RGB"), float) - np.asarray(expected)).mean() < 8, number
        assert fetched(studio, painted, f"frames/{number}").headers["content-type"] == "image/webp"
    for path in (f"frames/{FRAMES}", f"frames/{FRAMES}/original"):
        assert fetched(studio, painted, path).status_code == 404


@pytest.mark.slow
def test_the_client_saves_the_film_and_its_first_frame_and_paints_it_again(studio, painted, tmp_path):
    with av.open(str(studio.client.save(painted["id"], tmp_path / "painted.mp4"))) as film:
        assert (len(film.streams.audio), film.streams.video[0].width) == (1, 32)
    with PIL.Image.open(studio.client.save(painted["id"], tmp_path / "first.png")) as picture:
        assert picture.size == (32, 24)
    again = studio.client.act(painted["id"], "again")
    assert again["film"] == painted["film"]
    studio.client.act(again["id"], "cancel")


@pytest.mark.slow
def test_the_plan_of_a_film_says_what_it_takes(studio, painted):
    request = {"contents": [painted["content"]["image"]], "styles": [{"swatch": "dots"}], "settings": SMALL}
    plan = studio.client.plan(**request, film={"quality": "best", "every": 2})
    assert (plan["width"], plan["height"], plan["film"]["frames"], plan["film"]["shots"]) == (32, 24, 3, 1)
    assert plan["seconds"] > 0
    assert plan["disk_bytes"] > 0


@pytest.mark.slow
def test_a_studio_that_is_killed_goes_on_with_the_frame_that_the_film_was_at(tmp_path):
    film = write_film(tmp_path / "long.mp4", pan(12, (48, 64)))
    studio = Served(tmp_path / "data")
    try:
        image = studio.client.upload(film, "content")
        asked = asked_for(image) | {"settings": SMALL | {"size": 64, "steps_per_epoch": 20}}
        id = studio.client.create(**asked)["jobs"][0]["id"]

        def finished() -> int:
            progress = studio.client.job(id)["progress"]
            return progress["step"] if progress else 0

        until(lambda: finished() >= 1, 120)
        studio.kill()
        frames = tmp_path / "data/runs" / id / "frames"
        before = {path.name: path.stat().st_mtime_ns for path in frames.glob("*.webp")}
        studio.start()
        job = ended(studio.client, id)
        assert job["state"] == "done", job["error"]
        after = {path.name: path.stat().st_mtime_ns for path in frames.glob("*.webp")}
        assert (len(after), before.items() <= after.items()) == (12, True)
        again = ended(studio.client, studio.client.act(id, "again")["id"])
        assert contents(frames.parent) == contents(tmp_path / "data/runs" / again["id"])
    finally:
        assert "Traceback" not in studio.close()
