"""How torch is imported in a process of impasto's own."""

import subprocess
import sys

import pytest

CODE = """
import gc, sys
from impasto.storage.process import owned
collections = []
gc.callbacks.append(lambda phase, info: collections.append(phase))
with owned():
    finders = len(sys.meta_path)
    collections.clear()
    {first}
    import torch
    counted = len(collections)
assert len(sys.meta_path) == finders - 1
assert gc.isenabled() is {collecting} and type(torch.__loader__).__name__ == "SourceFileLoader"
assert torch.__spec__.loader is torch.__loader__
print(counted, gc.get_freeze_count() > 100_000)
"""


def told(first: str = "pass", collecting: bool = True) -> str:
    code = CODE.format(first=first, collecting=collecting)
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_torch_is_imported_without_a_collection_and_is_not_looked_at_by_later_ones():
    assert told() == "0 True"


def test_a_process_that_collects_no_garbage_is_left_as_it_is():
    assert told("gc.disable()", collecting=False) == "0 True"


@pytest.mark.slow
def test_elsewhere_torch_is_imported_as_usual():
    code = "import gc, torch, impasto.jobs.stylization; print(gc.get_freeze_count())"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "0"
