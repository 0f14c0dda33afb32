import numpy as np
import pytest
import torch

from helpers import smooth_image
from impasto.images.colour import oklab
from impasto.losses.moments import mean_and_covariance, mixture
from impasto.objective import colour_matching
from impasto.objective.colour_matching import FAINT, colour_statistics, grey_like, matched

CONTENT, STYLE = smooth_image(40, 56, seed=1), smooth_image(60, 44, seed=2)


def picture(*pixels: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(pixels, dtype=torch.float64).T.view(1, 3, 1, -1)


def flat(*rgb: float, size: tuple[int, int] = (30, 20)) -> torch.Tensor:
    return picture(rgb).expand(1, 3, *size)  # pyright: ignore[reportArgumentType]


def colours(image: torch.Tensor) -> np.ndarray:
    return image.flatten(2)[0].T.numpy()


def lightness(image: torch.Tensor) -> np.ndarray:
    return colours(oklab(image))[:, 0]


def chroma(image: torch.Tensor) -> np.ndarray:
    return colours(oklab(image))[:, 1:]


def moments_by_numpy(image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    lab = colours(oklab(image))
    return lab.mean(axis=0), np.cov(lab.T, bias=True)


def test_a_style_in_grey_has_the_contents_mean_and_contrast():
    content = 0.4 + 0.2 * CONTENT
    result = lightness(grey_like(STYLE, content).expand(-1, 3, -1, -1))
    own, wanted = lightness(STYLE), lightness(content)
    by_numpy = (own - own.mean()) * wanted.std() / own.std() + wanted.mean()
    np.testing.assert_allclose(result, by_numpy, atol=1e-6)


def test_a_flat_content_gets_faint_strokes_and_a_flat_styles_grain_is_not_blown_up():
    strokes = lightness(grey_like(STYLE, flat(0.2, 0.4, 0.6)).expand(-1, 3, -1, -1))
    assert strokes.std() == pytest.approx(FAINT, rel=1e-3)
    assert strokes.mean() == pytest.approx(lightness(flat(0.2, 0.4, 0.6)).mean(), abs=1e-3)
    grain = flat(0.5, 0.5, 0.5, size=(60, 44)) + (STYLE - 0.5) / 500
    factor = lightness(CONTENT).std() / FAINT
    result = lightness(grey_like(grain, CONTENT).expand(-1, 3, -1, -1))
    assert result.std() == pytest.approx(factor * lightness(grain).std(), rel=1e-3)


def test_matching_brings_mean_and_covariance_to_the_contents_by_gatys_formula():
    content, style = 0.4 + 0.2 * CONTENT, 0.3 + 0.4 * STYLE
    (mean, covariance), (wanted_mean, wanted) = (moments_by_numpy(image) for image in (style, content))

    def root(matrix: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(matrix)
        return vectors * np.sqrt(values) @ vectors.T

    a = root(wanted) @ np.linalg.inv(root(covariance))
    by_formula = (colours(oklab(style)) - mean) @ a.T + wanted_mean
    result = matched(style, content)
    np.testing.assert_allclose(colours(oklab(result)), by_formula, atol=1e-6)
    got_mean, got = moments_by_numpy(result)
    np.testing.assert_allclose(got_mean, wanted_mean, atol=1e-6)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_colour_statistics_are_those_of_numpy_however_the_rows_are_cut(monkeypatch):
    whole = matched(STYLE, CONTENT)
    monkeypatch.setattr(colour_matching, "ROWS", 7)
    mean, covariance = mean_and_covariance(colour_statistics(CONTENT))
    by_numpy = moments_by_numpy(CONTENT)
    np.testing.assert_allclose(mean[0], by_numpy[0], atol=1e-12)
    np.testing.assert_allclose(covariance[0], by_numpy[1], atol=1e-12)
    torch.testing.assert_close(matched(STYLE, CONTENT), whole, atol=1e-12, rtol=0)


def test_colour_statistics_of_a_mixture_are_those_of_all_its_pixels_together():
    a, b = smooth_image(30, 40, seed=1), smooth_image(30, 40, seed=2)
    mean, covariance = mean_and_covariance(mixture([colour_statistics(a), colour_statistics(b)], [1, 1]))
    pixels = oklab(torch.cat([a, b], dim=3).double()).flatten(2)[0].numpy()
    np.testing.assert_allclose(mean[0], pixels.mean(axis=1), atol=1e-9)
    np.testing.assert_allclose(covariance[0], np.cov(pixels, bias=True), atol=1e-9)


GREY_CONTENT = CONTENT.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
GREY_STYLE = STYLE.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
TWO_COLOURS = torch.where(CONTENT[:, :1] > 0.5, picture((0.8, 0.2, 0.1)), picture((0.1, 0.3, 0.6)))


@pytest.mark.parametrize(
    "content",
    [CONTENT, GREY_CONTENT, TWO_COLOURS, flat(0.2, 0.5, 0.7), flat(0, 0, 0), flat(1, 1, 1)],
    ids=["colour", "grey", "two colours", "flat", "black", "white"],
)
@pytest.mark.parametrize(
    "style",
    [STYLE, GREY_STYLE, flat(0.9, 0.6, 0.1), flat(0, 0, 0)],
    ids=["colour", "grey", "flat", "black"],
)
def test_every_way_gives_an_image_also_for_grey_and_flat_images(content, style):
    for image in (content.float(), content):
        style = style.to(image)
        for result in (matched(style, image), grey_like(style, image)):
            assert result.isfinite().all()
            assert result.min() >= 0
            assert result.max() <= 1
            assert result.shape[-2:] == style.shape[-2:]


def test_a_style_matched_to_a_grey_content_is_grey_and_to_a_flat_one_flat():
    assert np.abs(chroma(matched(STYLE, GREY_CONTENT))).max() < 1e-3
    assert matched(STYLE, flat(0.2, 0.5, 0.7)).std(dim=(2, 3)).max() < 1e-3


def test_the_noise_of_a_grey_style_does_not_become_spots_of_colour():
    noise = torch.randn(GREY_STYLE.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 1000
    noisy, clean = matched((GREY_STYLE + noise).clamp(0, 1), CONTENT), matched(GREY_STYLE, CONTENT)
    assert np.abs(chroma(noisy) - chroma(clean)).std() < 0.25 * chroma(CONTENT).std()


def test_a_style_that_varies_by_less_than_one_and_a_half_8_bit_levels_is_taken_for_noise_and_by_more_is_not():
    content, noise = 0.4 + 0.2 * CONTENT, torch.randn(60, 44, generator=torch.Generator().manual_seed(0)).double()
    less, more, much = (
        lightness(matched((0.5 + levels / 255 * noise).expand(1, 3, 60, 44), content)).std() for levels in (1.3, 1.6, 9)
    )
    assert less < 0.95 * much
    assert more == pytest.approx(much, rel=1e-3)
