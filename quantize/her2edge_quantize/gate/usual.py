"""What is usual for a model: novelty and quality limits, from tiles of the run that chose no weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from her2edge.errors import ModelError
from her2edge.model.file import Model
from her2edge.model.novelty import Novelty
from her2edge.model.slide_records import NoveltyRecord, Part
from her2edge.quality import measure_figures
from her2edge.runtime import open_runtime
from her2edge_quantize.model_file.description import Description
from her2edge_quantize.model_file.limits import FittedQuality, fit_quality_limits
from her2edge_quantize.model_file.novelty import FEWEST_SLIDES, fit_novelty
from her2edge_quantize.options import Report
from her2edge_training.cohort.store import TileStore, centre_crop, network_inputs
from her2edge_training.cohort.tile_list import TileList, TileRecord
from her2edge_training.run.trained import TrainedRun

MOST_TILES = 2000
THREADS = 2


@dataclass(frozen=True, eq=False)
class Usual:
    """novelty: the member, record: its record in the manifest; None where the run has too few slides."""

    novelty: Novelty | None
    record: NoveltyRecord | None
    quality: FittedQuality

    def of(self, about: Description) -> Description:
        """The description with what is usual."""
        fitted = self.quality
        return replace(about, novelty=self.record, quality=fitted.limits, quality_fit=fitted.record)


def learn_usual(model: Model, run: TrainedRun, tiles: TileList, report: Report) -> Usual:
    """Limits of a model from its run's validation part; with fewer than 20 slides, of training's as well.

    Raises TileListError for another tile list, and what reading tiles raises.
    """
    records, parts = usual_tiles(run, tiles)
    runtime = open_runtime("litert", model, THREADS)
    means = [runtime.logits_and_mean(pixels)[1] for pixels in network_inputs(records, run.recipe)]
    labels = np.array([run.recipe.labels.index(record.label) for record in records])
    slides = np.array([_slide(record) for record in records])
    quality = _quality(records, run)
    try:
        fitted = fit_novelty(np.stack(means), labels, slides, len(run.recipe.labels), parts)
    except ModelError as error:
        report(
            f"warning: no novelty limit: {error}. Without it answers do not notice unfamiliar tissue, and "
            "`her2edge calibrate` refuses the model"
        )
        return Usual(None, None, quality)
    record = fitted.record
    report(f"novelty: {record.far_slides} of {record.slides} slides far when left out")
    return Usual(fitted.novelty, record, quality)


def _quality(records: Sequence[TileRecord], run: TrainedRun) -> FittedQuality:
    """Limits from the centres of tiles as they were scanned, before stain normalisation."""
    store, side = TileStore(None, memory_mib=0), run.recipe.tile_px
    pictures = (centre_crop(record, store.read(record), side) for record in records)
    figures = [measure_figures(pixels, (side, side)) for pixels in pictures]
    return fit_quality_limits(figures, [_slide(record) for record in records])


def usual_tiles(run: TrainedRun, tiles: TileList) -> tuple[tuple[TileRecord, ...], tuple[Part, ...]]:
    """At most MOST_TILES, evenly of all slides' tiles, and the parts of the run that they come from."""
    parts: tuple[Part, ...] = ("validation",)
    records = run.select(tiles, "validation")
    if len({_slide(record) for record in records}) < FEWEST_SLIDES:
        parts = ("train", "validation")
        records = (*run.select(tiles, "train"), *records)
    ordered = sorted(records, key=lambda record: (_slide(record), record.tile))
    return tuple(ordered[:: -(-len(ordered) // MOST_TILES)]), parts


def _slide(record: TileRecord) -> str:
    return f"{record.group}\n{record.slide}"
