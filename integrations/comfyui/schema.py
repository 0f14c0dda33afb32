"""Node inputs made of the settings' own declarations: what is added there appears in ComfyUI."""

from __future__ import annotations

from typing import Any

from comfy_api.v0_0_2 import io

from impasto import Settings
from impasto.settings import presets, roles
from impasto.studio.schema import KnobForm, settings_form

FORMS: dict[str, KnobForm] = {form.name: form for form in settings_form().knobs}
NO_PRESET = "none"
SEED_LIMIT = 2**63 - 1
LARGEST = {"integer": 2**31 - 1, "number": 1e12}
"""The bound of a widget whose setting has none; ComfyUI's own is 2048."""

SAVED_ORDER = (
    "objective", "content_weight", "style_weight", "style_weights", "content_layers", "style_layers",
    "content_layer_weights", "layer_weights", "style_loss", "content_loss", "style_scale", "guard", "mask_erosion",
    "tv_weight", "pooling", "padding", "optimizer", "learning_rate", "epochs", "steps_per_epoch", "scales",
    "step_ratio", "detail", "negligible", "stop_gain", "until", "init_noise", "device", "engine", "threads",
    "precision", "compile", "max_memory", "tile", "history", "max_pixels",
)  # fmt: skip
"""The widgets of the node for all other settings. A saved workflow has its widgets' values by their places alone, so
that a new setting comes last, none is moved, and one that impasto has no more keeps its place here.
"""


def widget(name: str, *, words: bool = True, **more: Any) -> Any:
    """The input for a setting, as its type, range, default and help say; without its `words` it is a number alone."""
    form = FORMS[name]
    about: dict[str, Any] = {"display_name": form.label, "tooltip": form.help, "default": form.default} | more
    match form.kind:
        case "boolean":
            return io.Boolean.Input(name, **about)
        case "choice":
            return io.Combo.Input(name, options=[choice.value for choice in form.choices or ()], **about)
        case "number" | "integer" if not words or not (form.words or form.free):
            low = form.minimum if form.minimum is not None else -LARGEST[form.kind]
            high = form.maximum if form.maximum is not None else LARGEST[form.kind]
            if form.kind == "integer":
                return io.Int.Input(name, min=int(low), max=int(high), **about)
            return io.Float.Input(name, min=low, max=high, step=0.001 if high - low <= 1 else 0.01, **about)
        case _:
            return io.String.Input(name, **about | {"default": as_text(form.default)})


def as_text(value: Any) -> str:
    """A value as a widget for text has it: a list with commas."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def value_of(name: str, given: Any) -> Any:
    """What a widget's value is to the settings."""
    form = FORMS[name]
    if not isinstance(given, str) or form.kind == "choice":
        return given
    if form.kind in ("numbers", "texts"):
        parts = [part.strip() for part in given.split(",") if part.strip()]
        return [number(part) for part in parts] if form.kind == "numbers" else parts
    return number(given.strip()) if form.kind in ("number", "integer") else given.strip()


def number(text: str) -> float | int | str:
    """A number where it is one; the settings say what is wrong with other texts."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def changed(given: dict[str, Any]) -> dict[str, Any]:
    """The settings among a node's inputs that aren't at their defaults: the others are left to the preset."""
    found = {name: value_of(name, value) for name, value in given.items()}
    return {name: value for name, value in found.items() if not _is_default(name, value)}


def _is_default(name: str, value: Any) -> bool:
    default = FORMS[name].default
    return list(value) == list(default) if isinstance(value, list | tuple) else value == default


def preset_input() -> Any:
    """The list of presets, impasto's and the user's own."""
    return io.Combo.Input(
        "preset", options=[NO_PRESET, *presets.paths()], default=NO_PRESET, display_name="Preset",
        tooltip="Settings by a name; what is left at its default here is the preset's.",
    )  # fmt: skip


def seed_input() -> Any:
    """The seed, which the page may change after each run."""
    return io.Int.Input(
        "seed", default=0, min=0, max=SEED_LIMIT, control_after_generate=True, display_name="Seed",
        tooltip=FORMS["seed"].help,
    )  # fmt: skip


def settings_of(preset: str, advanced: dict[str, Any] | None, given: dict[str, Any]) -> Settings:
    """The settings of a node: its own inputs over the advanced ones over the preset; raises `SettingsError`."""
    named = {} if preset == NO_PRESET else dict(presets.load(preset).knobs)
    return Settings(**roles.without_former(named | (advanced or {}) | given))


def advanced_inputs(elsewhere: set[str]) -> list[Any]:
    """The widgets for all other settings, in the order in which workflows have saved them; what is a setting of this
    node no more is an idle text in its place.
    """
    now = advanced_names(elsewhere)
    saved = [widget(name) if name in now else _idle(name) for name in SAVED_ORDER]
    return saved + [widget(name) for name in now if name not in SAVED_ORDER]


def _idle(name: str) -> Any:
    return io.String.Input(name, default="", display_name=f"{name} (idle)", tooltip="Impasto has it no more.")


def advanced_names(elsewhere: set[str]) -> list[str]:
    """The settings of the node for all others: no pictures, nothing that files carry, and of those `elsewhere` only
    what may be a word too.
    """
    left_out = {name for name in elsewhere if not FORMS[name].words or FORMS[name].free} | set(roles.carried())
    return [name for name, form in FORMS.items() if not form.images and name not in left_out]
