import numpy as np
import pytest
import torch
from torch import Tensor

from helpers import tiny_weights
from impasto.images.size import resize
from impasto.losses.gatys import gram
from impasto.losses.moments import from_mean_and_covariance
from impasto.network.vgg import VGG19
from impasto.objective.colour_matching import grey_like
from impasto.objective.colour_mode import colour_mode
from impasto.report import metrics as measures
from impasto.settings.choices import Color
from impasto.settings.settings import Settings

TINY = VGG19(tiny_weights(dtype=torch.float32))


def noise(seed: int, size: tuple[int, int] = (40, 48), tint: tuple[float, float, float] = (1, 1, 1)) -> Tensor:
    coarse = torch.rand(1, 3, 7, 9, generator=torch.Generator().manual_seed(seed))
    return resize(coarse, size) * torch.tensor(tint).view(1, 3, 1, 1)


CONTENT, STYLE = noise(1), noise(2, tint=(0.2, 0.5, 1))
KNOBS = Settings(size=48, style_layers=("relu1_1", "relu2_1"), content_layers=("relu4_2",))


def measure(result: Tensor, *styles: Tensor, settings: Settings = KNOBS) -> dict:
    return measures.measure_pictures(TINY, settings, CONTENT, styles or [STYLE], result)


def test_the_content_itself_closes_nothing_and_keeps_everything():
    found = measure(CONTENT)
    assert all(layer["closed"] == pytest.approx(0, abs=1e-6) for layer in found["style"]["layers"].values())
    assert found["colour"]["closed"] == pytest.approx(0, abs=1e-9)
    assert found["structure"]["result"] == pytest.approx(dict.fromkeys(found["structure"]["result"], 1), abs=1e-5)


def test_the_style_itself_closes_everything_and_keeps_what_chance_keeps():
    found = measure(STYLE)
    assert found["style"]["mean_optimised"] == pytest.approx(1, abs=1e-6)
    assert found["style"]["mean_others"] == pytest.approx(1, abs=1e-6)
    assert found["colour"]["closed"] == pytest.approx(1, abs=1e-6)
    assert found["structure"]["result"] == pytest.approx(found["structure"]["painting"], abs=1e-6)
    assert abs(found["structure"]["result"]["relu4_2"]) < 0.5


def test_a_blend_closes_more_the_more_style_is_in_it():
    blends = [measure(torch.lerp(CONTENT, STYLE, share)) for share in (0, 0.25, 0.5, 0.75, 1)]
    colour = [found["colour"]["closed"] for found in blends]
    kept = [found["structure"]["result"]["contrast_structure"] for found in blends]
    assert colour == sorted(colour)
    assert kept == sorted(kept, reverse=True)


def test_a_style_equal_to_the_content_leaves_no_distance_to_close():
    found = measure(noise(3), CONTENT)
    assert found["colour"]["closed"] is None
    assert found["style"]["mean_optimised"] is None


def test_flat_images_have_no_structure_to_compare():
    found = measure(torch.full_like(CONTENT, 0.5))
    assert found["structure"]["result"]["edges"] is None


def test_layers_are_in_the_networks_order_and_marked_as_optimised_or_not():
    settings = Settings(size=48, style_layers=("relu3_3", "relu1_1"))
    layers = measure(CONTENT, settings=settings)["style"]["layers"]
    assert {name: layer["optimised"] for name, layer in layers.items()} == {
        "relu1_1": True, "relu1_2": False, "relu2_2": False, "relu3_3": True, "relu4_4": False, "relu5_4": False,
    }  # fmt: skip
    assert list(layers) == sorted(layers)


def test_layers_too_deep_for_a_small_image_are_left_out():
    settings = Settings(size=16, style_layers=("relu1_1",), content_layers=())
    found = measures.measure_pictures(TINY, settings, noise(1, (5, 16)), [STYLE], noise(3, (5, 16)))
    assert list(found["style"]["layers"]) == ["relu1_1", "relu1_2", "relu2_2", "relu3_3"]
    assert "relu4_2" not in found["structure"]["result"]


def test_several_styles_are_blended_by_their_weights():
    styles, settings = [noise(5), noise(6)], Settings(size=48, style_layers=("relu1_1",), style_weights=(3, 1))
    result = noise(7)
    found = measure(result, *styles, settings=settings)
    g, start, a, b = (
        gram(TINY.features(image, ["relu1_1"])["relu1_1"]).numpy() / (image.shape[-2] * image.shape[-1])
        for image in (result, CONTENT, *(resize(s, (40, 48)) for s in styles))
    )
    target = 0.75 * a + 0.25 * b
    expected = 1 - ((g - target) ** 2).sum() / ((start - target) ** 2).sum()
    assert found["style"]["layers"]["relu1_1"]["closed"] == pytest.approx(expected, rel=1e-4)


