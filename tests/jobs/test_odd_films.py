"""Films that are broken, deep, bright, half transparent or oddly named: they are painted, or refused in a sentence."""

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import pytest
import torch

from clips import FLAGS, QUICK, frames_of, pan, times_of, write_film
from helpers import ExecutorHere, tiny_weights
from impasto.cli import main
from impasto.errors import ImageError, ImpastoError
from impasto.jobs.network import KeptNetwork
from impasto.jobs.video import painting
from impasto.jobs.video import writing as film_writing
from impasto.jobs.video.clip import HLG, PQ, is_film, probe
from impasto.jobs.video.colours import from_hdr
from impasto.jobs.video.film import Film, Noted, Written
from impasto.jobs.video.reading import frames
from impasto.jobs.video.steadiness import Steadiness
from impasto.jobs.video.writing import target_of
from impasto.network import weights
from impasto.settings.settings import Settings


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    monkeypatch.setattr(painting, "KEPT", KeptNetwork())
    monkeypatch.chdir(tmp_path)


def paint(source: Path | str, output: str = "out.mp4", **knobs: Any) -> list[Any]:
    target = target_of(output)
    with Film(str(source), ["dots"], Settings(**QUICK | knobs), target, steadiness=Steadiness(steps=1)) as film:
        film.analyse(lambda shots: 1)
        return [event for event in film.events(ExecutorHere()) if event is not None]


def colours(path: Path) -> np.ndarray:
    clip = probe(str(path))
    return next(iter(frames(clip, clip.size))).pixels


def test_a_truncated_film_is_painted_as_far_as_it_goes_and_says_so_or_is_refused_in_a_sentence():
    whole = write_film(Path("in.mkv"), [f + 0 for f in pan(20, (96, 128), (3.0, 2.0))], options={"g": "4"})
    data = whole.read_bytes()
    Path("cut.mkv").write_bytes(data[: len(data) // 2])
    assert isinstance(paint("cut.mkv")[-1], Written)
    assert 1 < len(times_of(Path("out.mp4"))) < 20
    mp4 = write_film(Path("in.mp4"), pan(8))
    Path("cut.mp4").write_bytes(mp4.read_bytes()[:600])  # its table of contents is at the end
    with pytest.raises(ImageError, match="can't be read as a film"):
        paint("cut.mp4", "other.mp4")


@pytest.mark.slow
def test_damage_in_the_middle_costs_frames_not_the_film():
    data = bytearray(write_film(Path("in.ts"), pan(12, (96, 128)), options={"g": "3"}).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    Path("bad.ts").write_bytes(data)
    assert isinstance(paint("bad.ts")[-1], Written)
    assert len(times_of(Path("out.mp4"))) >= 6


def test_a_film_without_frames_pictures_or_bytes_is_refused_by_name():
    with av.open("sound.mp4", "w") as out:
        stream = out.add_stream("aac", rate=44100)
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.int16), format="s16", layout="mono")
        heard.rate, heard.pts = 44100, 0
        out.mux(stream.encode(heard))
        out.mux(stream.encode(None))
    Path("empty.mp4").touch()
    Path("text.mp4").write_text("not a film")
    Path("folder").mkdir()
    sentences = {
        "sound.mp4": "has no pictures in it",
        "empty.mp4": "can't be read as a film",
        "text.mp4": r"^'text.mp4' can't be read as a film \(Invalid data found when processing input\)",
        "folder": "has no pictures",
        "gone.mp4": "doesn't exist",
        "https://example.com/a.mp4": "is an address",
    }
    for name, said in sentences.items():
        with pytest.raises(ImpastoError, match=said):
            paint(name)


def test_one_frame_is_a_film_too():
    write_film(Path("in.mp4"), pan(1))
    assert isinstance(paint("in.mp4")[-1], Written)
    assert len(frames_of(Path("out.mp4"))) == 1


def test_a_deep_film_is_read_in_all_its_depth():
    ramp = np.tile(np.linspace(0.4, 0.5, 64, dtype=np.float32), (48, 1))[..., None].repeat(3, axis=2)
    with av.open("in.mkv", "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        deep = av.VideoFrame.from_ndarray((65535 * ramp).round().astype(np.uint16), format="rgb48le")
        deep.pts = 0
        out.mux(stream.encode(deep))
        out.mux(stream.encode(None))
    found = colours(Path("in.mkv"))
    assert probe("in.mkv").deep
    assert len(np.unique(found[24, :, 1])) > 40  # of 26 levels that 8 bits would have
    assert isinstance(paint("in.mkv")[-1], Written)


def test_an_interlaced_film_has_no_combs_left():
    moving = pan(8, (96, 128), (6.0, 0.0))
    woven = []
    for now, after in pairwise(moving):
        frame = now.copy()
        frame[1::2] = after[1::2]
        woven.append(frame)
    with av.open("in.mkv", "w") as out:
        stream = out.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.bit_rate = 4_000_000
        stream.codec_context.flags |= 0x20000000 | 0x00040000  # interlaced motion estimation and DCT
        for number, frame in enumerate(woven):
            made = av.VideoFrame.from_ndarray((255 * frame).round().astype(np.uint8), format="rgb24")
            made.pts = number
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))
    clip = probe("in.mkv")
    assert clip.interlaced

    def combs(frame: np.ndarray) -> float:
        return float(np.abs(2 * frame[1:-1:2] - frame[:-2:2] - frame[2::2]).mean())

    shown = [frame.pixels for frame in frames(clip, clip.size)]
    assert len(shown) == 7
    assert combs(shown[3]) < 0.5 * combs(woven[3])
    assert isinstance(paint("in.mkv")[-1], Written)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_hdr_is_shown_in_the_range_of_a_usual_screen(transfer):
    hushed = {
        "x265-params": "log-level=none:bframes=0:frame-threads=1"
    }  # with more, x265's first packet may lack a time
    context = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9, "color_range": 1}
    write_film(Path("in.mp4"), pan(2), codec="libx265", pixels="yuv420p10le", context=context, options=hushed)
    clip = probe("in.mp4")
    assert clip.hdr
    assert isinstance(paint("in.mp4")[-1], Written)
    with av.open("out.mp4") as film:
        assert int(next(film.decode(video=0)).colorspace) == 1


