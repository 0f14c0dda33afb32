"""What targets are measured of, and in what pieces."""

import pytest
import torch

from helpers import PlannedRun, objective_of, smooth_image, tiny_weights
from impasto.losses.gatys import total_variation
from impasto.network.vgg import VGG19
from impasto.objective.targets import Comparison, measure_targets, variation
from impasto.objective.texture import TextureProblem
from impasto.objective.weights import LossWeights
from impasto.settings.choices import ContentLossName, StyleLossName
from impasto.settings.settings import Settings
from impasto.storage.scratch import FILES, MEMORY, Scratch

CONTENT, STYLE = smooth_image(64, 96, seed=1), smooth_image(96, 80, seed=2)
LAYERS = {"relu1_1": 0.5, "relu2_1": 0.5}


class Seen(VGG19):
    """Notes the largest side that it is given, in pixels."""

    largest = 0

    def features(self, image, layers, *, below=None):
        self.largest = max(self.largest, *image.shape[-2:])
        return super().features(image, layers, below=below)


def seen(**knobs) -> tuple[int, int]:
    """The largest sides while targets are measured, and while the objective is evaluated."""
    network = Seen(tiny_weights(dtype=torch.float32))
    layers = {"style_layers": ("relu1_1", "relu2_1"), "content_layers": ("relu2_2",)}
    content = smooth_image(112, 160, dtype=torch.float32)
    run = PlannedRun(Settings(size=160, scales=1, device="cpu", **layers, **knobs), network, content, [STYLE.float()])
    goal = run.problem.at((112, 160)).objective
    measuring, network.largest = network.largest, 0
    goal.evaluate(content)
    return measuring, network.largest


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_a_run_in_tiles_measures_and_evaluates_no_more_than_a_tile_at_a_time(scale):
    assert max(seen(tile=64, style_scale=scale)) <= 64 + 2 * 8


def test_a_style_larger_than_the_canvas_is_measured_in_tiles_and_the_canvas_whole():
    assert seen(tile=0, style_scale=1.5) == (160, 160)


def test_a_texture_in_tiles_is_measured_and_evaluated_in_tiles_too():
    network = Seen(tiny_weights())
    settings = Settings(style_layers=("relu1_1", "relu2_1"), scales=1)
    goal = TextureProblem(smooth_image(160, 160), settings, network, (128, 128), tile=64).at((128, 128)).objective
    goal.evaluate(smooth_image(128, 128, seed=3))
    assert network.largest <= 64 + 2 * 8


@pytest.mark.parametrize(("content", "styles"), [(CONTENT, 0.1 * STYLE), (0.1 * CONTENT, STYLE), (0 * CONTENT, STYLE)])
def test_total_variation_counts_by_the_contents_own_or_the_styles_whichever_is_more(content, styles):
    """Per pixel, styles by their shares; a flat photo is smoothed no more than its paintings are smooth."""
    engine, comparison = VGG19(tiny_weights()), Comparison(("relu1_1",), ("relu1_2",))
    found = measure_targets(engine, comparison, content, [styles, 0 * styles], [1.0, 3.0]).variation
    each = [total_variation(image).item() / image[0, 0].numel() for image in (content, styles)]
    assert found == pytest.approx(max(each[0], each[1] / 4) * CONTENT[0, 0].numel())


@pytest.mark.parametrize("loss", [StyleLossName.W2, StyleLossName.NNST])
@pytest.mark.parametrize(
    ("contrast", "fraction", "unit"),
    [(0.0, 1.0, 0.2), (0.0, 0.5, 0.25), (0.0, 0.0, 1.0), (0.16, 1.0, 0.256), (0.4, 1.0, 1.0)],
    ids=["flat", "half way", "photo", "faint", "calm"],
)
def test_total_variation_counts_for_more_where_the_style_is_much_flatter_than_the_photo(loss, contrast, fraction, unit):
    """By as much as a picture on the way to it is flatter, down to a fifth; calm paintings change nothing."""
    style = 0.5 + contrast * (CONTENT - 0.5)
    weights = LossWeights(0, 1, {"relu1_2": 1.0}, {"relu1_1": 1.0, "relu2_1": 1.0}, 0.3, fraction)
    goal = objective_of(VGG19(tiny_weights()), weights, CONTENT, [style], normalized=True, style_loss=loss)
    assert goal.evaluate(CONTENT).parts["tv"] == pytest.approx(0.3 / unit)


def test_a_flat_style_that_doesnt_count_leaves_total_variation_alone():
    weights = LossWeights(1, 0, {"relu1_2": 1.0}, {"relu1_1": 1.0}, 0.3, 1.0)
    goal = objective_of(VGG19(tiny_weights()), weights, CONTENT, [0 * STYLE + 0.5], normalized=True)
    assert goal.evaluate(CONTENT).parts["tv"] == pytest.approx(0.3)


