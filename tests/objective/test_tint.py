"""The photo's colours in the painting's range, laid over what was painted: against the formulas written out."""

import numpy as np
import pytest
import torch

from helpers import PlannedRun, smooth_image, tiny_weights
from impasto.images import colour
from impasto.images.size import resize
from impasto.network.vgg import VGG19
from impasto.objective import tint as module
from impasto.objective.colour_matching import colour_statistics
from impasto.objective.inputs import Inputs
from impasto.objective.tint import ChromaMap, Tint, box_mean, chroma_map, guided_coefficients, make_tint
from impasto.run.events import EpochDone, Finished, ScaleDone, Stepped
from impasto.run.memory_plan import canvas_bytes
from impasto.settings.settings import Settings
from impasto.storage.scratch import Scratch

CONTENT = 0.3 + 0.4 * smooth_image(48, 64, seed=1, dtype=torch.float32)
STYLE = 0.2 + 0.5 * smooth_image(70, 50, seed=2, dtype=torch.float32) * torch.tensor([0.3, 0.7, 1.0]).view(1, 3, 1, 1)
GREY = CONTENT.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
LEFT = torch.zeros(1, 1, 48, 64)
LEFT[..., :32] = 1


def paint(color: str, styles=(STYLE,), change=None, masks=(), **changes) -> list:
    knobs = {"size": 64, "epochs": 2, "steps_per_epoch": 3, "scales": 2, "device": "cpu", "color": color, **changes}
    run = PlannedRun(Settings(**knobs), VGG19(tiny_weights(dtype=torch.float32)), CONTENT, list(styles), masks=masks)
    events = []
    for event in run.events():
        events.append(event)
        if change is not None and isinstance(event, Stepped) and event.step in change:
            run.change(color=change[event.step])
    return events


def pictures(events: list) -> list[torch.Tensor]:
    shown = [e.picture() if isinstance(e, Stepped) else e.picture for e in events if not isinstance(e, Finished)
             and isinstance(e, Stepped | EpochDone | ScaleDone)]  # fmt: skip
    return [*shown, events[-1].picture]


