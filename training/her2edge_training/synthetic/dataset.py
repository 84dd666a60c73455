"""A synthetic cohort on disk: tiles and the manifest that lists them."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge.errors import OutputError
from her2edge_training.synthetic.cohort import Cohort
from her2edge_training.synthetic.tile import check_canvas, make_tile

COLUMNS = (
    "tile", "slide", "patient", "site", "label", "x", "y", "um_per_pixel", "tissue_fraction", "sha256",
)  # fmt: skip
_TILES_PER_ROW = 16
_JPEG = (
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)


def write_dataset(
    out: Path,
    cohort: Cohort,
    *,
    tile_px: int = 512,
    mpp: float = 0.25,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a cohort's tiles under `out` and return the path of its manifest.csv.

    Files: out/tiles/<slide>/<index>.jpg and, when all of them stand, out/manifest.csv with COLUMNS: tile
    (POSIX path from the manifest's folder), slide, patient, site, label, x and y (top-left corner in the
    slide's frame, pixels: tiles stand in rows of 16), um_per_pixel, tissue_fraction, sha256 of the tile
    file's bytes. A tile of 512 px takes about 150 kB.
    The same arguments write the same bytes. progress(done, total) is called after each tile.
    Raises OptionError for an argument out of range and OutputError where files cannot be written.
    """
    check_canvas(tile_px, tile_px, mpp, 0.0)
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise OutputError(f"found a file at {out}, expected a folder or nothing: choose another place")
    total = sum(cohort.tiles)
    rows: list[tuple[object, ...]] = []
    for model, tiles in zip(cohort.slides, cohort.tiles, strict=True):
        for index in range(tiles):
            tile = make_tile(model, index, tile_px, mpp)
            name = f"tiles/{model.name}/{index:05d}.jpg"
            data = _jpeg(tile.pixels)
            _write(out / name, data)
            x, y = (index % _TILES_PER_ROW) * tile_px, (index // _TILES_PER_ROW) * tile_px
            share = f"{tile.tissue.mean():.4f}"
            digest = hashlib.sha256(data).hexdigest()
            rows.append(
                (
                    name,
                    model.name,
                    model.patient,
                    model.site.name,
                    model.label,
                    x,
                    y,
                    mpp,
                    share,
                    digest,
                )
            )
            if progress is not None:
                progress(len(rows), total)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(rows)
    manifest = out / "manifest.csv"
    _write(manifest, text.getvalue().encode())
    return manifest


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """JPEG of quality 95 with full chroma: a third of a PNG's size, a tenth of its time."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, _JPEG)[1])


def _write(path: Path, data: bytes) -> None:
    """Put `data` at `path`, whole or not at all."""
    draft = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        os.replace(draft, path)  # noqa: PTH105 - the atomic call by its own name
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another place"
        ) from error
