"""The losses by name, and which of them can be added up over tiles: declared here, once, without importing torch."""

from __future__ import annotations

from enum import StrEnum


class StyleLossName(StrEnum):
    """What is compared of the canvas's and the painting's features, see `impasto.losses.catalogue`.

    `gram`: channel correlations. `mean-std`: each channel's mean and deviation. `w2`: mean and covariance.
    `histogram`: each channel's whole distribution. `swd`: the distribution along random directions. `remd`: samples
    of all layers at once, each matched with its most similar. `nn`: the same, from the canvas's samples only.
    """

    GRAM = "gram"
    MEAN_STD = "mean-std"
    W2 = "w2"
    HISTOGRAM = "histogram"
    SWD = "swd"
    REMD = "remd"
    NN = "nn"

    @property
    def additive(self) -> bool:
        """Whether what it measures is a sum over positions, so that tiles give the whole picture's loss exactly.

        Moments are sums. So are samples at given places: each is a weighted sum of the features around it, whichever
        tile they are in. Sorting needs every position at once.
        """
        return self not in (StyleLossName.HISTOGRAM, StyleLossName.SWD)

    @property
    def joint(self) -> bool:
        """Whether it compares all style layers at once (in hypercolumns) and not each by itself."""
        return self in (StyleLossName.REMD, StyleLossName.NN)


class ContentLossName(StrEnum):
    """What is kept of the photo's features.

    `features`: their values. `self-similarity`: how much the places of the picture resemble one another. Both add up
    over tiles.
    """

    FEATURES = "features"
    SELF_SIMILARITY = "self-similarity"

    @property
    def joint(self) -> bool:
        """Whether it compares all content layers at once."""
        return self is ContentLossName.SELF_SIMILARITY
