"""Real images for tests: shared/data beside the checkout. Tests skip, with a reason, where it is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
SUPPORT = TESTS / "support"
ROOT = TESTS.parent
SHARED = ROOT.parent / "shared" / "data"


def needs(*relative: str) -> pytest.MarkDecorator:
    """Skip unless all these files or folders are there, e.g. `needs("wsi/cmu-1-small-region.svs")`."""
    missing = [name for name in relative if not (SHARED / name).exists()]
    return pytest.mark.skipif(bool(missing), reason=f"shared/data lacks {', '.join(missing)}")
