import json
import subprocess
import sys

import pytest

from impasto import memory
from impasto.errors import SettingsError
from impasto.memory import MEGABYTE, estimate, make_plan
from impasto.settings import Settings

GIGABYTE = 1000 * MEGABYTE


def plan(size=(3072, 4096), engine="native", resident=400 * MEGABYTE, free=12 * GIGABYTE, **knobs):
    return make_plan(Settings(size=max(size), **knobs), size, engine=engine, resident=resident, free=free)


def test_a_picture_that_fits_is_seen_whole_with_the_longest_history():
    found = plan((384, 512))
    assert (found.tile, found.history) == (None, memory.HISTORIES[0])


def test_less_memory_first_shortens_the_history_and_then_cuts_tiles():
    sides = [plan(max_memory=f"{gigabytes}GB") for gigabytes in (60, 8, 6, 4.5)]
    assert sides[0].tile is None
    assert sides[0].history >= sides[1].history >= sides[-1].history
    assert sides[1].tile is not None
    assert sides[-1].tile is not None
    assert sides[-1].tile < sides[1].tile
    assert all(found.peak <= found.budget for found in sides)


def test_the_default_budget_is_what_is_held_and_70_percent_of_what_is_free():
    assert plan((384, 512), resident=1000, free=10 * GIGABYTE).budget == 1000 + 7 * GIGABYTE


def test_what_the_user_fixes_is_kept():
    found = plan((384, 512), tile=128, history=4)
    assert (found.tile, found.history) == (128, 4)
    assert plan((384, 512), tile=0).tile is None


def test_a_budget_that_nothing_fits_in_is_refused_with_the_least_that_would_do():
    with pytest.raises(
        SettingsError, match=r"--size is 4096, which takes at least [\d,]+ MB, but the budget is 500 MB"
    ):
        plan(max_memory="500MB")


def test_optimizers_without_a_history_are_not_charged_for_one():
    size = (2000, 2000)
    assert plan(size, optimizer="adam").history == 0
    costs = {h: estimate(Settings(), size, 256, h, "native") for h in (3, 13)}
    assert costs[13] - costs[3] == 10 * 2 * 12 * 2000 * 2000


def test_shallower_layers_take_less():
    deep = estimate(Settings(), (1000, 1000), None, 5, "torch")
    shallow = Settings(content_layers=("relu2_2",), style_layers=("relu1_1", "relu2_1"))
    assert estimate(shallow, (1000, 1000), None, 5, "torch") < 0.75 * deep


def test_free_memory_respects_the_limit_of_a_control_group(tmp_path, monkeypatch):
    (tmp_path / "max").write_text("3000000\n")
    (tmp_path / "current").write_text("1000000\n")
    monkeypatch.setattr(memory, "CONTROL_GROUPS", ((tmp_path / "max", tmp_path / "current"),))
    assert memory.free_memory() == 2_000_000
    (tmp_path / "max").write_text("max\n")
    assert memory.free_memory() > 10 * MEGABYTE


MEASURE = """
import json, resource, sys
import numpy as np
from impasto.painting import Painting
from impasto.settings import Settings
from impasto.events import Started
size, tile, engine = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
blocks = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
photo = np.kron(blocks, np.ones((size // 32, size // 32, 1), np.uint8))
settings = Settings(size=size, tile=tile, engine=engine, scales=1, epochs=1, steps_per_epoch=2)
started, *_ = Painting(photo, [photo[::-1].copy()], settings).events()
print(json.dumps([started.peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("size", "tile"), [(512, 0), (768, 0), (768, 256), (1024, 192)])
@pytest.mark.parametrize("engine", ["torch", "native"])
def test_the_predicted_peak_is_within_20_percent_of_the_measured_one(size, tile, engine):
    if engine == "native":
        pytest.importorskip("impasto.engines.native_library")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(size), str(tile), engine], capture_output=True, text=True, check=True
    )
    predicted, measured = json.loads(done.stdout)
    assert predicted == pytest.approx(measured, rel=0.2)