def test_half_the_way_closes_three_quarters_of_a_squared_distance():
    start, target = torch.rand(1, 4, 4), torch.rand(1, 4, 4)
    assert measures.style_closed((start + target) / 2, start, target) == pytest.approx(0.75, abs=1e-5)


def test_feature_correlation_is_numpys_with_each_channel_around_its_mean():
    f, p = torch.rand(1, 5, 6, 7), torch.rand(1, 5, 6, 7)
    a, b = (x.numpy() - x.numpy().mean(axis=(2, 3), keepdims=True) for x in (f, p))
    assert measures.feature_correlation(f, p) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-6)
    assert measures.feature_correlation(3 * f + 2, f) == pytest.approx(1, abs=1e-6)


def test_edge_strength_is_the_slope_of_a_ramp_in_any_direction():
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    ramp = (0.03 * x + 0.04 * y).expand(1, 3, 12, 12)
    inside = measures.edge_strength(ramp)[..., 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.05))


def test_contrast_structure_is_that_of_numpy_window_by_window():
    a, b = noise(8, (13, 14)), noise(9, (13, 14))
    x, y = (np.tensordot([0.299, 0.587, 0.114], image[0].double().numpy(), 1) for image in (a, b))
    ramp = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    w = np.outer(ramp, ramp) / np.outer(ramp, ramp).sum()
    values = []
    for i in range(3):
        for j in range(4):
            u, v = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mu, mv = (w * u).sum(), (w * v).sum()
            cov, var = (w * (u - mu) * (v - mv)).sum(), (w * ((u - mu) ** 2 + (v - mv) ** 2)).sum()
            values.append((2 * cov + 0.0009) / (var + 0.0009))
    assert measures.contrast_structure(a, b) == pytest.approx(np.mean(values), abs=1e-5)


def test_colour_distance_is_the_closed_form_where_covariances_commute():
    def statistics(mean: list[float], variances: list[float]) -> torch.Tensor:
        return from_mean_and_covariance(
            torch.tensor([mean]).double(), torch.diag(torch.tensor(variances).double())[None]
        )

    a, b = statistics([0.1, 0.2, 0.3], [4, 1, 0]), statistics([0.1, 0.2, 0.7], [1, 1, 4])
    assert measures.colour_distance(a, b) == pytest.approx(np.sqrt(0.4**2 + 1 + 0 + 4))


def test_style_and_structure_are_measured_on_lightness_where_only_that_is_painted():
    kept = KNOBS.model_copy(update={"color": Color.KEEP})
    tinted = colour_mode(Color.KEEP, CONTENT, [STYLE]).picture(grey_like(STYLE, CONTENT))
    assert measure(CONTENT, settings=kept)["style"]["mean_optimised"] == pytest.approx(0, abs=1e-3)
    assert measure(tinted, settings=kept)["style"]["mean_optimised"] > 0.8
    assert measure(tinted)["style"]["mean_optimised"] < 0.5


def test_time_is_counted_by_step_scale_and_megapixel():
    steps = [
        measures.Step(n, 1 if n < 4 else 2, (500, 1000) if n < 4 else (1000, 2000), 1.0, {}, at)
        for n, at in enumerate([1, 2, 4, 9, 13], start=1)
    ]
    time = measures.measure_time(steps, 14.0)
    assert time["steps"] == 5
    assert time["seconds_per_step"] == 2
    assert time["seconds_per_megapixel_step"] == pytest.approx(14 / 5.5)
    assert [scale["seconds_per_step"] for scale in time["scales"]] == [1, 4.5]
    assert time["scales"][1]["width"] == 2000


def test_a_result_of_print_size_is_measured_smaller_and_says_so(monkeypatch):
    large = noise(3, (80, 96))
    assert measure(large)["measured_at"] == measure(large)["size"] == {"width": 96, "height": 80}
    monkeypatch.setattr(measures, "MEASURED", 48)
    found, expected = measure(large), measure(resize(large, (40, 48)))
    assert found.pop("size") == {"width": 96, "height": 80}
    assert found["measured_at"] == expected.pop("size") == {"width": 48, "height": 40}
    assert found == expected


def test_measures_taken_in_the_tiles_of_the_run_are_the_same():
    size = (150, 130)
    whole, tiled = (
        measures.measure_pictures(
            TINY, KNOBS.model_copy(update={"tile": tile}), noise(1, size), [STYLE], noise(3, size)
        )
        for tile in (0, 64)
    )
    assert whole["structure"]["result"] == pytest.approx(tiled["structure"]["result"], abs=1e-5)
    assert whole["structure"]["painting"] == pytest.approx(tiled["structure"]["painting"], abs=1e-5)
    assert whole["style"]["mean_optimised"] == pytest.approx(tiled["style"]["mean_optimised"], abs=1e-4)
