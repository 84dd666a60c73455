"""The folder of a training run: new, or the one that a killed run of the same kind left behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from her2edge.errors import OutputError
from her2edge.files import write_bytes

MARK = ".her2edge-run"
# What may differ between the two processes of one run: numbers may then differ in their last digits.
_MAY_CHANGE = {"packages", "python", "system", "devices"}


def open_run_folder(out: str | Path, records: Mapping[str, bytes]) -> bool:
    """Make the folder of a run and put the records that say what is done in it; False.

    Where `out` holds a run that began with the same records and has not ended: nothing is written; True.
    Raises OutputError where `out` holds anything else, or cannot be made.
    """
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = sorted(item.name for item in out.iterdir())
    except OSError as error:
        raise OutputError(
            f"{out.name}: the run folder cannot be made ({error.strerror}); choose another --out"
        ) from error
    if taken and MARK not in taken:
        raise OutputError(
            f"{out.name}: the run folder is not empty (it holds {taken[0]}): a run never overwrites "
            "another; choose a new --out or remove the old run"
        )
    if "metrics.json" in taken:
        raise OutputError(f"{out.name}: found a finished run, expected a new folder: choose another --out")
    if taken and set(records) <= set(taken):
        _refuse_another(out, records)
        return True
    write_bytes(out / MARK, b"a training run of her2edge\n")
    for name, data in records.items():
        write_bytes(out / name, data)
    return False


def _refuse_another(out: Path, records: Mapping[str, bytes]) -> None:
    for name, data in records.items():
        if _essence(name, (out / name).read_bytes()) != _essence(name, data):
            raise OutputError(
                f"{out.name}: found an unfinished run with another {name}, expected the same recipe, tiles "
                "and start: repeat its command to go on, or choose a new --out"
            )


def _essence(name: str, data: bytes) -> object:
    if name != "environment.json":
        return data
    try:
        record = msgspec.json.decode(data, type=dict[str, object])
    except msgspec.DecodeError:
        return data
    return {key: value for key, value in record.items() if key not in _MAY_CHANGE}
