import pytest
import torch

from helpers import smooth_image
from impasto.errors import SettingsError
from impasto.objective.initial_canvas import STARTS, initial_canvas
from impasto.settings.choices import INITS
from impasto.settings.settings import Settings
from impasto.storage.scratch import Scratch

CONTENT, STYLE = smooth_image(48, 64, seed=1, dtype=torch.float32), smooth_image(70, 50, seed=2, dtype=torch.float32)


def start(init: str, noise: float = 0.0, seed: int = 0, content=CONTENT, image=None, scratch=None) -> torch.Tensor:
    settings = Settings(init=init, init_noise=noise, seed=seed)
    return initial_canvas(settings, content, STYLE, image, scratch or Scratch())


def similarity(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


def sorted_pixels(image: torch.Tensor) -> torch.Tensor:
    return torch.stack(sorted(image.flatten(2)[0].T, key=torch.Tensor.tolist))


def test_every_start_that_settings_know_can_be_made():
    assert tuple(STARTS) == INITS


def test_each_start_is_what_its_name_says():
    chosen = {name: Settings(init=name) for name in ("content", "noise", "style")}
    colours = torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1)
    style = (colours + 0.05 * torch.randn(STYLE.shape, generator=torch.Generator().manual_seed(3))).clamp(0, 1)
    starts = {name: initial_canvas(s, CONTENT, style) for name, s in chosen.items()}
    assert all(0 <= image.min() <= image.max() <= 1 for image in starts.values())
    assert torch.equal(starts["content"], CONTENT)
    assert starts["noise"].mean().item() == pytest.approx(0.5, abs=0.02)
    assert starts["noise"].std().item() == pytest.approx(0.2, abs=0.02)
    torch.testing.assert_close(starts["style"].mean((2, 3)), colours.view(1, 3), atol=0.01, rtol=0)
    assert starts["style"].std((2, 3)).mean().item() == pytest.approx(0.05, abs=0.01)
    image = smooth_image(30, 40, seed=9, dtype=torch.float32)
    assert initial_canvas(Settings(init="a.png"), CONTENT, style, image).shape == CONTENT.shape


def test_histogram_has_exactly_the_contents_pixels_and_none_of_its_shapes():
    found = start("histogram")
    assert torch.equal(sorted_pixels(found), sorted_pixels(CONTENT))
    assert abs(similarity(found, CONTENT)) < 0.1 < 0.8 < similarity(CONTENT, CONTENT.roll(1, 3))
    for direction in (2, 3):  # white: neighbours know nothing of each other
        centred = found - found.mean((2, 3), keepdim=True)
        assert abs(similarity(centred, centred.roll(1, direction))) < 0.1
    assert torch.equal(found, start("histogram"))
    assert not torch.equal(found, start("histogram", seed=1))


def test_a_shuffled_pixel_may_end_up_anywhere():
    corner = torch.zeros(1, 3, 4, 6)
    corner[..., 0, 0] = 1
    seen = sum(start("histogram", seed=seed, content=corner)[0, 0] for seed in range(600))
    assert isinstance(seen, torch.Tensor)
    assert seen.sum() == 600
    assert (seen - 25).square().sum() / 25 < 49.7  # chi², 23 degrees of freedom: passed in all but 1 of 1000 worlds


def test_a_shuffle_in_bands_and_files_keeps_every_pixel(tmp_path, monkeypatch):
    monkeypatch.setattr(Scratch, "SMALL", 0)
    monkeypatch.setattr(Scratch, "BAND", 5000)
    found = start("histogram", scratch=Scratch(tmp_path))
    assert torch.equal(sorted_pixels(found), sorted_pixels(CONTENT))
    assert abs(similarity(found, CONTENT)) < 0.1


@pytest.mark.parametrize("init", ["content", "style", "histogram", "a.png"])
def test_white_noise_is_mixed_into_a_start_by_its_share(init):
    image = smooth_image(48, 64, seed=9, dtype=torch.float32)
    pure, mixed, noise = (start(init, share, image=image) for share in (0.0, 0.25, 1.0))
    torch.testing.assert_close(mixed, 0.75 * pure + 0.25 * noise)
    assert noise.mean().item() == pytest.approx(0.5, abs=0.02)
    assert noise.std().item() == pytest.approx(0.2, abs=0.02)
    assert abs(similarity(noise, pure)) < 0.1


def test_noise_in_noise_is_refused():
    with pytest.raises(SettingsError, match=r"init is 'noise' already, but init_noise is 0\.5: drop one"):
        Settings(init="noise", init_noise=0.5)
