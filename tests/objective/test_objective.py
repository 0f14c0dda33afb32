import numpy as np
import pytest
import torch

from helpers import objective_of, smooth_image
from impasto.losses.gatys import content_loss, gram, style_layer_loss
from impasto.objective.objective import Objective
from impasto.objective.weights import LossWeights
from impasto.settings.choices import StyleLossName

CONTENT = {"relu3_2": 0.7, "conv4_2": 0.3}
STYLE = {"relu1_1": 0.2, "relu2_1": 0.5, "relu4_1": 0.3}


def weights(**changes) -> LossWeights:
    return LossWeights(**{"alpha": 2.0, "beta": 30.0, "content": CONTENT, "style": STYLE, "tv": 0.4, **changes})


def objective(engine, w: LossWeights, styles=None, shares=()) -> Objective:
    return objective_of(engine, w, smooth_image(32, 48, seed=1), styles or [smooth_image(40, 24, seed=2)], shares)


def test_the_total_is_alpha_content_plus_beta_style_written_out_in_numpy(tiny):
    content, style, canvas = smooth_image(32, 48, seed=1), smooth_image(40, 24, seed=2), smooth_image(32, 48, seed=3)
    now, p, s = (
        {name: f.numpy()[0] for name, f in tiny.features(image, (*CONTENT, *STYLE)).items()}
        for image in (canvas, content, style)
    )

    def mean_gram(f: np.ndarray) -> np.ndarray:
        flat = f.reshape(len(f), -1)
        return flat @ flat.T / flat.shape[1]

    content_part = sum(w * 0.5 * np.sum((now[k] - p[k]) ** 2) for k, w in CONTENT.items())
    style_part = sum(
        w * np.sum((mean_gram(now[k]) - mean_gram(s[k])) ** 2) / (4 * len(now[k]) ** 2) for k, w in STYLE.items()
    )
    pixels = canvas.numpy()
    tv = 0.5 * (np.sum(np.diff(pixels, axis=2) ** 2) + np.sum(np.diff(pixels, axis=3) ** 2))
    score = objective(tiny, weights()).score(canvas)
    assert score.total.item() == pytest.approx(2.0 * content_part + 30.0 * style_part + 0.4 * tv)


@pytest.mark.parametrize("size", [(32, 48), (48, 32)])
def test_total_variation_is_that_of_the_whole_canvas_in_numpy_be_it_wide_or_tall(tiny, size):
    w, canvas = weights(content={}, style={"relu1_1": 1.0}), smooth_image(*size, seed=3)
    goal = objective_of(tiny, w, smooth_image(*size, seed=1), [smooth_image(40, 24, seed=2)])
    squares = sum(np.sum(np.diff(canvas.numpy(), axis=axis) ** 2) for axis in (2, 3))
    assert goal.evaluate(canvas).parts["tv"] == pytest.approx(0.4 * 0.5 * squares)


def test_the_parts_are_named_and_sum_to_the_total(tiny):
    score = objective(tiny, weights()).score(smooth_image(32, 48, seed=3))
    names = ["content/relu3_2", "content/conv4_2", "style/relu1_1", "style/relu2_1", "style/relu4_1", "tv"]
    assert list(score.parts) == names
    assert sum(part.item() for part in score.parts.values()) == pytest.approx(score.total.item())


def test_the_gradient_to_the_pixels_equals_finite_differences(tiny):
    goal, canvas = objective(tiny, weights()), smooth_image(32, 48, seed=3)
    gradient = goal.evaluate(canvas).gradient
    for position in [(0, 0, 0, 0), (0, 1, 17, 30), (0, 2, 31, 47), (0, 0, 15, 16)]:
        up, down = canvas.clone(), canvas.clone()
        up[position] += 1e-6
        down[position] -= 1e-6
        slope = (goal.score(up).total - goal.score(down).total).item() / 2e-6
        assert gradient[position].item() == pytest.approx(slope, rel=1e-4)


def test_blended_styles_have_the_gradient_of_the_weighted_sum_of_losses(tiny):
    styles, canvas = [smooth_image(40, 24, seed=2), smooth_image(24, 40, seed=5)], smooth_image(32, 48, seed=3)
    w = weights(content={}, tv=0)
    blended = objective(tiny, w, styles, [3.0, 1.0]).evaluate(canvas).gradient
    alone = [objective(tiny, w, [style]).evaluate(canvas).gradient for style in styles]
    torch.testing.assert_close(blended, 0.75 * alone[0] + 0.25 * alone[1])


