"""The settings of a film's frame that starts from the painted one before it."""

from __future__ import annotations

from typing import Any

from impasto.settings.settings import Settings


def following_settings(settings: Settings, steps: int) -> Settings:
    """Those of a frame that starts from another one: so many steps, all of them at the final size."""
    usual = ("step_ratio", "detail", "init", "init_noise")
    own: dict[str, Any] = {"scales": 1} | {knob: Settings.model_fields[knob].default for knob in usual}
    limits: dict[str, Any] = {"epochs": 1, "steps_per_epoch": steps, "until": 0.0, "stop_gain": 0.0}
    return settings.model_copy(update=own | limits)
