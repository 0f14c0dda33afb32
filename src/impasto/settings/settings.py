"""Every knob of a run, declared once: type, default, range, help and roles. All else follows from these fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Unpack

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from impasto.settings import conflicts, values
from impasto.settings.choices import (
    EVERYWHERE,
    INITS,
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
from impasto.settings.knob import UNTOUCHED, Affects, Group, Roles, knob, roles_of
from impasto.settings.knobs import Knobs

NORMALIZED = ObjectiveName.NORMALIZED

Weight = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Pixels = Annotated[int, Ge(values.LEAST_SIDE), Le(values.MOST_SIDE)]
Size = Annotated[Pixels | str, BeforeValidator(values.size)]
Layers = Annotated[tuple[str, ...], AfterValidator(values.layers)]
Scales = values.auto_or_number("a number from 1 to 12", lambda n: 1 <= n <= 12)
Tile = values.auto_or_number("0, or a number from 64 to 65536", lambda n: n == 0 or 64 <= n <= 65536)
Threads = values.auto_or_number("a number from 1 to 4096", lambda n: 1 <= n <= values.MOST_THREADS)
History = values.auto_or_number("a number from 1 to 200", lambda n: 1 <= n <= 200)


class Settings(BaseModel):
    """A frozen, checked set of knobs; raises `SettingsError`, which has one sentence per fault."""

    # The validator is made with the first settings: `impasto paint --help` needs none.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)

    size: Size = knob(
        512,
        Roles(Group.PICTURE, usual=True),
        "Longest side of the output in pixels, 'original' for the photo's own size, or of a print, such as "
        "30cm@300dpi (cm, mm or in).",
    )
    objective: ObjectiveName = knob(
        ObjectiveName.NORMALIZED,
        Roles(Group.CONTENT_AND_STYLE, Affects.OBJECTIVE),
        "What the weights multiply: the paper's raw losses ('gatys'), means in place of its sums ('notebook'), or "
        "those losses divided by what they measure on this pair of images ('normalized'), so that weights mean the "
        "same everywhere.",
    )
    strength: float = knob(
        0.5,
        Roles(
            Group.CONTENT_AND_STYLE, Affects.OBJECTIVE, usual=True, scheduled=True, objective=NORMALIZED, in_texture=0.5
        ),
        "How far to go from the photo to the painting: 0 is the photo, 1 as strong as style gets; the same on every "
        "pair and size. Only with `objective` normalized.",
        ge=0,
        le=1,
    )
    content_weight: Weight = knob(
        0.15,
        Roles(
            Group.CONTENT_AND_STYLE,
            Affects.OBJECTIVE,
            scheduled=True,
            in_gatys=1e-3,
            in_texture=0.0,
            in_reconstruction=1.0,
        ),
        "α: weight of the content loss (Gatys et al. 2015, eq. 7).",
    )
    style_weight: Weight = knob(
        1.0,
        Roles(Group.CONTENT_AND_STYLE, Affects.OBJECTIVE, scheduled=True, in_texture=1.0, in_reconstruction=1.0),
        "β: weight of the style loss.",
    )
    style_weights: tuple[Weight, ...] = knob(
        (),
        Roles(Group.CONTENT_AND_STYLE, in_texture=(), in_reconstruction=()),
        "One weight per style image; they are normalised to sum to 1. Default: all equal.",
    )
    content_layers: Layers = knob(
        ("relu4_2",),
        Roles(Group.CONTENT_AND_STYLE, in_texture=(), in_reconstruction=()),
        "Layers that hold the content.",
    )
    style_layers: Layers = knob(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
        Roles(
            Group.CONTENT_AND_STYLE,
            in_gatys=("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
            in_reconstruction=(),
        ),
        "Layers that hold the style.",
    )
    content_layer_weights: tuple[Weight, ...] = knob(
        (),
        Roles(Group.CONTENT_AND_STYLE, Affects.OBJECTIVE, scheduled=True, in_texture=(), in_reconstruction=()),
        "One weight per content layer. Default: all equal, summing to 1.",
    )
    layer_weights: tuple[Weight, ...] = knob(
        (),
        Roles(Group.CONTENT_AND_STYLE, Affects.OBJECTIVE, scheduled=True, in_reconstruction=()),
        "w_l: one weight per style layer. Default: all equal, summing to 1.",
    )
    color: Color = knob(
        Color.STYLE,
        Roles(Group.CONTENT_AND_STYLE, usual=True, scheduled=True, in_texture="style"),
        "Whose colours: the painting's ('style'), the photo's where they are, only lightness being painted ('keep'), "
        "the photo's for the painting before it is used ('match'), or the photo's moved into the painting's range and "
        "laid over what was painted ('tint').",
    )
    style_loss: StyleLossName = knob(
        StyleLossName.W2,
        Roles(Group.CONTENT_AND_STYLE, objective=NORMALIZED, in_gatys="gram"),
        "What is compared of photo and painting.",
    )
    content_loss: ContentLossName = knob(
        ContentLossName.FEATURES,
        Roles(Group.CONTENT_AND_STYLE, objective=NORMALIZED, in_texture="features"),
        "What is kept of the photo.",
    )
    style_scale: Annotated[
        Annotated[float, Ge(0.25), Le(4)] | Literal["auto"], BeforeValidator(values.auto_or_between(0.25, 4))
    ] = knob(
        1.0,
        Roles(Group.CONTENT_AND_STYLE, usual=True, settled=True),
        "Size of the strokes: the painting's to the output's size, or 'auto', by the photo.",
        own_check=True,
    )
    mask: tuple[str, ...] = knob(
        (),
        Roles(Group.REGIONS, usual=True, file_words=("rest",), in_texture=()),
        "One picture per style, white where it is to be painted; 'rest' for what the others leave. The photo stays "
        "where all are black.",
    )
    style_mask: tuple[str, ...] = knob(
        (),
        Roles(Group.REGIONS, file_words=("all",), in_texture=()),
        "One picture per style, white where the painting counts; 'all' for all of it.",
    )
    strength_map: str = knob(
        EVERYWHERE,
        Roles(
            Group.REGIONS,
            file_words=(EVERYWHERE,),
            objective=NORMALIZED,
            in_texture=EVERYWHERE,
            in_reconstruction=EVERYWHERE,
        ),
        "A picture that shares `strength` out: all of it where it is white, half where it is grey, none where it is "
        "black; 'everywhere' for all of it.",
        min_length=1,
    )
    guard: Guard = knob(
        Guard.NONE,
        Roles(Group.REGIONS, objective=NORMALIZED, in_texture="none", in_reconstruction="none"),
        "Where the photo is to stay recognisable: 'faces' lowers `strength` softly around each (needs impasto[faces]).",
    )
    mask_erosion: bool = knob(
        False,
        Roles(Group.REGIONS, in_texture=False),
        "Let a mask count only where the network sees nothing beyond it: regions mix less.",
    )
    tv_weight: Weight = knob(
        0.05,
        Roles(Group.CONTENT_AND_STYLE, Affects.OBJECTIVE, scheduled=True, in_gatys=0.0),
        "Weight of total variation: higher is smoother.",
    )
    pooling: Pooling = knob(
        Pooling.MAX,
        Roles(Group.NETWORK, Affects.NETWORK),
        "Pooling of VGG19; 'average', the paper's, is somewhat smoother, above all from noise.",
    )
    padding: Padding = knob(
        Padding.REPLICATE,
        Roles(Group.NETWORK, Affects.NETWORK),
        "What VGG19 sees outside the picture: its border going on, or a grey frame ('zero'), as trained.",
    )
    weights: str = knob(
        "embedded",
        Roles(Group.NETWORK, Affects.NETWORK, file_words=("embedded", "torchvision")),
        "VGG19 weights: 'embedded', 'torchvision' or a file.",
        min_length=1,
    )
    optimizer: OptimizerName = knob(
        OptimizerName.LBFGS, Roles(Group.OPTIMISATION, Affects.DESCENT), "How the pixels descend."
    )
    learning_rate: float = knob(
        0.02,
        Roles(Group.OPTIMISATION, Affects.DESCENT),
        "Step of Adam alone, in units of the pixel range [0, 1].",
        gt=0,
        le=1,
    )
    epochs: int = knob(
        10,
        Roles(Group.OPTIMISATION, Affects.DESCENT, usual=True),
        "Epochs: a picture is reported after each.",
        ge=1,
        le=10000,
    )
    steps_per_epoch: int = knob(
        14, Roles(Group.OPTIMISATION, Affects.DESCENT), "Optimisation steps in an epoch.", ge=1, le=100000
    )
    scales: Annotated[Annotated[int, Ge(1), Le(12)] | Literal["auto"], BeforeValidator(Scales)] = knob(
        "auto",
        Roles(Group.OPTIMISATION, Affects.DESCENT),
        "Number of sizes from coarse to fine, each twice the last; 1 switches it off.",
    )
    step_ratio: float = knob(
        0.75,
        Roles(Group.OPTIMISATION, Affects.DESCENT, former=(0.6,)),
        "Steps at a scale relative to the next coarser one: higher gives the finer scales more of them.",
        ge=0.05,
        le=20,
    )
    detail: Annotated[
        Annotated[float, Ge(0), Le(1)] | Literal["auto"], BeforeValidator(values.auto_or_between(0, 1))
    ] = knob(
        "auto",
        Roles(Group.OPTIMISATION, Affects.DESCENT, in_texture="auto"),
        "How much of the photo's fine detail the canvas gets back where a scale enlarges it, from 0 to 1; 'auto' is "
        "what `strength` leaves of the photo.",
    )
    negligible: float = knob(
        0.0,
        Roles(Group.OPTIMISATION, Affects.DESCENT, in_texture=0.0),
        "Leave out the deepest layers while they hold less than this share of the loss: faster, not exact.",
        ge=0,
        le=0.5,
    )
    stop_gain: float = knob(
        0.0,
        Roles(Group.OPTIMISATION, Affects.DESCENT),
        "End a scale when the best of ten steps gained less than this share of the loss a step on the best of the ten "
        "before; 0 takes all steps.",
        ge=0,
        le=0.5,
    )
    until: float = knob(
        0.0,
        Roles(Group.OPTIMISATION, Affects.DESCENT),
        "Seconds that a run may take: it has as many steps, at each scale, as get done by then, at most those of its "
        "`epochs`; 0 sets no limit.",
        ge=0,
        le=1e9,
    )
    init: str = knob(
        "content",
        Roles(Group.PICTURE, Affects.DESCENT, file_words=INITS, in_texture="style"),
        "Start from 'content', 'noise', noise in the colours of the 'style' or exactly the photo's ('histogram'), or "
        "an image file.",
        min_length=1,
    )
    init_noise: float = knob(
        0.0,
        Roles(Group.PICTURE, in_texture=0.0),
        "Share of white noise that is mixed into the start.",
        ge=0,
        le=1,
    )
    seed: int = knob(0, Roles(Group.PICTURE), "Seed of every random number in the run.", ge=0, lt=2**63)
    device: Annotated[str, AfterValidator(values.device)] = knob(
        "auto", Roles(Group.NETWORK, Affects.NETWORK, settled=True), "auto, cpu, cuda, cuda:N or mps."
    )
    engine: EngineName = knob(
        EngineName.AUTO,
        Roles(Group.NETWORK, Affects.NETWORK, settled=True),
        "What runs the network: torch, native (twice as fast, CPU only), or the faster one there is.",
    )
    threads: Annotated[Annotated[int, Ge(1), Le(values.MOST_THREADS)] | Literal["auto"], BeforeValidator(Threads)] = (
        knob(
            "auto",
            Roles(Group.NETWORK, Affects.NETWORK, settled=True),
            "Most threads that compute; 'auto' is one for each core. The native engine leaves out cores that other "
            "programs keep busy; with the torch engine a picture's last bits may depend on it.",
        )
    )
    precision: Precision = knob(
        Precision.AUTO,
        Roles(Group.NETWORK, Affects.NETWORK, settled=True),
        "What convolutions multiply in: float32, the coarser 'tf32' (CUDA) or 'bfloat16', or 'auto': bfloat16 where "
        "this processor is the faster for it, by a trial.",
    )
    compile: bool = knob(
        False,
        Roles(Group.NETWORK, Affects.NETWORK),
        "Compile the torch engine's network before the run (torch.compile): for long runs on CUDA.",
    )
    max_memory: Annotated[str, AfterValidator(values.memory)] = knob(
        "auto",
        Roles(Group.MEMORY, Affects.RESOURCES),
        "Most memory to take, such as 3GB; 'auto' adds 70 % of what is free to what is held already.",
    )
    scratch: str = knob(
        "auto",
        Roles(Group.MEMORY, Affects.RESOURCES, folder=True),
        "Folder for files of canvases that don't fit into memory; 'auto' takes the system's temporary one.",
        min_length=1,
    )
    tile: Annotated[int | Literal["auto"], BeforeValidator(Tile)] = knob(
        "auto",
        Roles(Group.MEMORY, settled=True),
        "Side of the tiles that the network sees, in pixels; 0 shows it all at once.",
    )
    history: Annotated[Annotated[int, Ge(1), Le(200)] | Literal["auto"], BeforeValidator(History)] = knob(
        "auto",
        Roles(Group.MEMORY, Affects.DESCENT, settled=True),
        "Steps that L-BFGS remembers: each takes the memory of two canvases.",
    )
    keep_exif: bool = knob(
        False,
        Roles(Group.PICTURE, Affects.RESOURCES, carried=True, in_texture=False, in_reconstruction=False),
        "Let the picture carry what the camera noted in the photo: exposure, lens, date, author; never where.",
    )
    keep_gps: bool = knob(
        False,
        Roles(Group.PICTURE, Affects.RESOURCES, carried=True, in_texture=False, in_reconstruction=False),
        "Let the picture carry the place that the camera noted in the photo.",
    )
    max_pixels: int = knob(
        100_000_000,
        Roles(Group.PICTURE, Affects.RESOURCES),
        "Refuse input pictures with more pixels than this.",
        ge=1,
        le=10_000_000_000,
    )

    def __init__(self, **knobs: Unpack[Knobs]) -> None:
        try:
            super().__init__(**knobs)
        except ValidationError as error:
            raise values.as_settings_error(error, type(self).model_fields) from None

    @model_validator(mode="before")
    @classmethod
    def _by_objective(cls, knobs: dict[str, Any]) -> dict[str, Any]:
        """The knobs that aren't given are the paper's where the objective is."""
        if knobs.get("objective", NORMALIZED) not in (ObjectiveName.GATYS, ObjectiveName.NOTEBOOK):
            return knobs
        theirs = {knob: roles_of(field).in_gatys for knob, field in cls.model_fields.items()}
        return {knob: value for knob, value in theirs.items() if value != UNTOUCHED} | knobs

    @model_validator(mode="after")
    def _no_conflicts(self) -> Settings:
        conflicts.check(self)
        return self

    @property
    def normalized(self) -> bool:
        """Whether losses are divided by what they measure on the pair of images."""
        return self.objective is ObjectiveName.NORMALIZED

    @property
    def layers(self) -> tuple[str, ...]:
        """The content layers, then the style layers."""
        return (*self.content_layers, *self.style_layers)

    @property
    def style_factor(self) -> float:
        """`style_scale` as a number; it has to be settled, see `jobs.style_scale`."""
        assert self.style_scale != "auto", "a job settles it before it plans"
        return float(self.style_scale)

    @property
    def longest_side(self) -> int | None:
        """`size` in pixels, None for 'original'."""
        return values.longest_side(self.size)

    @property
    def dpi(self) -> float | None:
        """The resolution that `size` tells, in pixels an inch, None where it tells none."""
        return values.dpi_of(self.size)

    @property
    def max_memory_bytes(self) -> int | None:
        """`max_memory` in bytes, None for 'auto'."""
        return values.bytes_of(self.max_memory)

    @property
    def has_strength_map(self) -> bool:
        """Whether a picture shares the strength out."""
        return self.strength_map != EVERYWHERE

    @property
    def has_local_strength(self) -> bool:
        """Whether strength may be another one at each place."""
        return self.has_strength_map or self.guard is not Guard.NONE

    @property
    def init_is_image(self) -> bool:
        """Whether the run starts from an image file rather than from the photo or from noise."""
        return self.init not in INITS