@pytest.mark.parametrize("texture", [False, True])
def test_total_variation_is_the_contents_or_the_noises_own_without_a_style_to_compare_with(texture):
    engine, faint = VGG19(tiny_weights()), 0.5 + 1e-3 * (STYLE - 0.5)
    if texture:
        chosen = Settings(tv_weight=0.3, style_layers=("relu1_1",), init="style")
        problem = TextureProblem(faint, chosen, engine, (64, 64))
        start, goal = problem.first_canvas((64, 64)), problem.at((64, 64)).objective
    else:
        weights = LossWeights(1, 0, {"relu1_2": 1.0}, tv=0.3)
        start, goal = CONTENT, objective_of(engine, weights, CONTENT, [], normalized=True)
    assert goal.evaluate(start).parts["tv"] == pytest.approx(0.3)


def test_total_variation_is_the_same_in_bands_of_rows(monkeypatch):
    whole = total_variation(CONTENT).item()
    assert variation(CONTENT, MEMORY) == pytest.approx(whole)
    monkeypatch.setattr(Scratch, "BAND", 5 * 3 * 96 * 8)
    assert variation(CONTENT, Scratch()) == pytest.approx(whole)


def test_a_contents_features_are_where_canvases_are(tmp_path, monkeypatch, tiny):
    monkeypatch.setattr(Scratch, "SMALL", 0)
    comparison = Comparison(content_layers=("relu1_1",))
    before = len(FILES)
    targets = measure_targets(tiny, comparison, CONTENT, [], scratch=Scratch(tmp_path))
    assert len(FILES) > before
    plain = measure_targets(tiny, comparison, CONTENT, [])
    assert torch.equal(targets.content.features["relu1_1"], plain.content.features["relu1_1"])


SEEDED = [
    {"style_loss": StyleLossName.SWD},
    {"style_loss": StyleLossName.REMD},
    {"content_loss": ContentLossName.SELF_SIMILARITY},
]


@pytest.mark.parametrize("compared", SEEDED, ids=str)
def test_the_seed_draws_places_and_directions(compared, tiny):
    weights = LossWeights(1.0, 1.0, LAYERS, LAYERS)
    canvas = smooth_image(64, 96, seed=3)
    first, again, other = (
        objective_of(tiny, weights, CONTENT, [STYLE], seed=seed, **compared).evaluate(canvas).loss for seed in (1, 1, 2)
    )
    assert first == again != other


def test_the_seed_of_a_texture_draws_its_directions(tiny):
    canvas = smooth_image(64, 64, seed=3)

    def loss(seed: int) -> float:
        settings = Settings(style_layers=("relu1_1",), style_loss="swd", scales=1, seed=seed, tv_weight=0)
        goal = TextureProblem(STYLE, settings, tiny, (64, 64)).at((64, 64)).objective
        (term,) = goal.terms
        return goal.evaluate(canvas).loss * term.unit  # which noise of that seed has set

    assert loss(1) == pytest.approx(loss(1), rel=1e-9)
    assert loss(1) != pytest.approx(loss(2), rel=1e-9)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_a_finer_canvas_gets_what_strength_leaves_of_the_contents_detail(strength):
    settings = Settings(size=96, scales=2, strength=strength, device="cpu")
    run = PlannedRun(settings, VGG19(tiny_weights(dtype=torch.float32)), CONTENT.float(), [STYLE.float()])
    coarse = torch.full((1, 3, 32, 48), 0.5)
    everything = settings.model_copy(update={"detail": 1.0})
    with_all = PlannedRun(everything, run.problem.engine, CONTENT.float(), [STYLE.float()])
    detail = with_all.problem.enlarged(coarse, (64, 96)) - 0.5
    left = (1 - strength) ** 4
    torch.testing.assert_close(run.problem.enlarged(coarse, (64, 96)) - 0.5, left * detail, rtol=0, atol=1e-6)


@pytest.mark.parametrize("knobs", [{"init": "noise"}, {"objective": "gatys"}], ids=str)
def test_a_run_that_does_not_keep_the_content_by_strength_gets_no_detail_of_it(knobs):
    settings = Settings(size=96, scales=2, device="cpu", **knobs)
    run = PlannedRun(settings, VGG19(tiny_weights(dtype=torch.float32)), CONTENT.float(), [STYLE.float()])
    found = run.problem.enlarged(torch.full((1, 3, 32, 48), 0.5), (64, 96))
    torch.testing.assert_close(found, torch.full((1, 3, 64, 96), 0.5), rtol=0, atol=1e-6)


def test_what_was_measured_asks_for_no_gradient(tiny):
    comparison = Comparison(("relu1_1", "relu2_1"), ("relu1_1",))
    (style,) = (targets := measure_targets(tiny, comparison, CONTENT, [STYLE])).styles
    measured = [*style.of_content.values(), *style.of_styles.values(), *targets.content.features.values()]
    assert len(measured) == 5
    assert not any(value.requires_grad for value in measured)