@pytest.mark.parametrize("loss", [StyleLossName.W2, StyleLossName.MEAN_STD])
@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_the_contents_own_loss_to_a_target_at_a_fraction_of_the_way_is_its_square(tiny, loss, fraction):
    content, w = (
        smooth_image(32, 48, seed=1),
        weights(beta=1.0, style={"relu2_1": 1.0}, content={}, tv=0, fraction=fraction),
    )
    goal = objective_of(tiny, w, content, [smooth_image(40, 24, seed=2)], normalized=True, style_loss=loss)
    assert goal.evaluate(content).loss == pytest.approx(fraction**2, abs=1e-5)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize(("shares", "parts"), [((), (0.25, 0.75)), ((3.0, 2.0), (1 / 3, 2 / 3))], ids=str)
def test_a_region_counts_by_its_area_times_its_styles_share(tiny, shares, parts, normalized):
    content, canvas = smooth_image(32, 48, seed=1), smooth_image(32, 48, seed=3)
    styles, w = [smooth_image(40, 24, seed=2), smooth_image(24, 40, seed=5)], weights(content={}, tv=0)
    quarter = torch.zeros(1, 1, 32, 48)
    quarter[..., :12] = 1
    masks = [quarter, 1 - quarter]

    def loss(styles, masks, shares=()) -> dict[str, float]:
        goal = objective_of(tiny, w, content, styles, shares, normalized=normalized, masks=masks)
        return goal.evaluate(canvas).parts

    first, second = (loss([style], [mask]) for style, mask in zip(styles, masks, strict=True))
    expected = {name: parts[0] * first[name] + parts[1] * second[name] for name in first}
    assert loss(styles, masks, shares) == pytest.approx(expected)


def test_normalized_style_parts_are_the_share_of_the_contents_distance_that_is_left(tiny):
    content, style = smooth_image(32, 48, seed=1), smooth_image(40, 24, seed=2)
    raw = weights(alpha=1.0, beta=1.0, style=dict.fromkeys(STYLE, 1.0), tv=0)
    goal = objective_of(tiny, raw, content, [style], normalized=True)
    at_content = goal.evaluate(content).parts
    for name in STYLE:
        assert at_content[f"style/{name}"] == pytest.approx(1)
    for name in CONTENT:
        assert at_content[f"content/{name}"] == pytest.approx(0, abs=1e-12)
    canvas = smooth_image(32, 48, seed=3)
    features = {k: tiny.features(x, STYLE)["relu2_1"] for k, x in (("x", canvas), ("p", content), ("s", style))}
    mean = {k: gram(f) / f[0, 0].numel() for k, f in features.items()}
    left = style_layer_loss(mean["x"], mean["s"], 1) / style_layer_loss(mean["p"], mean["s"], 1)
    assert goal.evaluate(canvas).parts["style/relu2_1"] == pytest.approx(left.item())


def test_normalized_content_is_relative_to_the_variance_of_the_contents_features(tiny):
    content, canvas = smooth_image(32, 48, seed=1), smooth_image(32, 48, seed=3)
    raw = weights(alpha=1.0, content={"relu3_2": 1.0}, tv=0)
    goal = objective_of(tiny, raw, content, [content.flip(3)], normalized=True)
    p, f = (tiny.features(image, ["relu3_2"])["relu3_2"] for image in (content, canvas))
    lost = content_loss(p.mean(dim=(2, 3), keepdim=True).expand_as(p), p)
    assert goal.evaluate(canvas).parts["content/relu3_2"] == pytest.approx((content_loss(f, p) / lost).item())


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_normalized_losses_stay_finite_where_the_content_is_flat_and_equals_the_style(tiny, value):
    flat = torch.full((1, 3, 32, 32), value, dtype=torch.float64)
    found = objective_of(tiny, weights(), flat, [flat], normalized=True).evaluate(smooth_image(32, 32))
    assert np.isfinite(found.loss)
    assert found.gradient.isfinite().all()


def test_without_some_layers_the_other_terms_stay_as_they_are(tiny):
    canvas, goal = smooth_image(32, 48, seed=3), objective(tiny, weights())
    rest = goal.without({"conv4_2", "relu4_1"})
    assert set(rest.layers) == {"relu3_2", "relu1_1", "relu2_1"}
    everything, found = goal.evaluate(canvas).parts, rest.evaluate(canvas).parts
    assert found == {name: everything[name] for name in found}
    assert everything.keys() - found.keys() == {"content/conv4_2", "style/relu4_1"}


def test_without_content_layers_only_style_counts_and_the_other_way_round(tiny):
    canvas = smooth_image(32, 48, seed=3)
    assert not any(k.startswith("content") for k in objective(tiny, weights(content={})).score(canvas).parts)
    assert not any(k.startswith("style") for k in objective(tiny, weights(style={})).score(canvas).parts)
