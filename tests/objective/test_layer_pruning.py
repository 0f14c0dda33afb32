import pytest
import torch

from helpers import objective_of, smooth_image, tiny_weights
from impasto.network.vgg import VGG19
from impasto.objective.layer_pruning import LayerPruning, negligible_layers
from impasto.objective.objective import Objective
from impasto.objective.weights import LossWeights

PARTS = {"content/relu4_2": 30.0, "style/relu1_1": 1.0, "style/relu4_1": 66.0, "style/relu5_1": 2.0, "tv": 1.0}
WEIGHTS = LossWeights(1.0, 1.0, {"relu4_2": 1.0}, {"relu1_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0})


def negligible(parts, share: float) -> set[str]:
    return negligible_layers(parts, lambda name: {name.partition("/")[2]} - {""}, share)


def objective(network) -> Objective:
    return objective_of(network, WEIGHTS, smooth_image(32, 48, seed=1), [smooth_image(40, 40, seed=2)])


@pytest.mark.parametrize(
    ("share", "left_out"),
    [
        (0.0, set()),
        (0.02, set()),
        (0.021, {"relu5_1"}),
        (0.321, {"relu5_1", "relu4_2"}),
        (0.99, {"relu5_1", "relu4_2", "relu4_1"}),
    ],
)
def test_only_the_deepest_layers_are_left_out_and_only_below_the_share(share, left_out):
    """relu1_1 is light too, but the network runs through it anyway."""
    assert negligible(PARTS, share) == left_out


def test_the_first_layer_stays_where_total_variation_is_nearly_all_there_is():
    parts = {"content/relu4_2": 1.0, "style/relu1_1": 1.0, "tv": 98.0}
    assert negligible(parts, 0.5) == {"relu4_2"}
    assert negligible({"style/relu1_1": 1.0, "tv": 98.0}, 0.5) == set()


def test_a_layer_that_is_content_and_style_counts_with_both():
    parts = {"style/relu1_1": 90.0, "style/relu4_2": 4.0, "content/relu4_2": 6.0}
    assert negligible(parts, 0.09) == set()
    assert negligible(parts, 0.11) == {"relu4_2"}


class Counted(VGG19):
    """Notes the layers that it's asked for."""

    def features(self, image, layers, *, below=None):
        self.asked = set(layers)
        return super().features(image, layers, below=below)


def test_it_is_the_objective_where_layers_stay_and_holds_what_was_measured_of_those_that_do_not():
    network = Counted(tiny_weights())
    whole = objective(network)
    first, second = smooth_image(32, 48, seed=3), smooth_image(32, 48, seed=4)
    parts = whole.evaluate(first).parts
    share = 1.01 * parts["style/relu5_1"] / sum(parts.values())
    pruned = LayerPruning(whole, share)
    assert pruned.evaluate(first).parts == parts

    now, truth = pruned.evaluate(second), whole.evaluate(second)
    assert pruned.evaluate(second).loss == pytest.approx(now.loss)
    assert network.asked == {"relu1_1", "relu4_1", "relu4_2"}
    assert now.parts["style/relu5_1"] == parts["style/relu5_1"]
    assert now.loss == pytest.approx(sum(now.parts.values()))
    assert {name for name in now.parts if now.parts[name] != pytest.approx(truth.parts[name])} == {"style/relu5_1"}
    stays = whole.without({"relu5_1"}).evaluate(second)
    torch.testing.assert_close(now.gradient, stays.gradient)

    for _ in range(LayerPruning.EVERY - 3):
        pruned.evaluate(second)
    again = pruned.evaluate(second)
    assert again.parts == pytest.approx(truth.parts)
    torch.testing.assert_close(again.gradient, truth.gradient)


def test_without_a_share_every_evaluation_is_whole():
    whole = objective(VGG19(tiny_weights()))
    pruned, canvas = LayerPruning(whole, 0.0), smooth_image(32, 48, seed=3)
    for _ in range(3):
        assert pruned.evaluate(canvas).parts == whole.evaluate(canvas).parts


def test_one_that_is_made_from_anothers_state_goes_on_as_that_one_does():
    network = Counted(tiny_weights())
    whole = objective(network)
    first, second = smooth_image(32, 48, seed=3), smooth_image(32, 48, seed=4)
    parts = whole.evaluate(first).parts
    pruned = LayerPruning(whole, 1.01 * parts["style/relu5_1"] / sum(parts.values()))
    pruned.evaluate(first)
    other = LayerPruning(whole, pruned.threshold, pruned.state())
    expected, found = pruned.evaluate(second), other.evaluate(second)
    assert "relu5_1" not in network.asked
    assert found.parts == expected.parts
    assert torch.equal(found.gradient, expected.gradient)
    assert other.state() == pruned.state()
