"""What goes over the wire: requests and answers of /api/v1, as OpenAPI describes them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from impasto.jobs.video.options import FilmOptions
from impasto.studio.films.models import FilmFacts, FilmProgress, PlannedFilm

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{10,40}$")]
"""An image's, a job's or a group's; nobody can guess one."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
Role = Literal["content", "style", "mask", "any"]
MOST_IMAGES = 200
"""Of one batch."""
MOST_STYLES = 8
MOST_VALUES = 25
"""Of a knob that varies; a sheet has at most the square of it."""


class State(StrEnum):
    """What a job is doing: `stopped` ended by hand with its picture so far, `cancelled` without."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (State.DONE, State.STOPPED, State.FAILED, State.CANCELLED)


class Wire(BaseModel):
    """Requests take nothing that isn't declared, and no number that isn't finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Problem(BaseModel):
    """One thing that is wrong, as a sentence and in its parts."""

    message: str
    fault: str = ""
    cure: str = ""
    knob: str | None = None


class Problems(BaseModel):
    """Why a request was refused."""

    errors: list[Problem]


class RecipeInput(BaseModel):
    """An image that a painted picture was made of; `image` is its id where this studio has it."""

    name: str
    image: str | None = None
    swatch: str | None = None


class FoundRecipe(BaseModel):
    """The settings and inputs of a painted picture that was dropped back."""

    settings: dict[str, Any]
    content: RecipeInput
    styles: list[RecipeInput]
    masks: list[RecipeInput | None]
    style_masks: list[RecipeInput | None]
    strength_map: RecipeInput | None
    init: RecipeInput | None


class Image(BaseModel):
    """An uploaded picture: pixels upright, bytes as they came. Of a `film` what is shown is its first frame."""

    id: str
    name: str
    role: str
    width: int
    height: int
    bytes: int
    sha256: str
    added: str
    shelf: bool
    thumbnail: str
    view: str
    file: str
    recipe: FoundRecipe | None = None
    film: FilmFacts | None = None


class ImageChange(Wire):
    """A new name, or on the shelf or off it."""

    name: Name | None = None
    shelf: bool | None = None


class StyleRef(Wire):
    """A style: an uploaded image or a bundled swatch."""

    image: Id | None = None
    swatch: Annotated[str, Field(max_length=40)] | None = None

    @model_validator(mode="after")
    def _one(self) -> StyleRef:
        if (self.image is None) == (self.swatch is None):
            raise ValueError("a style is an image or a swatch, one of them")
        return self


Knobs = dict[Annotated[str, Field(max_length=60)], Any]


class JobRequest(Wire):
    """A picture to be painted, or several: one of each content and of each combination of what varies.

    Its styles share each picture, unless `each_style` has pictures of its own. `title` is the picture's or the group's.
    `film` is for those of the contents that are films; a `quick` look at one paints its first frame alone.
    """

    contents: Annotated[list[Id], Field(min_length=1, max_length=MOST_IMAGES)]
    styles: Annotated[list[StyleRef], Field(min_length=1, max_length=MOST_STYLES)]
    preset: Annotated[str, Field(max_length=60)] | None = None
    settings: Knobs = {}
    masks: Annotated[list[Id | None], Field(max_length=MOST_STYLES)] = []
    style_masks: Annotated[list[Id | None], Field(max_length=MOST_STYLES)] = []
    strength_map: Id | None = None
    init: Id | None = None
    vary: Annotated[
        dict[str, Annotated[list[Any], Field(min_length=1, max_length=MOST_VALUES)]], Field(max_length=2)
    ] = {}
    quick: bool = False
    each_style: bool = False
    title: Name | None = None
    film: FilmOptions | None = None


class JobSpec(Wire):
    """What one job paints: a request with one content and one value for each knob."""

    content: Id
    styles: list[StyleRef]
    preset: str | None = None
    settings: Knobs = {}
    masks: list[Id | None] = []
    style_masks: list[Id | None] = []
    strength_map: Id | None = None
    init: Id | None = None
    film: FilmOptions | None = None


class Input(BaseModel):
    """An input of a job as a page shows it."""

    image: str | None = None
    swatch: str | None = None
    name: str
    thumbnail: str


