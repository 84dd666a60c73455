"""A synthetic cohort on disk: tiles and the list of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge.alone import alone_in
from her2edge.errors import OutputError
from her2edge.files import ensure_folder, look, write_bytes
from her2edge_training.cohort.tile_list import NAME, TileRecord, refuse_former_list, write_tile_list
from her2edge_training.synthetic.cohort import Cohort
from her2edge_training.synthetic.model import SlideModel
from her2edge_training.synthetic.seeds import generator
from her2edge_training.synthetic.tile import check_canvas, make_tile

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
    """Write a cohort's tiles under `out` and return the path of its tile list.

    Files: out/tiles/<slide>/<index>.jpg and, when all of them stand, out/cohort.csv with the columns of
    `tile_list.COLUMNS`; x and y are the top-left corner in the slide's frame, pixels: tiles stand in rows of
    16. A tile of 512 px takes about 150 kB.
    The same arguments write the same bytes. progress(done, total) is called after each tile.
    Raises OptionError for an argument out of range, OutputError where files cannot be written, TakenError
    where another command is at work in `out`.
    """
    check_canvas(tile_px, tile_px, mpp, 0.0)
    out = Path(out)
    if look(out, "a folder or nothing", OutputError) not in (None, "folder"):
        raise OutputError(f"found a file at {out}, expected a folder or nothing: choose another place")
    with alone_in(out):
        return _write_tiles(out, cohort, tile_px, mpp, progress or (lambda _done, _total: None))


def _write_tiles(
    out: Path, cohort: Cohort, tile_px: int, mpp: float, progress: Callable[[int, int], None]
) -> Path:
    refuse_former_list(out)
    records: list[TileRecord] = []
    for model, tiles in zip(cohort.slides, cohort.tiles, strict=True):
        ensure_folder(out / "tiles" / model.name, inside=out)
        for index in range(tiles):
            records.append(_write_tile(out, model, index, tile_px, mpp))
            progress(len(records), sum(cohort.tiles))
    write_tile_list(out / NAME, records, share_digits=4)
    return out / NAME


def _write_tile(out: Path, model: SlideModel, index: int, tile_px: int, mpp: float) -> TileRecord:
    tile = make_tile(model, index, tile_px, mpp, tissue=_tissue(model, index))
    name, data = f"tiles/{model.name}/{index:05d}.jpg", _jpeg(tile.pixels)
    write_bytes(out / name, data)
    return TileRecord(
        tile=name,
        folder=out,
        slide=model.name,
        patient=model.patient,
        site=model.site.name,
        label=model.label,
        x=(index % _TILES_PER_ROW) * tile_px,
        y=(index // _TILES_PER_ROW) * tile_px,
        mpp=mpp,
        tissue_fraction=float(tile.tissue.mean()),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _tissue(model: SlideModel, index: int) -> float:
    """Share of the tile under tissue, 0..1: glass in a fifth of tiles, as the filter lets pass."""
    rng = generator("glass", model.site.name, model.seed, index)
    return float(rng.uniform(0.65, 1.0)) if rng.random() < 0.2 else 1.0


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """JPEG of quality 95 with full chroma: a third of a PNG's size, a tenth of its time."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, _JPEG)[1])
