"""What a run tells Python's logging, and that it is silent unless somebody listens."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
import torch

from helpers import smooth_image, tiny_weights
from impasto import Settings, Stylization, stylize
from impasto.jobs.logged import LOGGER, log_event
from impasto.network import weights
from impasto.run.events import Restarted, Stepped

TINY: Any = {
    "size": 48, "epochs": 1, "steps_per_epoch": 3, "scales": 1, "device": "cpu", "style_layers": ("relu1_1",),
    "content_layers": ("relu2_2",),
}  # fmt: skip
PHOTO, BRUSH = (smooth_image(36, 48, seed=seed).float() for seed in range(2))


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))


def test_a_run_tells_its_steps_at_debug_and_where_it_is_at_info(caplog):
    caplog.set_level(logging.DEBUG, "impasto")
    job = Stylization(PHOTO, [BRUSH], Settings(**TINY))
    for event in job.events():
        if isinstance(event, Stepped) and event.step == 1:
            job.change(strength=0.7)
    told = {level: [r.getMessage() for r in caplog.records if r.levelno == level] for level in (10, 20, 30)}
    assert len(told[logging.DEBUG]) == 3
    assert [message.split()[0] for message in told[logging.INFO]] == ["painting", "from", "scale", "finished"]
    assert "48×36 px on cpu: 3 steps at 1 scales" in told[logging.INFO][0]
    assert "{'strength': 0.7}" in told[logging.INFO][1]
    assert told[logging.WARNING] == []


def test_a_step_that_was_not_finite_is_told_as_a_warning(caplog):
    log_event(Restarted(7, 1, 3))
    ((_, level, message),) = caplog.record_tuples
    assert level == logging.WARNING
    assert "step 7" in message


def test_nothing_is_printed_where_nobody_listens():
    assert [type(handler) for handler in LOGGER.handlers] == [logging.NullHandler]
    code = "from impasto.jobs.logged import log_event; from impasto.run.events import Restarted\n"
    code += "log_event(Restarted(1, 1, 3))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (told.stdout, told.stderr) == ("", "")


def test_the_picture_is_the_same_whoever_listens(caplog):
    before = stylize(PHOTO, BRUSH, **TINY).tobytes()
    caplog.set_level(logging.DEBUG, "impasto")
    assert stylize(PHOTO, BRUSH, **TINY).tobytes() == before