def moments(chroma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows = chroma.flatten(2)[0].double()
    return rows.mean(dim=1), torch.cov(rows, correction=0)


def chroma(image: torch.Tensor) -> torch.Tensor:
    return colour.oklab(image.double())[:, 1:]


def test_the_contents_chroma_gets_the_mean_and_covariance_of_the_styles_and_turns_no_colour():
    move = chroma_map(colour_statistics(CONTENT), colour_statistics(STYLE))
    for found, wanted in zip(moments(move(chroma(CONTENT))), moments(chroma(STYLE)), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(move.matrix, move.matrix.mT)
    assert torch.linalg.eigvalsh(move.matrix).min() > 0


def test_several_styles_give_the_moments_of_their_blend_by_shares():
    other = STYLE.flip(1)
    (move,) = make_tint(Inputs(CONTENT, (STYLE, other)), (3.0, 1.0)).maps
    mean, second = torch.zeros(2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    for share, style in ((0.75, STYLE), (0.25, other)):
        rows = chroma(style).flatten(2)[0]
        mean, second = mean + share * rows.mean(dim=1), second + share * rows @ rows.T / rows.shape[1]
    found = moments(move(chroma(CONTENT)))
    torch.testing.assert_close(found[0], mean)
    torch.testing.assert_close(found[1], second - torch.outer(mean, mean), rtol=1e-6, atol=1e-9)


def test_only_the_white_part_of_a_painting_tints():
    part = torch.zeros(1, 1, 70, 50)
    part[..., :35, :] = 1
    (move,) = make_tint(Inputs(CONTENT, (STYLE,), style_masks=(part,)), ()).maps
    torch.testing.assert_close(move.wanted, moments(chroma(STYLE[..., :35, :]))[0])


@pytest.mark.parametrize(("size", "radius"), [((9, 13), 2), ((4, 30), 5), ((3, 3), 1)])
def test_the_guided_filter_is_that_of_the_paper_window_by_window(size, radius):
    guide, image = smooth_image(*size, seed=1)[0, 0].numpy(), smooth_image(*size, seed=2)[0, :2].numpy()
    h, w = size

    def window(values: np.ndarray, y: int, x: int) -> np.ndarray:
        return values[..., max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]

    a, b = np.zeros((2, h, w)), np.zeros((2, h, w))
    for c, y, x in np.ndindex(2, h, w):
        i, p = window(guide, y, x), window(image[c], y, x)
        a[c, y, x] = ((i * p).mean() - i.mean() * p.mean()) / (i.var() + 0.01)
        b[c, y, x] = p.mean() - a[c, y, x] * i.mean()
    wanted = [[[window(of[c], y, x).mean() for x in range(w)] for y in range(h)] for of in (a, b) for c in range(2)]
    given = torch.from_numpy(guide)[None, None], torch.from_numpy(image)[None]
    np.testing.assert_allclose(guided_coefficients(*given, radius, 0.01)[0].numpy(), wanted, atol=1e-9)


def test_a_mean_over_windows_of_a_constant_is_that_constant_also_at_the_borders():
    torch.testing.assert_close(box_mean(torch.full((1, 2, 5, 7), 0.3), 3), torch.full((1, 2, 5, 7), 0.3).double())


def test_colours_follow_the_edges_of_what_was_painted_and_are_smooth_between_them():
    painted = torch.full((1, 3, 64, 256), 0.3)
    painted[..., 128:] = 0.7
    noise = 0.02 * torch.randn(1, 2, 64, 256, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = noise.clone()
    wanted[..., 125:] += 0.05  # which misses the edge by three pixels
    found = chroma(Tint(painted, ()).picture(painted, wanted))
    steps = found.mean(dim=(1, 2)).diff().abs()[0]
    assert steps.argmax() == 127
    assert found[..., 8:100].std(dim=(2, 3)).max() < 0.3 * noise.std()


def test_tint_keeps_the_lightness_of_what_is_painted_with_the_styles_colours_and_the_way_there():
    plain, tinted = paint("style"), paint("tint")
    losses = [[e.loss for e in events if isinstance(e, Stepped | Finished)] for events in (plain, tinted)]
    assert losses[0] == losses[1]
    for before, after in zip(pictures(plain), pictures(tinted), strict=True):
        lightness = [colour.oklab(image)[:, :1] for image in (before, after)]
        torch.testing.assert_close(lightness[1], lightness[0], atol=2e-3, rtol=0)
    result, wanted = chroma(tinted[-1].picture), moments(chroma(STYLE))
    assert (moments(result)[0] - wanted[0]).norm() < 0.1 * (moments(chroma(CONTENT))[0] - wanted[0]).norm()


def test_a_colour_that_cannot_be_shown_loses_chroma_and_keeps_lightness_and_hue():
    painted = smooth_image(32, 32, seed=4)
    wanted = torch.tensor([0.25, -0.3], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 32, 32)
    found = colour.oklab(Tint(painted, ()).picture(painted, wanted))
    torch.testing.assert_close(found[:, 0], colour.oklab(painted)[:, 0], atol=1e-3, rtol=0)
    hue = torch.atan2(found[:, 2], found[:, 1])
    torch.testing.assert_close(hue, torch.full_like(hue, float(np.arctan2(-0.3, 0.25))), atol=0.02, rtol=0)


def test_each_region_is_tinted_by_its_own_style_and_the_photo_stays_where_none_is():
    warm, cold = STYLE.flip(1), STYLE
    masks = [LEFT, torch.zeros(1, 1, 48, 64)]
    masks[1][..., 40:] = 1
    result = paint("tint", (warm, cold), masks=masks)[-1].picture
    torch.testing.assert_close(result[..., 32:40], CONTENT[..., 32:40])
    for part, style in ((slice(0, 24), warm), (slice(48, 64), cold)):
        off = [(moments(chroma(result[..., part]))[0] - moments(chroma(s))[0]).norm() for s in (style, warm, cold)]
        assert off[0] == min(off)
        assert off[0] < 0.2 * max(off)


@pytest.mark.parametrize(("content", "style"), [(GREY, STYLE), (CONTENT, GREY), (torch.full_like(CONTENT, 0.4), STYLE)])
def test_grey_and_flat_images_are_tinted_without_nan_or_spots(content, style):
    tint = make_tint(Inputs(content, (style,)), ())
    result = tint.picture(CONTENT, tint.chroma((48, 64)))
    assert result.isfinite().all()
    assert (moments(chroma(result))[1].diagonal().sqrt() <= moments(chroma(style))[1].diagonal().sqrt() + 0.005).all()


def test_a_tinted_picture_in_files_and_bands_is_the_one_in_memory_to_the_bit(tmp_path, monkeypatch):
    class Small(Scratch):
        BAND, SMALL = 2048, 0

    monkeypatch.setattr(module, "LONGEST", 32)
    tint = make_tint(Inputs(CONTENT, (STYLE,)), ())
    chosen = tint.chroma((96, 128))
    assert chosen.shape == (1, 2, 24, 32)
    painted = smooth_image(96, 128, seed=5, dtype=torch.float32)
    banded = tint.picture(painted, chosen, Small())
    assert torch.equal(tint.picture(painted, chosen, Small(tmp_path)), banded)
    torch.testing.assert_close(tint.picture(painted, chosen), banded)


def test_a_larger_picture_gets_nearly_the_colours_of_the_filter_at_its_own_size(monkeypatch):
    tint = make_tint(Inputs(CONTENT, (STYLE,)), ())
    painted = smooth_image(192, 256, seed=5, dtype=torch.float32)
    whole = tint.picture(painted, tint.chroma((192, 256)))
    monkeypatch.setattr(module, "LONGEST", 128)
    fast = tint.picture(painted, tint.chroma((192, 256)))
    assert (fast - whole).abs().mean() < 0.01


def test_what_is_painted_goes_on_untinted_when_colours_change_on_the_way():
    """Up to the change both have the same canvas; after it, had colours been painted in, losses would part."""
    ways = [paint("tint", change={2: "style"}), paint("style", change={2: "tint"})]
    losses = [[event.loss for event in way if isinstance(event, Stepped | Finished)] for way in ways]
    assert losses[0] == losses[1]
    assert not torch.equal(ways[0][-1].picture, ways[1][-1].picture)


def test_a_map_of_chroma_takes_the_contents_mean_to_the_wanted_one():
    double = torch.eye(2, dtype=torch.float64)
    move = ChromaMap(3 * double, torch.tensor([0.1, 0.2]).double(), torch.tensor([-0.1, 0.0]).double())
    found = move(torch.tensor([0.1, 0.3], dtype=torch.float64).view(1, 2, 1, 1))
    torch.testing.assert_close(found.flatten(), torch.tensor([-0.1, 0.3], dtype=torch.float64))


def test_strength_dilutes_the_tint_down_to_the_photo_and_a_map_does_so_place_by_place():
    at = {s: pictures(paint("tint", strength=s))[-1] for s in (0.0, 0.1, 0.5)}
    torch.testing.assert_close(at[0.0], resize(CONTENT, (48, 64)))
    moved = [(chroma(at[s]) - chroma(CONTENT)).square().mean().item() for s in (0.0, 0.1, 0.5)]
    assert moved == sorted(moved)
    assert moved[1] < 0.5 * moved[2]
    tint = make_tint(Inputs(CONTENT, (STYLE,)), ())
    given, wanted = tint.chroma((48, 64)), torch.zeros(1, 1, 48, 64)
    wanted[..., 32:] = 1
    mapped, whole = (tint.picture(CONTENT, given, share=share) for share in (0.94 * wanted, 0.94))
    assert mapped[..., :32].equal(CONTENT[..., :32])
    assert mapped[..., 32:].equal(whole[..., 32:])


def test_another_strength_on_the_way_tints_by_that_strength_and_paints_as_without_a_tint():
    def run(color: str) -> list:
        knobs = {"size": 64, "epochs": 1, "steps_per_epoch": 6, "scales": 1, "device": "cpu", "color": color}
        run = PlannedRun(Settings(**knobs, strength=0.5), VGG19(tiny_weights(dtype=torch.float32)), CONTENT, [STYLE])
        events = []
        for event in run.events():
            events.append(event)
            if isinstance(event, Stepped) and event.step == 3:
                run.change(strength=0.0)
        return events

    tinted, plain = run("tint"), run("style")
    assert [e.loss for e in tinted if isinstance(e, Stepped)] == [e.loss for e in plain if isinstance(e, Stepped)]
    assert tinted[-1].picture.equal(plain[-1].picture)  # at strength 0 nothing is laid over
    assert not pictures(paint("tint"))[-1].equal(pictures(paint("style"))[-1])


def test_what_a_tinted_picture_takes_beside_its_canvas_is_planned(monkeypatch):
    made, real = [], module.resample

    def resample(*given):
        made.append(real(*given))
        return made[-1]

    monkeypatch.setattr(module, "resample", resample)
    tint = make_tint(Inputs(CONTENT, (STYLE,)), ())
    tint.picture(CONTENT, tint.chroma((48, 64)))
    plain, tinted = (canvas_bytes(Settings(color=color), (48, 64), None, 3) for color in ("style", "tint"))
    assert [coefficients.nbytes for coefficients in made] == [tinted - plain]
