"""The table of what `make test-aarch64` compared: an emulated ARM board beside this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from speed import where

from her2edge.tables import markdown


def aarch64(found: dict[str, Any]) -> Iterator[str]:
    """Each check with its figures."""
    debian, packages = found["debian"], found["doctor"]["packages"]
    python = found["doctor"]["python"]
    named = ", ".join(f"{name} {packages[name]}" for name in ("ai-edge-litert", "numpy", "numba"))
    student, taught = found["student"], ""
    if student["minutes"] is not None:
        taught = f"; the student was taught for {student['minutes']} minutes and knows next to nothing"
    yield (
        f"qemu {found['qemu']}, {found['cpu']}, Debian {debian['suite']}, Python {python}, "
        f"{named}; beside {where(found)}; {found['stain']['real']} of the stain tiles are real{taught}:"
    )
    yield ""
    rows = [(one["name"], one["found"], "yes" if one["holds"] else "no") for one in found["checks"]]
    yield from markdown(("compared", "found", "as wanted"), rows)