def test_hdr_keeps_greys_grey_black_black_and_the_order_of_lights():
    for transfer in (PQ, HLG):
        signal = np.linspace(0, 1, 32, dtype=np.float32)[None, :, None].repeat(3, axis=2)
        shown = from_hdr(signal, transfer)
        assert shown[0, 0].max() < 0.01
        assert (np.diff(shown[0, :, 1]) >= 0).all()
        assert np.abs(shown - shown.mean(axis=-1, keepdims=True)).max() < 0.02
    white = from_hdr(np.full((1, 1, 3), 0.5807, np.float32), PQ)  # 203 cd/m², BT.2408
    assert 0.6 < white.mean() < 0.95


def test_a_name_that_a_shell_would_run_is_a_name():
    write_film(Path("a;touch x.mp4"), pan(2))
    assert main(["video", "a;touch x.mp4", "dots", "-o", "$(touch y).mp4", *FLAGS, "--workers", "1", "--plan"]) == 0
    assert isinstance(paint("a;touch x.mp4", "$(touch y).mp4")[-1], Written)
    assert sorted(path.name for path in Path().iterdir()) == ["$(touch y).mp4", "a;touch x.mp4"]


@pytest.mark.slow
def test_8k_is_planned_at_the_size_asked_for_and_refused_beyond_the_limit():
    frame = np.zeros((4320, 7680, 3), np.float32)
    write_film(Path("in.mkv"), [frame], codec="mpeg4", options={"b": "100k"})
    with pytest.raises(ImageError, match="is 7680×4320, more than 1000 pixels"):
        paint("in.mkv", max_pixels=1000)
    assert isinstance(paint("in.mkv")[-1], Written)
    assert frames_of(Path("out.mp4"))[0].shape == (28, 48, 3)
    with pytest.raises(ImpastoError, match="memory"):
        paint("in.mkv", "large.mp4", size="original", max_memory="600MB", scratch="/proc")


