"""Knobs that contradict each other, or that would change nothing beside another one: refused, never rewritten."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from impasto.errors import SettingsError
from impasto.settings.choices import EngineName, OptimizerName, Precision
from impasto.settings.knob import default_of, roles_of
from impasto.settings.values import STOP_WINDOW

if TYPE_CHECKING:
    from impasto.settings.settings import Settings

DROP_ONE = "drop one"


def check(settings: Settings) -> None:
    """Raise `SettingsError` for the first conflict there is."""
    for find in (_miscounted, _impossible_on_engine, _contradicting, _idle):
        for conflict in find(settings):
            raise conflict


def check_given(settings: Settings, given: Collection[str]) -> None:
    """Raise `SettingsError` where a knob that somebody gave would do nothing, be it what it is by default."""
    for conflict in _idle(settings, given):
        raise conflict


def idle(settings: Settings, knobs: Collection[str]) -> list[str]:
    """Those of the knobs that would do nothing beside settings, whatever they were."""
    return [knob for knob in knobs if any(True for _ in _idle(settings, (knob,)))]


def _miscounted(settings: Settings) -> Iterator[SettingsError]:
    """Layer weights that aren't as many as the layers."""
    for weights, layers in (("layer_weights", "style_layers"), ("content_layer_weights", "content_layers")):
        given, wanted = len(value := getattr(settings, weights)), len(getattr(settings, layers))
        if given and given != wanted:
            yield _conflict(weights, value, f"has {given} values for {wanted} `{layers}`", "give one each")


def _impossible_on_engine(settings: Settings) -> Iterator[SettingsError]:
    """What an engine or a device doesn't have."""
    device = f"but `device` is {settings.device!r}"
    if settings.engine is EngineName.NATIVE:
        if settings.device not in ("auto", "cpu"):
            yield _conflict("engine", settings.engine, f"is 'native', which runs on the CPU, {device}")
        if settings.precision is Precision.TF32 or settings.compile:
            other = "`compile`" if settings.compile else f"`precision` {settings.precision.value}"
            fault = f"is 'native', which computes in float32 or bfloat16 as it is, but {other} is set"
            yield _conflict("engine", settings.engine, fault)
    if settings.precision is Precision.TF32 and not settings.device.startswith(("cuda", "auto")):
        yield _conflict("precision", settings.precision, f"is 'tf32', which only CUDA has, {device}")


def _contradicting(settings: Settings) -> Iterator[SettingsError]:
    """What would leave nothing to paint by, or says two things."""
    if settings.init == "noise" and settings.init_noise:
        yield _conflict("init", settings.init, f"is 'noise' already, but `init_noise` is {settings.init_noise:g}")
    if not settings.layers:
        yield _conflict("content_layers", (), "and `style_layers` are both empty", "name at least one layer")
    if not settings.style_loss.additive and settings.tile not in ("auto", 0):
        loss = settings.style_loss.value
        fault = f"is {loss!r}, which has to see the picture whole, but `tile` is {settings.tile}"
        yield _conflict("style_loss", loss, fault)
    if settings.mask.count("rest") > 1 or settings.mask == ("rest",):
        cure = "give a picture for each other style"
        yield _conflict("mask", settings.mask, "says 'rest' for every style or twice", cure)
    if settings.style_weights and sum(settings.style_weights) == 0:
        cure = "give at least one style a positive weight"
        yield _conflict("style_weights", settings.style_weights, "are all 0", cure)
    if settings.stop_gain and (steps := settings.epochs * settings.steps_per_epoch) <= 2 * STOP_WINDOW:
        fault = f"compares {2 * STOP_WINDOW} steps after a first one, but the run has {steps}"
        yield _conflict("stop_gain", settings.stop_gain, fault, "use more steps or leave it out")


def _idle(settings: Settings, given: Collection[str] = ()) -> Iterator[SettingsError]:
    """Whatever is set and would change nothing, named beside the knob that makes it idle."""
    fields, s = type(settings).model_fields, settings
    other_objectives = [
        (knob, "objective", wanted is not None and s.objective is not wanted, "the paper's losses")
        for knob, field in fields.items()
        for wanted in [roles_of(field).objective]
    ]
    for knob, by, idle, why in (
        *other_objectives,
        ("learning_rate", "optimizer", s.optimizer is not OptimizerName.ADAM, "which finds its steps itself"),
        ("history", "optimizer", s.optimizer is not OptimizerName.LBFGS, "which remembers no steps"),
        *((knob, "scales", s.scales == 1, "so there is no coarser one") for knob in ("step_ratio", "detail")),
        ("negligible", "style_loss", s.style_loss.joint, "which takes its layers together"),
        ("negligible", "content_loss", s.content_loss.joint, "which takes its layers together"),
        ("strength_map", "strength", s.strength == 0, "so there is none to share out"),
        ("guard", "strength", s.strength == 0, "which keeps all of the photo"),
        ("mask_erosion", "style_loss", s.style_loss.joint, "which looks at places within the mask"),
    ):
        value = getattr(s, knob)
        if idle and (value != default_of(fields[knob], s.objective) or knob in given):
            name = getattr(s, by)
            shown = f"{name:g}" if isinstance(name, int | float) else repr(name.value)
            yield _conflict(by, name, f"is {shown}, {why}, but `{knob}` is {value}")


def _conflict(knob: str, value: Any, fault: str, cure: str = DROP_ONE) -> SettingsError:
    """The error of a knob; `fault` is a clause of which it is the subject."""
    return SettingsError(f"`{knob}` {fault}", cure, knob=knob, value=value)
