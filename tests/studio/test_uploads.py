"""What strangers may send as a picture: anything; what is none is refused in a sentence, and nothing is left of it."""

import io
import struct
import zlib

import httpx
import numpy as np
import PIL.Image
import pytest
from served import SMALL, ended, sent

from impasto.studio import reading
from impasto.studio.images import safe_name

GPS_FOLDER, MAKE, LATITUDE = 0x8825, 0x010F, 2


def encoded(kind="PNG", size=(40, 30), **options):
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(stream := io.BytesIO(), kind, **options)
    return stream.getvalue()


def bomb(width, height):
    """A PNG of a few kilobytes with so many pixels, all the same."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def upload(desk, data, name="a.png", **headers):
    return desk.post("/api/v1/images", params={"name": name}, content=data, headers=headers)


def kept(desk):
    return [*(desk.studio.config.data / "images").iterdir()]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A studio for all that is refused."""
    from served import Desk

    from impasto.studio.config import Limits, StudioConfig

    limits = Limits(upload_bytes=300_000, pixels=1_000_000, body_bytes=5000)
    desk = Desk(StudioConfig(tmp_path_factory.mktemp("uploads"), limits=limits))
    yield desk
    desk.close()


NO_PICTURES = {
    "empty": b"",
    "text": b"hello",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "html": b"<!doctype html><script>alert(1)</script>",
    "pdf": b"%PDF-1.7\n",
    "zip": b"PK\x03\x04" + bytes(100),
    "png that ends early": encoded()[:600],
    "png without pixels": encoded()[:33],
    "jpeg that ends early": encoded("JPEG")[:400],
    "webp that ends early": encoded("WEBP")[:100],
    "tiff with a wild offset": b"II*\0\xff\xff\xff\x7f",
    "gif": b"GIF89a" + b"\xff" * 40,
    "svg behind a png's first bytes": b"\x89PNG\r\n\x1a\n<svg onload='alert(1)'/>",
    "far too many pixels": bomb(60_000, 20_000),
}


@pytest.mark.parametrize("what", NO_PICTURES)
def test_what_is_no_picture_is_refused_in_a_sentence_and_not_kept(what, shared):
    before = len(kept(shared))
    answer = upload(shared, NO_PICTURES[what])
    (error,) = answer.json()["errors"]
    assert answer.status_code == 422
    assert error["message"].endswith(".")
    assert str(shared.studio.config.data) not in error["message"]
    assert len(kept(shared)) == before


def test_a_file_that_is_too_long_is_refused_while_it_comes_whether_it_says_so_or_not(shared):
    for data in (bytes(300_001), (bytes(50_000) for _ in range(10_000_000))):
        answer = upload(shared, data)
        assert answer.status_code == 413
        assert "more than" in answer.json()["errors"][0]["message"]
    assert all(folder.name in [i.id for i in shared.studio.store.images()] for folder in kept(shared))


def test_another_request_that_is_too_long_is_refused_whether_it_says_so_or_not(shared):
    for body in (b"[" * 5001, (b"[" * 1000 for _ in range(10_000_000))):
        answer = shared.post("/api/v1/jobs", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert "5,000 bytes" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("length", ["-1", "1e3", "x", "9" * 5000, "\xb2".encode("latin-1"), ""])
def test_a_length_that_is_no_number_is_refused(length, shared):
    assert upload(shared, b"x", **{"content-length": length}).status_code == 413


def test_reading_has_limits_of_memory_and_time(tmp_path):
    from impasto.studio.config import Limits

    (file := tmp_path / "large.png").write_bytes(bomb(20_000, 10_000))
    for limits in (
        Limits(pixels=10**9, decoding_bytes=50_000_000),
        Limits(pixels=10**9, decoding_seconds=0, decoding_bytes=10**10),
    ):
        with pytest.raises(reading.ImageError) as found:
            reading.read_upload(file, tmp_path, limits)
        assert "smaller" in found.value.cure


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\..\\boot.ini",
        "/etc/passwd",
        "view.webp",
        "thumbnail.webp",
        "own",
        ".htaccess",
        "a\0b.png",
        "новый год.jpg",
        "e\u0301.png",
        "👩‍🎨.png",
        "con:aux|?.png",
        "a" * 300,
        "é" * 140 + ".png",
        "..",
        "%2e%2e%2f",
        "<script>alert(1)</script>.png",
        'quote".png',
        "line\r\nSet-Cookie: a=b.png",
    ],
)
def test_a_picture_of_any_name_is_kept_in_its_own_folder_and_comes_back_as_it_was(name, shared):
    data = encoded(size=(20, 10 + len(name)))
    image = upload(shared, data, name).json()
    file = shared.studio.store.image_file(image["id"])
    assert file.is_relative_to(shared.studio.config.data / "images" / image["id"])
    assert len([*file.parent.iterdir()]) == 1
    answer = shared.get(image["file"])
    assert answer.content == data
    assert "set-cookie" not in answer.headers
    assert PIL.Image.open(io.BytesIO(shared.get(image["view"]).content)).size == (20, 10 + len(name))
    assert "\n" not in image["name"]
    assert "/" not in image["name"].replace("</script>", "")


