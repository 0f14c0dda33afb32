import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("kill.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
@pytest.mark.parametrize(
    "how",
    [
        ("--kills", "1", "--seed", "3"),
        pytest.param(("--kills", "100", "--seed", "1"), marks=pytest.mark.slow),
        pytest.param(("--kills", "12", "--seed", "2", "--real"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_run_killed_at_random_moments_ends_in_the_same_pictures_with_no_state_torn_and_no_file_left(how):
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, DRIVER, *how], env=alone, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stderr
    found = json.loads(run.stdout[run.stdout.index("{") :])
    assert found["faults"] == []
    assert found["kills"] >= int(how[1])
    assert found["states found whole"] >= found["kills"] / 4
    assert found["kills that hit a write"] >= 1
