"""The knobs as keyword arguments, with their types, for editors and type checkers.

They can't read types out of `Settings`, so this is written out; a test keeps it the same as the fields there.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from impasto.settings.choices import (
    Color,
    ContentLossName,
    EngineName,
    Guard,
    ObjectiveName,
    OptimizerName,
    Padding,
    Pooling,
    Precision,
    StyleLossName,
)


class ScheduledKnobs(TypedDict, total=False):
    """Those that may change while a run goes on."""

    strength: float
    content_weight: float
    style_weight: float
    content_layer_weights: tuple[float, ...] | list[float]
    layer_weights: tuple[float, ...] | list[float]
    color: Color | Literal["style", "keep", "match", "tint"]
    tv_weight: float


class TextureKnobs(ScheduledKnobs, total=False):
    """All but `size`, which `synthesize` is given as width and height."""

    objective: ObjectiveName | Literal["normalized", "gatys", "notebook"]
    style_weights: tuple[float, ...] | list[float]
    content_layers: tuple[str, ...] | list[str]
    style_layers: tuple[str, ...] | list[str]
    style_loss: StyleLossName | Literal["gram", "mean-std", "w2", "histogram", "swd", "remd", "nnst"]
    content_loss: ContentLossName | Literal["features", "self-similarity"]
    style_scale: float | Literal["auto"]
    mask: tuple[str, ...] | list[str]
    style_mask: tuple[str, ...] | list[str]
    strength_map: str
    guard: Guard | Literal["none", "faces"]
    mask_erosion: bool
    pooling: Pooling | Literal["max", "average"]
    padding: Padding | Literal["replicate", "zero"]
    weights: str
    optimizer: OptimizerName | Literal["gd", "adam", "lbfgs"]
    learning_rate: float
    epochs: int
    steps_per_epoch: int
    scales: int | Literal["auto"]
    step_ratio: float
    detail: float | Literal["auto"]
    negligible: float
    stop_gain: float
    until: float
    init: str
    init_noise: float
    seed: int
    device: str
    engine: EngineName | Literal["auto", "torch", "native"]
    threads: int | Literal["auto"]
    precision: Precision | Literal["auto", "float32", "tf32", "bfloat16"]
    compile: bool
    max_memory: str
    scratch: str
    tile: int | Literal["auto"]
    history: int | Literal["auto"]
    keep_exif: bool
    keep_gps: bool
    max_pixels: int


class Knobs(TextureKnobs, total=False):
    """All of them, see `Settings`: `stylize("photo.jpg", "painting.jpg", size=512)`."""

    size: int | str
