"""Which exported file of a folder belongs to which slide."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from her2edge.errors import MissingInputError, OptionError

# the first group is meant for nothing else; files of the second may be something else beside one of the first
_SUFFIXES = ((".geojson", ".geojson.gz", ".geojson.zip"), (".json", ".json.gz", ".json.zip", ".zip"))


def find_exports(slides: Sequence[Path], folder: Path) -> list[Path]:
    """The annotation file of each slide: <name of the slide>.geojson, else <name without suffix>.geojson.

    Also .json, and each as .gz or .zip. Raises MissingInputError, by name, for slides without one;
    OptionError where two slides have one name, where one file could be either of two slides', or a slide has
    several.
    """
    repeated = [name for name, count in Counter(slide.name for slide in slides).items() if count > 1]
    if repeated:
        raise OptionError(f"found two slides named {repeated[0]}, expected different names: rename one")
    there = _exports(folder)
    claims = _claims(slides)
    chosen: list[Path] = []
    absent: list[str] = []
    for slide in slides:
        file = _chosen(slide, there, claims)
        if file is None:
            absent.append(f"{slide.stem}.geojson")
        else:
            chosen.append(file)
    if absent:
        raise MissingInputError(_none(folder, absent))
    return chosen


def find_export(slide: Path, slides: Sequence[Path], folder: Path) -> Path:
    """`find_exports` for one of `slides`, whatever the others lack."""
    file = _chosen(slide, _exports(folder), _claims(slides))
    if file is None:
        raise MissingInputError(_none(folder, [f"{slide.stem}.geojson"]))
    return file


def _claims(slides: Sequence[Path]) -> dict[str, list[str]]:
    """The names of slides that an export of a name could be of."""
    claims: dict[str, list[str]] = {}
    for slide in slides:
        for base in _bases(slide):
            claims.setdefault(base, []).append(slide.name)
    return claims


def _none(folder: Path, absent: Sequence[str]) -> str:
    return (
        f"{folder.name}: found no {', '.join(absent)} in the folder of annotations: export it from QuPath as "
        "GeoJSON, or leave the slide out"
    )


def _chosen(slide: Path, there: dict[str, dict[str, Path]], claims: dict[str, list[str]]) -> Path | None:
    own = _plain(slide.name)
    for base in _bases(slide):
        for group in _SUFFIXES:
            files = [there[base][suffix] for suffix in group if suffix in there.get(base, ())]
            if not files:
                continue
            if base != own and len(claims[base]) > 1:
                names = claims[base]
                raise OptionError(
                    f"{files[0].name}: found one annotation file for the slides {' and '.join(names)}, "
                    f"expected one for each: name them {' and '.join(f'{name}.geojson' for name in names)}"
                )
            if len(files) > 1:
                raise OptionError(
                    f"{slide.name}: found {len(files)} annotation files, "
                    f"{' and '.join(file.name for file in files)}: keep one"
                )
            return files[0]
    return None


def _exports(folder: Path) -> dict[str, dict[str, Path]]:
    """Files by what comes before their suffix, and by that in lower case."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise MissingInputError(
            f"{folder.name}: the folder of annotations cannot be listed ({error.strerror})"
        ) from error
    suffixes = sorted((suffix for group in _SUFFIXES for suffix in group), key=len, reverse=True)
    there: dict[str, dict[str, Path]] = {}
    for path in files:
        suffix = next((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), None)
        if suffix is not None:
            there.setdefault(_plain(path.name[: -len(suffix)]), {}).setdefault(suffix, path)
    return there


def _bases(slide: Path) -> list[str]:
    """What an export of the slide may be called: QuPath leaves out the suffix, and all of .ome.tif."""
    names = [slide.name, slide.stem]
    if slide.stem.lower().endswith(".ome"):
        names.append(slide.stem[: -len(".ome")])
    return list(dict.fromkeys(map(_plain, names)))


def _plain(name: str) -> str:
    """One form for names that macOS and others write with different code points."""
    return unicodedata.normalize("NFC", name)
