"""Which settings a reconstruction has: one layer's content or some layers' style and nothing else, from noise."""

from __future__ import annotations

from typing import Any

from impasto.settings import roles

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The layers of the paper's figure."""

USUAL: dict[str, Any] = {"size": 256, "init": "noise", "scales": 1, "objective": "gatys", "pooling": "average"}
"""The paper's way (Gatys et al. 2015, figure 1), small; whatever is given beats it."""

OWN: dict[str, Any] = roles.set_by_reconstruction()
"""What each picture of the sheet sets itself, from this on."""
