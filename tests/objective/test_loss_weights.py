"""How much each loss counts, against the formulas written out."""

import pytest

from impasto.objective.weights import layer_weights, loss_weights, target_fraction
from impasto.settings.settings import Settings


def test_layers_share_equally_or_as_they_are_told():
    assert layer_weights(("relu1_1", "relu2_1", "relu3_1", "relu4_1"), ()) == pytest.approx(
        {"relu1_1": 0.25, "relu2_1": 0.25, "relu3_1": 0.25, "relu4_1": 0.25}
    )
    assert layer_weights(("relu1_1", "relu2_1"), (5.0, 0.0)) == {"relu1_1": 5.0, "relu2_1": 0.0}
    assert layer_weights((), ()) == {}


def test_strength_leads_all_the_way_and_lets_go_of_the_content():
    assert [target_fraction(strength) for strength in (0, 0.25, 0.5, 0.75, 1)] == [0, 0.68359375, 0.9375, 0.99609375, 1]
    found = [loss_weights(Settings(strength=s, content_weight=0.2), (10, 20), (40, 80)) for s in (0.0, 0.5, 1.0)]
    assert [weights.alpha for weights in found] == pytest.approx([1.6, 0.2, 0.025])
    assert [weights.fraction for weights in found] == [0, 0.9375, 1]


def test_the_papers_content_loss_counts_more_where_there_are_fewer_positions():
    """A sum over a sixteenth of the positions is a sixteenth: the final size's balance at every size."""
    settings = Settings(objective="gatys", content_weight=3.0, style_weight=7.0, tv_weight=2.0)
    coarse, fine = loss_weights(settings, (10, 20), (40, 80)), loss_weights(settings, (40, 80), (40, 80))
    assert (fine.alpha, fine.beta, fine.tv, fine.fraction) == (3, 7, 2, 1)
    assert (coarse.alpha, coarse.beta, coarse.tv, coarse.fraction) == (48, 7, 32, 1)
