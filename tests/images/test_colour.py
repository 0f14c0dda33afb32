import numpy as np
import pytest
import torch

from helpers import smooth_image
from impasto.images import colour

CONTENT = smooth_image(40, 56, seed=1)


def picture(*pixels: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(pixels, dtype=torch.float64).T.view(1, 3, 1, -1)


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


def test_oklab_gives_ottossons_coordinates():
    known = [[1, 0, 0], [0, 0, 0], [0.62796, 0.22486, 0.12585], [0.45201, -0.03246, -0.31153]]
    image = picture((1, 1, 1), (0, 0, 0), (1, 0, 0), (0, 0, 1))
    np.testing.assert_allclose(colours(colour.oklab(image)), known, atol=2e-4)


def test_oklab_is_the_same_by_way_of_xyz_in_numpy():
    np.testing.assert_allclose(colours(colour.oklab(CONTENT)), oklab_by_numpy(colours(CONTENT)), atol=4e-4)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 3e-5), (torch.float64, 1e-13)])
def test_srgb_undoes_oklab_to_rounding(dtype, atol):
    levels = torch.linspace(0, 1, 18, dtype=dtype)
    cube = torch.cartesian_prod(levels, levels, levels).T.view(1, 3, 1, -1)
    torch.testing.assert_close(colour.srgb(colour.oklab(cube)), cube, atol=atol, rtol=0)
    torch.testing.assert_close(colour.to_gamut(colour.oklab(cube)), cube, atol=atol, rtol=0)


def test_a_colour_that_cannot_be_shown_keeps_lightness_and_hue_and_as_much_chroma_as_fits():
    asked = torch.rand((1, 3, 1, 4000), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    asked = asked * torch.tensor([0.95, 1, 1]).view(1, 3, 1, 1) + torch.tensor([0.05, -0.5, -0.5]).view(1, 3, 1, 1)
    image = colour.to_gamut(asked)
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
    np.testing.assert_allclose(colours(colour.to_gamut(lab)), [[0, 0, 0], [1, 1, 1]], atol=1e-3)


def test_grey_keeps_lightness_and_nothing_else():
    grey = colour.grey(CONTENT)
    assert grey.shape == (1, 1, 40, 56)
    shown = grey.expand(-1, 3, -1, -1)
    np.testing.assert_allclose(lightness(shown), lightness(CONTENT), atol=1e-9)
    np.testing.assert_allclose(chroma(shown), 0, atol=1e-7)


def test_a_recoloured_image_has_its_own_lightness_and_the_contents_chroma():
    muted = 0.4 + 0.2 * CONTENT
    painted = 0.4 + 0.2 * smooth_image(40, 56, seed=3)
    result = colour.recoloured(painted, muted)
    np.testing.assert_allclose(lightness(result), lightness(painted), atol=1e-6)
    np.testing.assert_allclose(chroma(result), chroma(muted), atol=1e-6)
    np.testing.assert_allclose(colour.recoloured(CONTENT, CONTENT), CONTENT, atol=1e-9)


def test_images_worked_on_by_rows_are_the_same_as_whole(monkeypatch):
    whole = colour.recoloured(CONTENT, CONTENT.flip(3))
    monkeypatch.setattr(colour, "ROWS", 7)
    torch.testing.assert_close(colour.recoloured(CONTENT, CONTENT.flip(3)), whole, atol=1e-12, rtol=0)
