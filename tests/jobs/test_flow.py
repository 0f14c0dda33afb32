"""What moves is found, and what can't be known is told; by OpenCV's flow, on pictures that move as is known."""

import numpy as np
import pytest
import torch

from clips import pan, picture
from impasto.jobs.video import flow
from impasto.jobs.video.shots import Cuts
from impasto.losses.temporal import long_term_certainties, temporal_loss


@pytest.mark.parametrize("step", [(1.5, 0.0), (0.0, -2.0), (3.0, 1.25)])
def test_a_pan_is_found_to_a_tenth_of_a_pixel_where_it_is_certain(step):
    before, now = pan(2, (64, 96), step)
    moved = flow.movement(now, before)
    certain = moved.certainty > 0.9
    assert certain.mean() > 0.6
    assert np.abs(moved.flow[certain] - step).mean() < 0.1


def test_what_comes_into_view_is_uncertain():
    before, now = pan(2, (64, 96), (6.0, 0.0))
    certainty = flow.movement(now, before).certainty
    assert certainty[:, -6:].max() < 0.5
    assert certainty[20:44, 20:70].mean() > 0.9


def test_what_something_uncovers_is_uncertain_and_what_it_moved_over_is_not_taken_for_it():
    ground = picture(64, 96)
    before, now = ground.copy(), ground.copy()
    thing = picture(24, 24, seed=5)
    before[20:44, 20:44], now[20:44, 28:52] = thing, thing
    certainty = flow.movement(now, before).certainty
    assert certainty[22:42, 21:27].mean() < 0.3
    assert certainty[:, 65:].mean() > 0.9


def test_warping_by_whole_pixels_is_exact_and_by_parts_of_one_keeps_what_is_fine():
    frame = picture(48, 64)
    whole = flow.warp(frame, np.full((48, 64, 2), (3, 2), np.float32))
    assert np.array_equal(whole[:40, :56], frame[2:42, 3:59])
    there = flow.warp(frame, np.full((48, 64, 2), (0.5, 0), np.float32))
    back = flow.warp(there, np.full((48, 64, 2), (-0.5, 0), np.float32))
    linear = frame
    for step in (0.5, -0.5):
        linear = flow.warp(linear, np.full((48, 64, 2), (step, 0), np.float32), linear=True)
    inside = (slice(8, -8), slice(8, -8))
    assert np.abs(back - frame)[inside].mean() < 0.25 * np.abs(linear - frame)[inside].mean()


def test_what_stands_still_is_known_through_noise_and_what_got_brighter_is_not_still():
    rng = np.random.default_rng(0)
    ground = picture(64, 96)
    before, now = (np.clip(ground + 0.01 * rng.standard_normal(ground.shape), 0, 1).astype(np.float32) for _ in "ab")
    now[:, 60:] += 0.06
    moved = flow.movement(now, before)
    still = flow.still(now, before, moved, flow.noise_of(now, before, moved))
    assert still[4:-4, 4:52].mean() > 0.95
    assert still[4:-4, 66:].mean() < 0.05


def test_without_flow_what_changed_is_uncertain_and_nothing_moves():
    before, now = picture(48, 64), picture(48, 64)
    now[10:30, 10:30] = 1 - now[10:30, 10:30]
    moved = flow.unmoved(now, before)
    assert not moved.flow.any()
    assert moved.certainty[14:26, 14:26].max() < 0.1
    assert moved.certainty[36:, 36:].min() == 1


def test_frames_too_small_for_flow_are_compared_as_they_are():
    assert not flow.movement(picture(12, 12), picture(12, 12)).flow.any()


def test_the_temporal_loss_is_the_papers_and_its_parts_by_tile_add_up():
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.rand((1, 3, 6, 8), generator=generator, dtype=torch.float64) for _ in "ab")
    c = torch.rand((1, 1, 6, 8), generator=generator, dtype=torch.float64)
    wanted = (c.numpy() * (x - w).numpy() ** 2).sum() / x.numel()
    assert temporal_loss(x, w, c, x.numel()).item() == pytest.approx(wanted)
    parts = [temporal_loss(x[..., s, :], w[..., s, :], c[..., s, :], x.numel()) for s in (slice(0, 2), slice(2, 6))]
    assert sum(part.item() for part in parts) == pytest.approx(wanted)
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda image: temporal_loss(image, w, c, x.numel()), x)


def test_a_far_frame_holds_only_what_no_nearer_one_does():
    near, middle, far = (torch.tensor([[[values]]]) for values in ([1.0, 0.3, 0.0], [1.0, 0.8, 0.5], [1.0, 1.0, 1.0]))
    first, second, third = long_term_certainties([near, middle, far])
    assert first.flatten().tolist() == [1.0, pytest.approx(0.3), 0.0]
    assert second.flatten().tolist() == [0.0, pytest.approx(0.5), 0.5]
    assert third.flatten().tolist() == [0.0, 0.0, 0.5]


def shots_of(frames) -> list[tuple[int, int]]:
    cuts = Cuts()
    for frame in frames:
        cuts.add(frame)
    return cuts.shots()


def test_cuts_are_found_and_a_fast_pan_is_none():
    one, other = pan(8, step=(2.0, 1.0)), pan(7, step=(-1.0, 0.0), seed=9)
    assert shots_of([*one, *other, *one]) == [(0, 8), (8, 15), (15, 23)]
    assert shots_of(pan(10, step=(4.0, 3.0))) == [(0, 10)]


def test_a_slow_fade_is_one_shot_and_one_frame_is_one_too():
    frame = picture(48, 64)
    assert shots_of([frame * (1 - n / 12) for n in range(12)]) == [(0, 12)]
    assert shots_of([frame]) == [(0, 1)]
