"""Tile images that a lab has cut itself, as they are: their bytes are copied."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from her2edge.errors import Her2EdgeError, SlideReadError, TileError
from her2edge.files import ensure_folder, read_input, write_bytes
from her2edge.results.folder import safe_stem, slide_folder
from her2edge.slide.images import decode_image
from her2edge.text import from_disk, shown
from her2edge.tile import Pixels, Tile
from her2edge.tissue import TissueFilter
from her2edge_training.cohort.cut_report import SkippedTile, images_report
from her2edge_training.cohort.cut_slide import Cut
from her2edge_training.cohort.judge import Fate, Judged, Tally, judge
from her2edge_training.cohort.plan import Cutting, ImagesPlan, TileImage
from her2edge_training.cohort.tile_list import TileRecord

_LARGEST = 1 << 28  # bytes; an uncompressed tile of 8192 px has 200 MB

_log = logging.getLogger("her2edge")


def cut_images(
    plan: ImagesPlan,
    cutting: Cutting,
    labels: Sequence[str],
    out: Path,
    seen: dict[str, TileImage],
    step: Callable[[], None],
) -> Cut:
    """Copy the images with tissue under OUT/tiles.

    labels: of all classes, in their order. seen: images by the SHA-256 of their bytes, of all groups so far.
    step is called after each image.
    Raises TileError where the same image is there twice, OutputError where files cannot be written.
    """
    tissue = TissueFilter(share=cutting.max_background_share)
    folder = slide_folder(out / "tiles", plan.name, plan.fingerprint)
    ensure_folder(folder, inside=out)
    records: list[TileRecord] = []
    unreadable: list[SkippedTile] = []
    tally = Tally()
    for image in plan.images:
        step()
        try:
            data, pixels = _read(image)
        except Her2EdgeError as error:
            unreadable.append(SkippedTile(0.0, 0.0, f"{shown(image.name)}: {error}"))
            tally.add(image.label, Judged(Fate.UNREADABLE))
            continue
        digest = hashlib.sha256(data).hexdigest()
        twin = seen.setdefault(digest, image)
        if twin is not image:
            raise TileError(
                f"found the same tile twice, as {shown(twin.name)} and {shown(image.name)}: keep one"
            )
        judged = judge(Tile(pixels, mpp=plan.mpp, slide=plan.name), tissue)
        tally.add(image.label, judged)
        if judged.fate is not Fate.CUT:
            continue
        path = folder / f"{safe_stem(image.path.name)}-{digest[:8]}{image.path.suffix.lower()}"
        write_bytes(path, data)
        records.append(
            TileRecord(
                tile=from_disk(path.relative_to(out).as_posix()),
                folder=out,
                slide=plan.name.strip(),
                patient=plan.origin.patient,
                site=plan.origin.site,
                label=image.label,
                x=None,
                y=None,
                mpp=plan.mpp,
                tissue_fraction=1 - judged.background,
                sha256=digest,
                label_from="tile_folder",
            )
        )
    if unreadable:
        _log.warning(
            "%s: %d of %d tile images cannot be read and are skipped, the first: %s",
            plan.name, len(unreadable), len(plan.images), unreadable[0].error,
        )  # fmt: skip
    return Cut(tuple(records), images_report(plan, labels, unreadable, tally))


def _read(image: TileImage) -> tuple[bytes, Pixels]:
    data = read_input(image.path, _LARGEST, "a tile image", SlideReadError)
    return data, decode_image(io.BytesIO(data), image.path)
