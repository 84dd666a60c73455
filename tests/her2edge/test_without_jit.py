"""Stain, slide and quality say the same where Numba compiles nothing: loops do what they say in Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.slow
def test_the_tests_of_stain_slide_and_quality_pass_without_the_jit():
    """Small arrays only: real images, and what takes half a minute so, are left out (shared_data.py).

    The cache of compiled kernels and the process that decodes have nothing that could differ, and the
    slides of the test of glass take plain Python twenty minutes.
    """
    rooms = [str(HERE / "stain"), str(HERE / "slide"), str(HERE / "quality")]
    left_out = [
        f"--ignore={HERE / name}"
        for name in ("stain/test_jit.py", "slide/test_isolate.py", "slide/test_glass.py")
    ]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *left_out, *rooms],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    assert "passed" in run.stdout
