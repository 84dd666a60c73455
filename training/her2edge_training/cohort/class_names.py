"""What the names of class folders stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from her2edge.errors import MissingInputError, SlideReadError, TileError
from her2edge.files import look
from her2edge.regions.classes import EXCLUDE, IGNORE, Table, key, label_of
from her2edge.results.scored import label_of_score
from her2edge.text import from_disk, shown
from her2edge_training.classes import check_table

_BARE = {"1", "2", "3"}  # the number of a class, or a score


def find_class_folders(
    data: Path, classes: Table, labels: tuple[str, ...], leave_out: Path | None
) -> dict[Path, str]:
    """The label of each folder in `data` that stands for one, in the order of `labels`.

    classes: (name of a folder, label) pairs; a name that is in none is read as a score is, but for a bare 1,
    2 or 3, which may be the number of a class. leave_out: a folder that is none of them.
    Raises OptionError for a table of other labels, MissingInputError where there is no class folder,
    TileError for unknown ones, all of them, SlideReadError where `data` cannot be listed.
    """
    check_table(classes, labels)
    table = label_of(classes)
    if look(data, "a folder of class folders", SlideReadError) != "folder":
        raise MissingInputError(
            f"{data.name}: found no such folder, expected one with a folder for each class: check the path"
        )
    try:
        folders = sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise SlideReadError(f"{data.name}: cannot be listed ({error.strerror})") from error
    out = None if leave_out is None else leave_out.resolve()
    meant = {path: _meaning(path.name, table, labels) for path in folders if path.resolve() != out}
    if not meant:
        raise MissingInputError(
            f"{data.name}: found no class folder, expected one for each of {', '.join(labels)}, e.g. "
            f"{data.name}/{labels[-1]}"
        )
    unknown = [path.name for path, label in meant.items() if label is None]
    if unknown:
        raise TileError(
            f"{data.name}: found unknown class folders: {', '.join(map(shown, unknown))}; expected names "
            f"that stand for {', '.join(labels)}: say which, e.g. --label "
            f'"{shown(unknown[0])}={labels[-1]}", or ={IGNORE} to leave a folder out'
        )
    kept = {path: label for path, label in meant.items() if label and label not in (IGNORE, EXCLUDE)}
    if not kept:
        raise MissingInputError(f"{data.name}: found only ignored class folders, expected one with a label")
    return dict(sorted(kept.items(), key=lambda item: labels.index(item[1])))


def _meaning(name: str, table: Mapping[str, str], labels: tuple[str, ...]) -> str | None:
    """A folder cannot be called `0/1+`: `0-1+` and `0_1+` mean that."""
    name = from_disk(name)
    spellings = (name, name.replace("_", " "), name.replace("-", "/"), name.replace("_", "/"))
    known = next((table[key(one)] for one in spellings if key(one) in table), None)
    if known is not None or key(name) in _BARE:
        return known
    return next((label for one in spellings if (label := label_of_score(one, labels))), None)
