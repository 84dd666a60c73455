"""Complete results whose tiles.geojson is to be tiles.geojson.gz: packed where they lie, no tile is read."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from her2edge.alone import alone_in
from her2edge.files import forget, parse_json, write_json
from her2edge.results.finished import Finished, hash_files
from her2edge.results.geojson import PACKED, PLAIN, pack_geojson
from her2edge.results.owner import RUN, read_record

_log = logging.getLogger("her2edge")


def pack_former(former: Finished, folder: Path) -> Finished:
    """The results with their GeoJSON packed; as they are where it is so, or where there is none.

    folder: the slide's; an older her2edge wrote results that lie elsewhere, and nothing is written there.
    run.json takes the new file's name before the old file goes: whenever this ends, the results are complete.
    Raises OutputError, TakenError where another process is at work on the slide.
    """
    plain, packed = former.folder / PLAIN, former.folder / PACKED
    if plain not in former.files:
        return former
    if former.folder != folder:
        _log.warning("%s: %s of an older her2edge stays as it is", former.folder.name, PLAIN)
        return former
    with alone_in(folder):
        record, files = _run(folder)
        if PACKED not in files:  # else another process was faster
            if PLAIN not in files or files[PLAIN] != hash_files([plain])[PLAIN]:
                return former  # written anew meanwhile
            pack_geojson(plain, packed)
            its = hash_files([packed])[PACKED]
            pairs = ((PACKED, its) if name == PLAIN else (name, that) for name, that in files.items())
            write_json(folder / RUN, record | {"files": dict(pairs)})  # in their order
            forget(folder, PLAIN)
    _log.info("%s: %s is packed", folder.name, PLAIN)
    return replace(former, files=tuple(packed if path == plain else path for path in former.files))


def _run(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """run.json and its files; empty where it is damaged."""
    try:
        record = parse_json(read_record(folder / RUN) or b"{}", dict[str, Any])
    except ValueError:
        record = {}
    return record, record.get("files", {})
