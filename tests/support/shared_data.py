"""Real images for tests: shared/data beside the checkout. Tests skip, with a reason, where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
SUPPORT = TESTS / "support"
ROOT = TESTS.parent
SHARED = ROOT.parent / "shared" / "data"
WITHOUT_JIT = os.environ.get("NUMBA_DISABLE_JIT") == "1"  # a real tile takes half a minute then

with_jit_only = pytest.mark.skipif(
    WITHOUT_JIT, reason="takes half a minute where kernels run as plain Python"
)


def needs(*relative: str) -> pytest.MarkDecorator:
    """Skip unless all these files or folders are there, e.g. `needs("wsi/cmu-1-small-region.svs")`.

    Also where kernels run as plain Python: those tests show what loops say, on small arrays.
    """
    if WITHOUT_JIT:
        return pytest.mark.skip(reason="real images are left out where kernels run as plain Python")
    missing = [name for name in relative if not (SHARED / name).exists()]
    return pytest.mark.skipif(bool(missing), reason=f"shared/data lacks {', '.join(missing)}")
