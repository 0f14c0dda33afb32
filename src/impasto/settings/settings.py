"""Every knob of a run, declared once: type, default, range and help. The CLI, TOML files and metadata follow it."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from impasto.errors import SettingsError
from impasto.settings.choices import (
    INITS,
    Color,
    ContentLossName,
    EngineName,
    ObjectiveName,
    OptimizerName,
    Padding,
    Pooling,
    Precision,
    StyleLossName,
)

LAYER_NAME = re.compile(r"(conv|relu)(1_[12]|2_[12]|3_[1-4]|4_[1-4]|5_[1-4])|pool[1-5]")
"""The names a loss may use: VGG19's convolutions, ReLUs and poolings (Simonyan & Zisserman 2014, configuration E)."""

MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([MG])i?B?", re.IGNORECASE)
"""A number of megabytes or gigabytes."""

NORMALIZED = ("strength", "style_loss", "content_loss")
"""Knobs of the normalised objective: the paper's has none of them."""

DEVICE_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


Weight = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class Settings(BaseModel):
    """A frozen, checked set of knobs; raises `SettingsError` with one sentence per fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    size: int = Field(512, ge=16, le=65536, description="Longest side of the output, in pixels.")
    objective: ObjectiveName = Field(
        ObjectiveName.NORMALIZED,
        description="What the weights multiply: the paper's raw losses ('gatys'), or those losses divided by what "
        "they measure on this pair of images ('normalized'), so that weights mean the same everywhere.",
    )
    strength: float = Field(
        0.5,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="How far to go from the photo to the painting: 0 is the photo, 1 as strong as style gets; the same "
        "on every pair and size. Only with --objective normalized.",
    )
    content_weight: Weight = Field(0.05, description="α: weight of the content loss (Gatys et al. 2015, eq. 7).")
    style_weight: Weight = Field(1.0, description="β: weight of the style loss.")
    style_weights: tuple[Weight, ...] = Field(
        (), description="One weight per style image; they are normalised to sum to 1. Default: all equal."
    )
    content_layers: tuple[str, ...] = Field(("relu4_2",), description="Layers that hold the content.")
    style_layers: tuple[str, ...] = Field(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), description="Layers that hold the style."
    )
    content_layer_weights: tuple[Weight, ...] = Field(
        (), description="One weight per content layer. Default: all equal, summing to 1."
    )
    layer_weights: tuple[Weight, ...] = Field(
        (), description="w_l: one weight per style layer. Default: all equal, summing to 1."
    )
    color: Color = Field(
        Color.STYLE,
        description="Whose colours: the painting's ('style'), the photo's where they are, only lightness being painted "
        "('keep'), or the photo's colours for the painting before it is used ('match').",
    )
    style_loss: StyleLossName = Field(StyleLossName.GRAM, description="What is compared of photo and painting.")
    content_loss: ContentLossName = Field(ContentLossName.FEATURES, description="What is kept of the photo.")
    style_scale: float = Field(
        1.0, ge=0.25, le=4, allow_inf_nan=False, description="Size of the strokes: the painting's to the output's size."
    )
    mask: tuple[str, ...] = Field(
        (),
        description="One picture per style, white where it is to be painted; 'rest' for what the others leave. The "
        "photo stays where all are black.",
    )
    style_mask: tuple[str, ...] = Field(
        (), description="One picture per style, white where the painting counts; 'all' for all of it."
    )
    mask_erosion: bool = Field(
        False, description="Let a mask count only where the network sees nothing beyond it: regions mix less."
    )
    tv_weight: Weight = Field(0.0, description="Weight of total variation: higher is smoother.")
    pooling: Pooling = Field(
        Pooling.MAX,
        description="Pooling of VGG19; 'average', the paper's, is somewhat smoother, above all from noise.",
    )
    padding: Padding = Field(
        Padding.REPLICATE,
        description="What VGG19 sees outside the picture: its border going on, or a grey frame ('zero'), as trained.",
    )
    weights: str = Field("embedded", min_length=1, description="VGG19 weights: 'embedded', 'torchvision' or a file.")
    optimizer: OptimizerName = Field(OptimizerName.LBFGS, description="How the pixels descend.")
    learning_rate: float = Field(
        0.02, gt=0, le=1, allow_inf_nan=False, description="Step of Adam alone, in units of the pixel range [0, 1]."
    )
    epochs: int = Field(10, ge=1, le=10000, description="Epochs: a picture is reported after each.")
    steps_per_epoch: int = Field(20, ge=1, le=100000, description="Optimisation steps in an epoch.")
    scales: int | Literal["auto"] = Field(
        "auto", description="Number of sizes from coarse to fine (1 to 12), each twice the last; 1 switches it off."
    )
    step_ratio: float = Field(
        0.6,
        ge=0.05,
        le=20,
        allow_inf_nan=False,
        description="Steps at a scale relative to the next coarser one: higher gives the finer scales more of them.",
    )
    detail: float | Literal["auto"] = Field(
        "auto",
        description="How much of the photo's fine detail the canvas gets back where a scale enlarges it, from 0 to 1; "
        "'auto' is what --strength leaves of the photo.",
    )
    negligible: float = Field(
        0.0,
        ge=0,
        le=0.5,
        allow_inf_nan=False,
        description="Leave out the deepest layers while they hold less than this share of the loss: faster, not exact.",
    )
    init: str = Field(
        "content",
        min_length=1,
        description="Start from 'content', 'noise', noise in the colours of the 'style' or exactly the photo's "
        "('histogram'), or an image file.",
    )
    init_noise: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False, description="Share of white noise that is mixed into the start."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of every random number in the run.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps.")
    engine: EngineName = Field(
        EngineName.AUTO,
        description="What runs the network: torch, native (twice as fast, CPU only), or the faster one there is.",
    )
    precision: Precision = Field(
        Precision.FLOAT32,
        description="What convolutions multiply in: 'tf32' (CUDA) and 'bfloat16' are faster and less exact.",
    )
    compile: bool = Field(
        False, description="Compile the torch engine's network before the run (torch.compile): for long runs on CUDA."
    )
    max_memory: str = Field(
        "auto",
        description="Most memory to take, such as 3GB; 'auto' adds 70 % of what is free to what is held already.",
    )
    scratch: str = Field(
        "auto",
        min_length=1,
        description="Folder for files of canvases that don't fit into memory; 'auto' takes the system's temporary one.",
    )
    tile: int | Literal["auto"] = Field(
        "auto", description="Side of the tiles that the network sees, in pixels; 0 shows it all at once."
    )
    history: int | Literal["auto"] = Field(
        "auto", description="Steps that L-BFGS remembers (1 to 200): each takes the memory of two canvases."
    )
    max_pixels: int = Field(
        100_000_000, ge=1, le=10_000_000_000, description="Refuse input pictures with more pixels than this."
    )

    def __init__(self, **knobs: Any) -> None:
        try:
            super().__init__(**knobs)
        except ValidationError as error:
            raise SettingsError(explain(error)) from None

    @property
    def max_memory_bytes(self) -> int | None:
        """`max_memory` in bytes, None for 'auto'."""
        found = MEMORY.fullmatch(self.max_memory)
        return None if found is None else int(float(found[1]) * (1e9 if found[2] in "gG" else 1e6))

    @property
    def init_is_image(self) -> bool:
        """Whether the run starts from an image file rather than from the photo or from noise."""
        return self.init not in INITS

    @field_validator("scales", mode="before")
    @classmethod
    def _scales_in_range(cls, value: Any) -> int | str:
        return _auto_or_number(value, "a number from 1 to 12", lambda n: 1 <= n <= 12)

    @field_validator("detail", mode="before")
    @classmethod
    def _detail_is_a_share(cls, value: Any) -> float | str:
        if value == "auto":
            return value
        try:
            share = float(value)
        except (TypeError, ValueError):
            share = math.nan
        if isinstance(value, bool) or not 0 <= share <= 1:
            raise ValueError("should be 'auto' or a number from 0 to 1")
        return share

    @field_validator("max_memory")
    @classmethod
    def _memory_with_unit(cls, value: str) -> str:
        if value != "auto" and MEMORY.fullmatch(value) is None:
            raise ValueError("should be 'auto' or a number with its unit, such as 3GB or 800MB")
        return value

    @field_validator("tile", mode="before")
    @classmethod
    def _tile_in_range(cls, value: Any) -> int | str:
        return _auto_or_number(value, "0, or a number from 64 to 65536", lambda n: n == 0 or 64 <= n <= 65536)

    @field_validator("history", mode="before")
    @classmethod
    def _history_in_range(cls, value: Any) -> int | str:
        return _auto_or_number(value, "a number from 1 to 200", lambda n: 1 <= n <= 200)

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if DEVICE_NAME.fullmatch(value) is None:
            raise ValueError("should be auto, cpu, cuda, cuda:N or mps")
        return value

    @field_validator("content_layers", "style_layers")
    @classmethod
    def _known_layers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if LAYER_NAME.fullmatch(name) is None:
                raise ValueError(
                    f"names {name!r}, which VGG19 doesn't have: use conv1_1 … conv5_4, "
                    "relu1_1 … relu5_4 or pool1 … pool5"
                )
        if len(set(value)) < len(value):
            raise ValueError("names a layer twice: name each once and use its weight")
        return value

    @model_validator(mode="after")
    def _no_conflicts(self) -> Settings:
        for weights, layers in (
            ("layer_weights", "style_layers"),
            ("content_layer_weights", "content_layers"),
        ):
            given, wanted = len(getattr(self, weights)), len(getattr(self, layers))
            if given and given != wanted:
                raise ValueError(f"{flag(weights)} has {given} values for {wanted} {flag(layers)}: give one each")
        if self.engine is EngineName.NATIVE and self.device not in ("auto", "cpu"):
            raise ValueError(f"--engine is 'native', which runs on the CPU, but --device is {self.device!r}: drop one")
        if self.engine is EngineName.NATIVE and (self.precision is not Precision.FLOAT32 or self.compile):
            knob = "--compile" if self.compile else f"--precision {self.precision.value}"
            raise ValueError(f"--engine is 'native', which computes in float32 as it is, but {knob} is set: drop one")
        if self.precision is Precision.TF32 and not self.device.startswith(("cuda", "auto")):
            raise ValueError(f"--precision is 'tf32', which only CUDA has, but --device is {self.device!r}: drop one")
        if self.init == "noise" and self.init_noise:
            raise ValueError(f"--init is 'noise' already, but --init-noise is {self.init_noise:g}: drop one")
        if not (self.content_layers or self.style_layers):
            raise ValueError("--content-layers and --style-layers are both empty: name at least one layer")
        if not self.style_loss.additive and self.tile not in ("auto", 0):
            raise ValueError(
                f"--style-loss is {self.style_loss.value!r}, which has to see the picture whole, but --tile is "
                f"{self.tile}: drop one"
            )
        if self.mask.count("rest") > 1 or self.mask == ("rest",):
            raise ValueError("--mask says 'rest' for every style or twice: give a picture for each other style")
        if self.style_weights and sum(self.style_weights) == 0:
            raise ValueError("--style-weights are all 0: give at least one style a positive weight")
        return self

    @model_validator(mode="after")
    def _nothing_idle(self) -> Settings:
        """Whatever is set and would change nothing is refused, beside the knob that makes it idle."""
        for knob, by, idle, why in (
            *((knob, "objective", self.objective is ObjectiveName.GATYS, "the paper's losses") for knob in NORMALIZED),
            ("learning_rate", "optimizer", self.optimizer is not OptimizerName.ADAM, "which finds its steps itself"),
            ("history", "optimizer", self.optimizer is not OptimizerName.LBFGS, "which remembers no steps"),
            *((knob, "scales", self.scales == 1, "so there is no coarser one") for knob in ("step_ratio", "detail")),
            ("negligible", "style_loss", self.style_loss.joint, "which takes its layers together"),
            ("negligible", "content_loss", self.content_loss.joint, "which takes its layers together"),
            ("mask_erosion", "style_loss", self.style_loss.joint, "which looks at places within the mask"),
        ):
            if idle and (value := getattr(self, knob)) != type(self).model_fields[knob].default:
                name = getattr(self, by)
                shown = name if isinstance(name, int) else repr(name.value)
                raise ValueError(f"{flag(by)} is {shown}, {why}, but {flag(knob)} is {value}: drop one")
        return self


def _auto_or_number(value: Any, otherwise: str, allowed: Callable[[int], bool]) -> int | str:
    if value == "auto":
        return value
    if isinstance(value, bool) or not str(value).isdecimal() or not allowed(int(value)):
        raise ValueError(f"should be 'auto' or {otherwise}")
    return int(value)


def flag(knob: str) -> str:
    """The command line's name of a knob: 'style_weight' -> '--style-weight'."""
    return "--" + knob.replace("_", "-")


def explain(error: ValidationError) -> str:
    """Pydantic's findings as one sentence per knob: name, value, and what it should be."""
    return "\n".join(_sentence(dict(fault)) for fault in error.errors())


def _sentence(fault: dict[str, Any]) -> str:
    path = [str(part) for part in fault["loc"]]
    if not path:
        return fault["msg"].removeprefix("Value error, ") + "."
    name = path[0]
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Settings.model_fields, n=1)
        return f"{flag(name)} is not a setting" + (f": did you mean {flag(near[0])}?" if near else ".")
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return (
        f"{flag(name)} is {fault['input']!r} but {message}."
        if message.startswith("should")
        else f"{flag(name)} {message}."
    )
