"""The folder of a training run."""

from __future__ import annotations

from pathlib import Path

from her2edge.errors import OutputError
from her2edge.files import write_bytes


def new_run_folder(out: str | Path) -> Path:
    """Make the folder of a run; raises OutputError where it holds anything or cannot be made."""
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = next(out.iterdir(), None)
    except OSError as error:
        raise OutputError(
            f"{out.name}: the run folder cannot be made ({error.strerror}); choose another --out"
        ) from error
    if taken is not None:
        raise OutputError(
            f"{out.name}: the run folder is not empty (it holds {taken.name}): a run never overwrites "
            "another; choose a new --out or remove the old run"
        )
    write_bytes(out / ".her2edge-run", b"a training run of her2edge\n")
    return out
