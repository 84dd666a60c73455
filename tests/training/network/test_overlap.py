"""Step and loader work at the same time, with one worker, on every backend of Keras that is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_next_batch_is_made_while_a_step_is_computed(backend: str, tile_list: Path) -> None:
    """Proven by order: each step ends only when the batch after it has been made."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    places = [ROOT, ROOT / "tests" / "support", *(ROOT / name for name in ("cli", "quantize", "training"))]
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(map(str, places)),
    }
    command = [sys.executable, str(ROOT / "tests" / "support" / "overlapping.py"), str(tile_list)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"backend": backend, "overlapped": [True] * 17}
