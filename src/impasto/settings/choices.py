"""The losses by name, and which of them can be added up over tiles: declared here, once, without importing torch."""

from __future__ import annotations

from enum import StrEnum


class StyleLossName(StrEnum):
    """What is compared of the canvas's and the painting's features, see `impasto.losses.catalogue`.

    `gram`: channel correlations. `mean-std`: each channel's mean and deviation. `w2`: mean and covariance.
    `histogram`: each channel's whole distribution. `swd`: the distribution along random directions. `remd`: samples
    of all layers at once, each matched with its most similar. `nnst`: at each place, the place of the painting most
    like it, found once at each size.
    """

    GRAM = "gram"
    MEAN_STD = "mean-std"
    W2 = "w2"
    HISTOGRAM = "histogram"
    SWD = "swd"
    REMD = "remd"
    NNST = "nnst"

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
        return self is StyleLossName.REMD

    @property
    def local(self) -> bool:
        """Whether each place has a target of its own, which depends on the canvas that a scale starts from."""
        return self is StyleLossName.NNST


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


EVERYWHERE = "everywhere"
"""The strength map that is no file: all of the strength at every place."""

INITS = ("content", "noise", "style", "histogram")
"""The starts that need no image of their own."""


class Pooling(StrEnum):
    """How VGG19's five pooling layers summarise their 2×2 windows."""

    MAX = "max"
    AVERAGE = "average"


class Padding(StrEnum):
    """What the first convolution sees outside the picture; deeper ones see zeros, which rectified features know.

    `replicate`: the nearest pixels. `zero`: the network as trained, to which the mean colour is zero: a grey frame.
    """

    REPLICATE = "replicate"
    ZERO = "zero"


class EngineName(StrEnum):
    """What runs VGG19: `torch` on any device, `native` (our own C) on the CPU, or `auto`, the fastest that is there."""

    AUTO = "auto"
    TORCH = "torch"
    NATIVE = "native"


class Precision(StrEnum):
    """What the network's convolutions multiply in; losses and the picture are float32 always.

    `auto`: bfloat16 where the native engine has matrix units for it that win a timed trial, else float32.
    """

    AUTO = "auto"
    FLOAT32 = "float32"
    TF32 = "tf32"
    BFLOAT16 = "bfloat16"


class ObjectiveName(StrEnum):
    """What α, β and the layer weights multiply.

    `gatys`: the paper's losses as they stand. `notebook`: means in their place, as in the notebook that its authors
    published. `normalized`: each loss divided by what it measures on this pair of images at this scale, so that a
    weight means the same on every image, size, layer and network.
    """

    NORMALIZED = "normalized"
    GATYS = "gatys"
    NOTEBOOK = "notebook"


class Guard(StrEnum):
    """What keeps more of itself than the rest of the photo."""

    NONE = "none"
    FACES = "faces"


class OptimizerName(StrEnum):
    """The ways to descend, see `impasto.run.optimizers`."""

    GD = "gd"
    ADAM = "adam"
    LBFGS = "lbfgs"


class Color(StrEnum):
    """Whose colours the picture has (Gatys et al. 2016, Preserving color in neural artistic style transfer).

    `style`: the painting's. `keep`: the photo's, place by place; only lightness is painted. `match`: the photo's as a
    whole, since the painting is given their mean and covariance before the run. `tint`: the photo's, place by place,
    moved into the painting's range and laid over what was painted (Kolkin et al. 2022).
    """

    STYLE = "style"
    KEEP = "keep"
    MATCH = "match"
    TINT = "tint"