def test_odd_sides_are_made_even_where_the_container_needs_it():
    for number, frame in enumerate(pan(2, (51, 67))):
        PIL.Image.fromarray((255 * frame).astype(np.uint8)).save(f"f{number}.png")
    paint("f%d.png", size="original")
    assert frames_of(Path("out.mp4"))[0].shape[0] % 2 == frames_of(Path("out.mp4"))[0].shape[1] % 2 == 0
    paint("f%d.png", "out/", size="original")
    with PIL.Image.open("out/frame_00001.png") as image:
        assert image.size == (67, 51)


def test_pictures_of_different_sizes_are_no_sequence():
    for number, size in enumerate([(48, 64), (48, 64), (64, 64)]):
        PIL.Image.fromarray((255 * pan(1, size)[0]).astype(np.uint8)).save(f"f{number}.png")
    with pytest.raises(ImageError, match="of different sizes"):
        paint("f%d.png")


def test_one_picture_is_told_to_be_none():
    PIL.Image.new("RGB", (64, 48)).save("photo.jpg")
    with pytest.raises(ImageError, match=r"'photo\.jpg' is one picture, not a film: paint it with `?impasto paint"):
        probe("photo.jpg")


def test_pictures_of_a_camera_held_upright_are_a_sequence_of_that_size():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    for number in range(2):
        PIL.Image.new("RGB", (64, 48)).save(f"f{number}.jpg", exif=exif)
    clip = probe("f%d.jpg")
    assert clip.size == (64, 48)
    assert [next(iter(frames(clip, clip.size))).pixels.shape] == [(64, 48, 3)]


@pytest.mark.parametrize("odd", [0, 2, 4])
def test_a_picture_of_another_size_is_named_wherever_it_is(odd):
    for number in range(5):
        PIL.Image.new("RGB", (64, 52 if number == odd else 48)).save(f"f{number}.jpg")
    with pytest.raises(ImageError, match=rf"'f{odd}\.jpg' is 64×52, others are 64×48: scale it to theirs, or take it"):
        paint("f%d.jpg")


