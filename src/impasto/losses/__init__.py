"""The losses, one short function an equation; `catalogue` says how each is measured and compared."""

from impasto.losses.catalogue import CONTENT_LOSSES, HypercolumnLoss, LayerLoss, hypercolumn_loss, layer_loss
from impasto.losses.gatys import content_loss, style_layer_loss, total_loss, total_variation, weighted_sum
from impasto.losses.gaussian import gaussian_target, gaussian_w2, mean_std_loss, mean_std_target
from impasto.losses.matching import moment_matching, nearest_neighbour_loss, relaxed_emd, self_similarity_loss
from impasto.losses.sliced import directions, projected_quantiles, sliced_wasserstein

__all__ = [
    "CONTENT_LOSSES",
    "HypercolumnLoss",
    "LayerLoss",
    "content_loss",
    "directions",
    "gaussian_target",
    "gaussian_w2",
    "hypercolumn_loss",
    "layer_loss",
    "mean_std_loss",
    "mean_std_target",
    "moment_matching",
    "nearest_neighbour_loss",
    "projected_quantiles",
    "relaxed_emd",
    "self_similarity_loss",
    "sliced_wasserstein",
    "style_layer_loss",
    "total_loss",
    "total_variation",
    "weighted_sum",
]
