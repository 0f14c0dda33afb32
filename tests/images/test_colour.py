import numpy as np
import pytest
import torch

from conftest import smooth_image
from impasto.images import colour
from impasto.report.metrics import colour_distance, colours_of

PHOTO, PAINTING = smooth_image(40, 56, seed=1), smooth_image(60, 44, seed=2)


def picture(*pixels: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(pixels, dtype=torch.float64).T.view(1, 3, 1, -1)


def flat(*rgb: float, size: tuple[int, int] = (30, 20)) -> torch.Tensor:
    return picture(rgb).expand(1, 3, *size)  # pyright: ignore[reportArgumentType]


def oklab_by_numpy(rgb: np.ndarray) -> np.ndarray:
    """(k, 3) -> (k, 3), from XYZ by Ottosson's first pair of matrices."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    to_lms = [
        [0.8189330101, 0.3618667424, -0.1288597137],
        [0.0329845436, 0.9293118715, 0.0361456387],
        [0.0482003018, 0.2643662691, 0.6338517070],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.cbrt(linear @ np.array(to_xyz).T @ np.array(to_lms).T) @ np.array(to_lab).T


def colours(image: torch.Tensor) -> np.ndarray:
    return image.flatten(2)[0].T.numpy()


def lightness(image: torch.Tensor) -> np.ndarray:
    return colours(colour.oklab(image))[:, 0]


def chroma(image: torch.Tensor) -> np.ndarray:
    return colours(colour.oklab(image))[:, 1:]


def moments_by_numpy(image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    lab = colours(colour.oklab(image))
    return lab.mean(axis=0), np.cov(lab.T, bias=True)


def test_oklab_gives_ottossons_coordinates():
    known = [[1, 0, 0], [0, 0, 0], [0.62796, 0.22486, 0.12585], [0.45201, -0.03246, -0.31153]]
    image = picture((1, 1, 1), (0, 0, 0), (1, 0, 0), (0, 0, 1))
    np.testing.assert_allclose(colours(colour.oklab(image)), known, atol=2e-4)


def test_oklab_is_the_same_by_way_of_xyz_in_numpy():
    np.testing.assert_allclose(colours(colour.oklab(PHOTO)), oklab_by_numpy(colours(PHOTO)), atol=4e-4)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 3e-5), (torch.float64, 1e-13)])
def test_srgb_undoes_oklab_to_rounding(dtype, atol):
    levels = torch.linspace(0, 1, 18, dtype=dtype)
    cube = torch.cartesian_prod(levels, levels, levels).T.view(1, 3, 1, -1)
    torch.testing.assert_close(colour.srgb(colour.oklab(cube)), cube, atol=atol, rtol=0)
    torch.testing.assert_close(colour.shown(colour.oklab(cube)), cube, atol=atol, rtol=0)


def test_a_colour_that_cannot_be_shown_keeps_lightness_and_hue_and_as_much_chroma_as_fits():
    asked = torch.rand((1, 3, 1, 4000), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    asked = asked * torch.tensor([0.95, 1, 1]).view(1, 3, 1, 1) + torch.tensor([0.05, -0.5, -0.5]).view(1, 3, 1, 1)
    image = colour.shown(asked)
    assert image.min() >= 0
    assert image.max() <= 1
    wanted, got = colours(asked), colours(colour.oklab(image))
    changed = np.abs(got - wanted).max(axis=1) > 1e-3
    assert 0.5 < changed.mean() < 0.99
    np.testing.assert_allclose(got[:, 0], wanted[:, 0], atol=2e-3)
    reach, asked_reach = (np.linalg.norm(lab[:, 1:], axis=1) for lab in (got, wanted))
    vivid = reach > 0.02
    cosine = (got[:, 1:] * wanted[:, 1:]).sum(axis=1)[vivid] / (reach * asked_reach)[vivid]
    assert cosine.min() > 0.999
    more = torch.tensor(np.column_stack([got[:, 0], 1.02 * got[:, 1:]])).T.view(1, 3, 1, -1)
    beyond = colours(colour.srgb(more))[changed & vivid]
    assert ((beyond < 0) | (beyond > 1)).any(axis=1).all()


def test_lightness_beyond_black_and_white_becomes_black_and_white():
    lab = torch.tensor([[-0.2, 0.1, 0.0], [1.4, 0.0, 0.1]], dtype=torch.float64).T.view(1, 3, 1, 2)
    np.testing.assert_allclose(colours(colour.shown(lab)), [[0, 0, 0], [1, 1, 1]], atol=1e-3)


def test_grey_keeps_lightness_and_nothing_else():
    grey = colour.grey(PHOTO)
    assert grey.shape == (1, 1, 40, 56)
    shown = grey.expand(-1, 3, -1, -1)
    np.testing.assert_allclose(lightness(shown), lightness(PHOTO), atol=1e-9)
    np.testing.assert_allclose(chroma(shown), 0, atol=1e-7)


def test_a_recoloured_picture_has_its_own_lightness_and_the_photos_chroma():
    muted = 0.4 + 0.2 * PHOTO
    painted = 0.4 + 0.2 * smooth_image(40, 56, seed=3)
    result = colour.recoloured(painted, muted)
    np.testing.assert_allclose(lightness(result), lightness(painted), atol=1e-6)
    np.testing.assert_allclose(chroma(result), chroma(muted), atol=1e-6)
    np.testing.assert_allclose(colour.recoloured(PHOTO, PHOTO), PHOTO, atol=1e-9)


def test_a_painting_in_grey_has_the_photos_mean_and_contrast():
    photo = 0.4 + 0.2 * PHOTO
    result = lightness(colour.grey_like(PAINTING, photo).expand(-1, 3, -1, -1))
    own, wanted = lightness(PAINTING), lightness(photo)
    by_numpy = (own - own.mean()) * wanted.std() / own.std() + wanted.mean()
    np.testing.assert_allclose(result, by_numpy, atol=1e-6)


def test_a_flat_photo_gets_faint_strokes_and_a_flat_paintings_grain_is_not_blown_up():
    strokes = lightness(colour.grey_like(PAINTING, flat(0.2, 0.4, 0.6)).expand(-1, 3, -1, -1))
    assert strokes.std() == pytest.approx(colour.FAINT, rel=1e-3)
    assert strokes.mean() == pytest.approx(lightness(flat(0.2, 0.4, 0.6)).mean(), abs=1e-3)
    grain = flat(0.5, 0.5, 0.5, size=(60, 44)) + (PAINTING - 0.5) / 500
    factor = lightness(PHOTO).std() / colour.FAINT
    result = lightness(colour.grey_like(grain, PHOTO).expand(-1, 3, -1, -1))
    assert result.std() == pytest.approx(factor * lightness(grain).std(), rel=1e-3)


def test_matching_brings_mean_and_covariance_to_the_photos_by_gatys_formula():
    photo, painting = 0.4 + 0.2 * PHOTO, 0.3 + 0.4 * PAINTING
    (mean, covariance), (wanted_mean, wanted) = (moments_by_numpy(image) for image in (painting, photo))

    def root(matrix: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(matrix)
        return vectors * np.sqrt(values) @ vectors.T

    a = root(wanted) @ np.linalg.inv(root(covariance))
    by_formula = (colours(colour.oklab(painting)) - mean) @ a.T + wanted_mean
    result = colour.matched(painting, photo)
    np.testing.assert_allclose(colours(colour.oklab(result)), by_formula, atol=1e-6)
    got_mean, got = moments_by_numpy(result)
    np.testing.assert_allclose(got_mean, wanted_mean, atol=1e-6)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_moments_are_those_of_numpy_however_the_rows_are_cut(monkeypatch):
    monkeypatch.setattr(colour, "ROWS", 7)
    mean, covariance = colour.moments(PHOTO)
    by_numpy = moments_by_numpy(PHOTO)
    np.testing.assert_allclose(mean, by_numpy[0], atol=1e-12)
    np.testing.assert_allclose(covariance, by_numpy[1], atol=1e-12)
    cut = colour.matched(PAINTING, PHOTO), colour.recoloured(PAINTING, PAINTING.flip(3))
    monkeypatch.undo()
    whole = colour.matched(PAINTING, PHOTO), colour.recoloured(PAINTING, PAINTING.flip(3))
    for a, b in zip(cut, whole, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


GREY_PHOTO = PHOTO.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
GREY_PAINTING = PAINTING.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
TWO_COLOURS = torch.where(PHOTO[:, :1] > 0.5, picture((0.8, 0.2, 0.1)), picture((0.1, 0.3, 0.6)))


@pytest.mark.parametrize(
    "photo",
    [PHOTO, GREY_PHOTO, TWO_COLOURS, flat(0.2, 0.5, 0.7), flat(0, 0, 0), flat(1, 1, 1)],
    ids=["colour", "grey", "two colours", "flat", "black", "white"],
)
@pytest.mark.parametrize(
    "painting",
    [PAINTING, GREY_PAINTING, flat(0.9, 0.6, 0.1), flat(0, 0, 0)],
    ids=["colour", "grey", "flat", "black"],
)
def test_every_way_gives_a_picture_also_for_grey_and_flat_images(photo, painting):
    for image in (photo.float(), photo):
        style = painting.to(image)
        for result in (colour.matched(style, image), colour.grey_like(style, image)):
            assert result.isfinite().all()
            assert result.min() >= 0
            assert result.max() <= 1
            assert result.shape[-2:] == style.shape[-2:]


def test_a_painting_matched_to_a_grey_photo_is_grey_and_to_a_flat_one_flat():
    assert np.abs(chroma(colour.matched(PAINTING, GREY_PHOTO))).max() < 1e-3
    assert colour.matched(PAINTING, flat(0.2, 0.5, 0.7)).std(dim=(2, 3)).max() < 1e-3


def test_the_noise_of_a_grey_painting_does_not_become_spots_of_colour():
    noise = torch.randn(GREY_PAINTING.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 1000
    noisy, clean = colour.matched((GREY_PAINTING + noise).clamp(0, 1), PHOTO), colour.matched(GREY_PAINTING, PHOTO)
    assert np.abs(chroma(noisy) - chroma(clean)).std() < 0.25 * chroma(PHOTO).std()


def test_a_matched_paintings_colours_are_near_the_photos():
    wanted = colours_of([PHOTO])
    before, after = (colour_distance(colours_of([x]), wanted) for x in (PAINTING, colour.matched(PAINTING, PHOTO)))
    assert after < 0.1 * before
