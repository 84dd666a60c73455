"""Files that appear whole or not at all: written beside their place, synced, then moved into it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from her2edge.errors import OutputError


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path of the same suffix, then put the file in the place of `path`.

    Raises OutputError, and leaves a former file as it was, where the disk does not take it.
    """
    temporary = path.with_name(f"tmp-{path.name}")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written: {error}; free space or choose another folder"
        ) from error


def write_bytes(path: Path, data: bytes) -> None:
    """`write_whole` for bytes at hand."""
    write_whole(path, lambda temporary: temporary.write_bytes(data))


def new_run_folder(out: str | Path) -> Path:
    """Make the folder of a run; raises OutputError where it holds anything or cannot be made."""
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = next(out.iterdir(), None)
    except OSError as error:
        raise OutputError(f"the run folder {out} cannot be made: {error}; choose another --out") from error
    if taken is not None:
        raise OutputError(
            f"the run folder {out} is not empty (it holds {taken.name}): a run never overwrites another; "
            "choose a new --out or remove the old run"
        )
    write_bytes(out / ".her2edge-run", b"a training run of her2edge\n")
    return out