def test_names_for_files_hold_nothing_that_a_system_minds():
    assert safe_name("a/b\\..\\c: d?.PNG") == "c_ d_.PNG"
    assert safe_name("...") == "picture"
    assert len(safe_name("é" * 200 + ".jpeg").encode()) <= 90


def test_an_upload_is_only_ever_served_as_a_download_or_as_pixels(shared):
    image = upload(shared, encoded() + b"<script>alert(1)</script>", "page.html").json()
    answer = shared.get(image["file"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    for kind in ("view", "thumbnail"):
        answer = shared.get(image[kind])
        assert answer.headers["content-type"] == "image/webp"
        assert b"alert" not in answer.content


def test_two_uploads_of_the_same_bytes_at_the_same_time_are_one(shared):
    import asyncio

    async def both():
        transport = httpx.ASGITransport(shared.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            data = encoded(size=(33, 44))
            return await asyncio.gather(*(client.post("/api/v1/images", content=data) for _ in range(3)))

    before = len(kept(shared))
    answers = asyncio.run(both())
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(kept(shared)) == before + 1


def test_an_upload_under_way_is_not_swept_away(desk):
    def chunks():
        data = encoded()
        yield data[:100]
        desk.studio.sweep()
        yield data[100:]

    assert upload(desk, chunks()).status_code == 201
    (desk.studio.config.data / "images" / "left-over").mkdir()
    desk.studio.sweep()
    assert len(kept(desk)) == 1


def test_a_studio_that_keeps_as_much_as_it_may_refuses_more_and_says_what_to_do(asked, order, pictures):
    request = order(desk := asked(limits={"disk_bytes": 900_000}))
    desk.studio.config.data.joinpath("runs", "large").write_bytes(bytes(500_000))
    desk.studio._used = (-1e9, 0)
    answer = upload(desk, encoded(size=(400, 400)))
    assert answer.status_code == 413
    assert "delete pictures" in answer.json()["errors"][0]["message"]
    assert upload(desk, encoded(size=(30, 30))).status_code == 201
    desk.studio.config.data.joinpath("runs", "large").write_bytes(bytes(900_000))
    desk.studio._used = (-1e9, 0)
    assert desk.post("/api/v1/jobs", json=request).status_code == 413


def test_a_queue_that_is_full_takes_no_more_jobs(asked, order):
    desk = asked(limits={"queue": 3})
    request = order(desk)
    assert desk.post("/api/v1/jobs", json=request | {"vary": {"seed": [1, 2]}}).status_code == 201
    answer = desk.post("/api/v1/jobs", json=request | {"vary": {"seed": [1, 2]}})
    assert answer.status_code == 409
    assert "2 jobs wait already, of 3" in answer.json()["errors"][0]["message"]
    assert len(desk.get("/api/v1/jobs").json()["jobs"]) == 2


def test_a_full_disk_is_said_and_leaves_nothing(desk, order, monkeypatch):
    request = order(desk)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.mkdir", full)
        answer = upload(desk, encoded())
        assert (answer.status_code, len(kept(desk))) == (413, 1)
        assert "No space left on device" in answer.json()["errors"][0]["message"]
    desk.studio.store._db.execute("PRAGMA max_page_count = 1")
    answers = [desk.post("/api/v1/jobs", json=request | {"vary": {"seed": [*range(25)]}}) for _ in range(5)]
    assert answers[-1].status_code == 507
    assert "full" in answers[-1].json()["errors"][0]["message"]
    desk.studio.store._db.execute("PRAGMA max_page_count = 100000")
    assert desk.post("/api/v1/jobs", json=request).status_code == 201


def located(path):
    exif = PIL.Image.Exif()
    exif[MAKE] = "Canon"
    exif.get_ifd(GPS_FOLDER).update({1: "N", LATITUDE: (52.0, 31.0, 7.0)})
    path.write_bytes(encoded("JPEG", exif=exif.tobytes()))
    return path


def test_where_a_photo_was_taken_is_in_nothing_that_is_shown_of_it(desk, tmp_path):
    image = sent(desk, located(tmp_path / "home.jpg"))
    assert b"Canon" in desk.get(image["file"]).content
    for kind in ("view", "thumbnail"):
        with PIL.Image.open(io.BytesIO(desk.get(image[kind]).content)) as shown:
            assert not shown.getexif()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("knobs", "place"),
    [({}, {}), ({"keep_gps": True}, {LATITUDE: (52.0, 31.0, 7.0)})],
)
def test_where_a_photo_was_taken_is_in_the_picture_only_when_asked_for(knobs, place, studio, tmp_path):
    client = studio.client
    job = ended(client, client.paint(located(tmp_path / "home.jpg"), "dots", **SMALL | knobs)["id"])
    for suffix in ("png", "jpg", "webp", "tif"):
        with PIL.Image.open(client.save(job["id"], tmp_path / f"out.{suffix}")) as picture:
            gps = picture.getexif().get_ifd(GPS_FOLDER)
        assert {key: gps[key] for key in gps if key == LATITUDE} == place