def test_a_list_of_other_files_is_no_film_for_the_command_either():
    write_film(Path("secret.mp4"), pan(2))
    Path("list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(ImageError, match=r"^'list\.mp4' can't be read as a film .*list of files"):
        paint("list.mp4")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("out.xyz", "which no container does"),
        ("out.jpg", "can hold one picture only"),
        ("out.wav", "takes no film"),
        ("out.3gp", "takes no film"),
        ("gone/out.mp4", "in a folder that doesn't exist"),
        ("f_%03d.txt", "not in a known format"),
        ("f_%0999d.png", "makes names of 1005 bytes, more than the 255"),
        (f"{'f' * 240}%020d.png", "makes names of 264 bytes"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(output, said):
    write_film(Path("in.mp4"), pan(1))
    with pytest.raises(ImageError, match=said):
        paint("in.mp4", output)


@pytest.mark.parametrize("output", ["out.mxf", "out.mpg"])
def test_a_rate_that_a_container_cannot_hold_is_said_before_the_film_is_painted(output, monkeypatch):
    write_film(Path("in.mp4"), pan(3), times=[0, 41, 83])
    monkeypatch.setattr(painting, "paint", None)
    with pytest.raises(
        ImageError, match=rf"^'{output}' can't hold this film of 48×36 whose frames aren't all shown equally long \("
    ):
        paint("in.mp4", output)
    assert [path.name for path in Path().iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("output", ["out.mxf", "out.mpg"])
def test_a_film_at_29_97_frames_a_second_goes_into_what_knows_a_few_rates(output):
    with av.open("in.mp4", "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(30000, 1001))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in pan(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray((255 * frame).astype(np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    assert isinstance(paint("in.mp4", output)[-1], Written)
    with av.open(output) as film:
        assert film.streams.video[0].average_rate == Fraction(30000, 1001)


def test_a_film_with_sound_goes_into_mxf_where_all_sound_has_48_kilohertz():
    write_film(Path("in.mp4"), pan(3), sound="aac")
    assert isinstance(paint("in.mp4", "out.mxf")[-1], Written)
    with av.open("out.mxf") as film:
        assert film.streams.audio[0].rate == 48000


def test_subtitles_are_carried_or_named():
    srt = "1\n00:00:00,000 --> 00:00:01,000\nhello\n"
    Path("in.srt").write_text(srt)
    write_film(Path("bare.mkv"), pan(3), options={"bf": "0"})
    with av.open("bare.mkv") as film, av.open("in.srt") as words, av.open("in.mkv", "w") as out:
        streams = [out.add_stream_from_template(source.streams[0]) for source in (film, words)]
        for source, stream in zip((film, words), streams, strict=True):
            for packet in source.demux():
                if packet.size and packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
    paint("in.mkv", "out.mkv")
    with av.open("out.mkv") as film:
        name = film.streams.subtitles[0].codec_context.name
        assert [bytes(packet) for packet in film.demux(subtitles=0) if packet.size] == [b"hello"]
    noted = [event.sentence for event in paint("in.mkv", "out.mp4") if isinstance(event, Noted)]
    assert noted == [f"'out.mp4' can't hold the subtitle in {name}: it is left out."]


def test_a_photo_is_no_film_and_an_animation_is():
    one = PIL.Image.fromarray((255 * pan(1)[0]).astype(np.uint8))
    one.save("one.webp")
    one.save("many.webp", save_all=True, append_images=[one.rotate(90)])
    Path("folder").mkdir()
    assert [is_film(name) for name in ("one.webp", "many.webp", "a.mp4", "f_%03d.png", "folder", "photo.jpg")] == [
        *(False, True, True, True, True, False),
    ]


def test_what_a_film_is_made_of_is_never_written_over(capsys):
    Path("in").mkdir()
    one = PIL.Image.fromarray((255 * pan(1)[0]).astype(np.uint8))
    one.save("style.png")
    for number, frame in enumerate(pan(2), start=1):
        PIL.Image.fromarray((255 * frame).astype(np.uint8)).save(f"in/frame_{number:05}.png")
    write_film(Path("in.mp4"), pan(2))
    Path("link.mp4").symlink_to("in.mp4")
    before = {path: path.read_bytes() for path in Path().rglob("*.*") if path.is_file()}
    for film, output, named in (
        ("in.mp4", "in.mp4", "in.mp4"),
        ("in.mp4", "link.mp4", "link.mp4"),
        ("in", "in/", "in/frame_00001.png"),
        ("in/frame_%05d.png", "in/frame_%05d.png", "in/frame_00001.png"),
        ("in.mp4", "style.png", "style.png"),
    ):
        assert main(["video", film, "style.png", "-o", output, "--overwrite", *FLAGS, "--quiet"]) == 2
        assert f"{named}' is one of the inputs" in capsys.readouterr().err
    assert main(["video", "in.mp4", "style.png", "-o", "in.mp4", *FLAGS, "--quiet"]) == 2
    assert "'in.mp4' is one of the inputs" in capsys.readouterr().err
    for strip in ("in.mp4", "style.png", "out.mp4"):
        assert main(["video", "in.mp4", "style.png", "-o", "out.mp4", "--overwrite", "--strip", strip, *FLAGS]) == 2
        assert "is the film, or one of the inputs" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path().rglob("*.*") if path.is_file()} == before


@pytest.mark.parametrize("strip", ["strip.txt", "gone/strip.png"])
def test_a_sheet_that_cannot_be_written_is_refused_before_the_film_is_painted(strip, capsys):
    write_film(Path("in.mp4"), pan(1))
    assert main(["video", "in.mp4", "dots", "-o", "out.mp4", "--strip", strip, *FLAGS]) == 1
    assert strip in capsys.readouterr().err
    assert not Path("out.mp4").exists()


@pytest.mark.parametrize("knob", ["keep_exif", "keep_gps"])
def test_what_no_film_carries_is_refused(knob):
    write_film(Path("in.mp4"), pan(1))
    with pytest.raises(ImpastoError, match=f"{knob} is set, but no film carries"):
        paint("in.mp4", **{knob: True})


def test_a_name_with_a_colon_is_a_name_not_an_address():
    write_film(Path("in.mp4"), pan(2), sound="aac").rename("take 1: dawn.mp4")
    assert isinstance(paint("take 1: dawn.mp4", "take 2: dusk.mp4")[-1], Written)
    with av.open(str(Path("take 2: dusk.mp4").absolute())) as film:
        assert film.streams.audio


def test_two_films_whose_names_begin_alike_have_drafts_of_their_own(monkeypatch):
    write_film(Path("in.mp4"), pan(2))
    drafts, move = [], film_writing.move_into_place
    monkeypatch.setattr(
        film_writing, "move_into_place", lambda draft, *a, **how: drafts.append(draft.name) or move(draft, *a, **how)
    )
    for part in (1, 2):
        paint("in.mp4", f"{'The same long beginning of a title, part ' * 2}{part}.mp4")
    assert len(set(drafts)) == 2


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")
def test_a_film_that_is_replaced_keeps_its_rights_and_a_link_to_it_stays_one():
    write_film(Path("in.mp4"), pan(2))
    Path("old.mp4").touch()
    Path("old.mp4").chmod(0o640)
    Path("link.mp4").symlink_to("old.mp4")
    assert main(["video", "in.mp4", "dots", "-o", "link.mp4", "--overwrite", *FLAGS, "--workers", "1", "--quiet"]) == 0
    assert Path("link.mp4").is_symlink()
    assert len(frames_of(Path("old.mp4"))) == 2
    assert Path("old.mp4").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["video", "in.mp4", "dots", "-o", ""], "'' is no name for a film"),
        (["video", "in.mp4", "dots", "-o", "/"], "'/' is no name for a film"),
        (["video", "in.mp4", "dots", "-o", "a" * 300 + ".mp4"], "has a name of 304 bytes"),
        (["video", "in.mp4", "dots", "-o", "a" * 250 + ".mp4"], "has a name of 254 bytes, more than the 250"),
        (["video", "b" * 300 + ".mp4", "dots", "-o", "out.mp4"], "doesn't exist"),
        (["plan", "b" * 300 + ".mp4", "dots"], "doesn't exist"),
        (["plan", "b" * 300 + ".jpg", "dots"], "b.jpg"),
        (["video", "f_%d.png", "dots", "-o", "out.mp4", "--rate", "nan"], "--rate is nan"),
        (["video", "f_%d.png", "dots", "-o", "out.mp4", "--rate", "inf"], "--rate is inf"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_name_or_a_rate_that_cannot_be_is_said_in_a_sentence(command, said, capsys):
    write_film(Path("in.mp4"), pan(1))
    assert main([*command, *FLAGS]) in (1, 2)
    found = capsys.readouterr().err
    assert said in found
    assert found.count("\n") == 1


def test_a_film_goes_into_the_folder_that_one_is_in():
    Path("here").mkdir()
    write_film(Path("here/in.mp4"), pan(2))
    os.chdir("here")
    assert isinstance(paint("in.mp4", ".")[-1], Written)
    assert sorted(path.name for path in Path().iterdir()) == ["frame_00001.png", "frame_00002.png", "in.mp4"]
    assert [path.name for path in Path("..").iterdir()] == ["here"]