class Progress(BaseModel):
    """How far a run is; `steps` are at most so many, and `share` is the part of its work that is behind it.

    A step of a film is a frame, which has no loss of its own; seconds are left once it has a pace.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    scale: int
    scales: int
    loss: float
    seconds: float
    seconds_left: float | None
    width: int
    height: int
    share: float = 0.0
    film: FilmProgress | None = None


class Job(BaseModel):
    """A job as anybody may see it; `seq` grows with each change of any job.

    `settings` are those that were given beside the preset; `scheduled` are the knobs that may change while it runs, as
    they are now, whoever set them. `place` is which of its group it is, from 0, and `planned` the seconds that it was
    planned to take, where it is one of a group. What has a `film` paints its content frame by frame, by these options;
    its picture is the first frame.
    """

    id: str
    seq: int = 0
    group: str | None = None
    group_title: str | None = None
    place: int = 0
    planned: float | None = None
    title: str
    state: State = State.QUEUED
    created: str
    started: str | None = None
    ended: str | None = None
    position: float = 0.0
    content: Input
    styles: list[Input]
    preset: str | None = None
    settings: dict[str, Any]
    scheduled: dict[str, Any] = {}
    masks: list[str | None] = []
    style_masks: list[str | None] = []
    strength_map: str | None = None
    init: str | None = None
    labels: dict[str, str] = {}
    quick: bool = False
    progress: Progress | None = None
    preview: int = 0
    width: int | None = None
    height: int | None = None
    bytes: int = 0
    error: Problem | None = None
    notes: list[str] = []
    pinned: bool = False
    deleted: bool = False
    has_picture: bool = False
    film: FilmOptions | None = None


class Jobs(BaseModel):
    """A page of jobs, and where the next one begins."""

    jobs: list[Job]
    next: int | None = None


class Created(BaseModel):
    """The jobs of a request, and their group where they are several."""

    jobs: list[Job]
    group: str | None = None


class Group(BaseModel):
    """The jobs of one request as one; `first` is the title of the first, `knobs` are those that vary.

    `seq` is the number of the last change of any job: of two answers the one with the larger is the newer. `share` is
    the part of the planned work that is behind it, what was cancelled left out.
    """

    id: str
    seq: int
    title: str | None
    first: str
    photos: int
    styles: int
    knobs: list[str]
    pictures: int
    done: int
    failed: int
    cancelled: int
    running: int
    paused: int
    waiting: int
    share: float
    seconds_left: float | None


class GroupChange(Wire):
    """A place in the queue: before another job, or last (null)."""

    before: Id | None


class JobChange(Wire):
    """Knobs to change while it runs, a title, a pin, or a place in the queue: before another job, or last (null)."""

    settings: Knobs | None = None
    title: Name | None = None
    pinned: bool | None = None
    before: Id | None = None


class Enlarge(Wire):
    """The longest side of the larger picture, in pixels."""

    size: Annotated[int, Field(ge=16, le=65536)]


class Curve(BaseModel):
    """The loss of each step."""

    steps: list[int]
    loss: list[float]


class Checked(BaseModel):
    """What is wrong with settings, and all of them where nothing is."""

    errors: list[Problem]
    settings: dict[str, Any] | None = None


class CheckRequest(Wire):
    """Settings to be checked, for a job of so many styles."""

    preset: Annotated[str, Field(max_length=60)] | None = None
    settings: Knobs = {}
    styles: Annotated[int, Field(ge=0, le=MOST_STYLES)] = 1


class PresetForm(BaseModel):
    """A preset, and the knobs that it sets."""

    name: str
    description: str
    settings: dict[str, Any]


class SwatchForm(BaseModel):
    """A bundled style."""

    name: str
    title: str
    thumbnail: str


class PlannedScale(BaseModel):
    """A size that a run goes through."""

    width: int
    height: int
    steps: int


class Plan(BaseModel):
    """What a job would take; a film has no scales."""

    width: int
    height: int
    scales: list[PlannedScale]
    seconds: float
    peak_bytes: int
    budget_bytes: int
    disk_bytes: int
    tile: int | None
    engine: str
    style_scale: float
    film: PlannedFilm | None = None


class Health(BaseModel):
    """Whether the studio works."""

    status: Literal["ok"] = "ok"
    version: str
    worker: Literal["idle", "busy", "starting", "stopped"]
    queued: int


class Disk(BaseModel):
    """Bytes that the studio uses, that it may use, and that the disk has left."""

    used: int
    quota: int
    free: int


class Login(Wire):
    """The token that the studio was started with."""

    token: Annotated[str, Field(max_length=500)]


class Cancelled(BaseModel):
    """How many jobs were called off."""

    cancelled: int
