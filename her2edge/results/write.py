"""Writes a slide's files in one go."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from her2edge.answer import SlideAnswer
from her2edge.classifier import TileClassifier
from her2edge.files import ensure_folder, forget
from her2edge.results.class_map import Inside
from her2edge.results.colours import class_colours
from her2edge.results.geojson import PACKED, PLAIN, write_geojson
from her2edge.results.heatmap import write_heatmap
from her2edge.results.notices import model_line, notice
from her2edge.results.owner import ANNOTATIONS, PAGE, REPORT, RUN
from her2edge.results.slide_info import SlideInfo
from her2edge.results.stain_strength import measure_strength
from her2edge.results.summary import named, write_summary
from her2edge.results.table import write_table
from her2edge.stain import StainFit
from her2edge.tile import Pixels, TileResult

if TYPE_CHECKING:
    from her2edge.regions.choose import ChosenPlaces


def write_outputs(
    folder: Path,
    classifier: TileClassifier,
    slide: SlideInfo,
    results: Iterable[TileResult],
    answer: SlideAnswer,
    thumbnail: Pixels | None,
    chosen: ChosenPlaces | None = None,
    *,
    gzip_geojson: bool = False,
    undecoded: str | None = None,
) -> list[Path]:
    """Write a slide's files into `folder` and return their paths; `results` are read once per file.

    Without a thumbnail, a folder of tiles that has no places on a slide, neither heatmap nor GeoJSON is
    written; stain.json holds the fit where one was given for all tiles. chosen: the places that were to be
    read; None: all. gzip_geojson: tiles.geojson.gz in place of tiles.geojson. undecoded: as in Provenance.
    Raises OutputError; each file is whole or as it was. A former run.json goes first: only a folder that has
    one is complete, and of one run; so do a page and DICOM objects of a former run, and a GeoJSON of the
    other form.
    """
    ensure_folder(folder)
    geojson, other_form = (PACKED, PLAIN) if gzip_geojson else (PLAIN, PACKED)
    forget(folder, RUN, "stain.json", ANNOTATIONS, REPORT, PAGE, other_form)
    model = classifier.model
    words = notice(model, classifier.use)
    paths = [folder / "tiles.csv"]
    colours = class_colours(model)
    regions = None if chosen is None else chosen.read
    write_table(paths[0], results, tuple(colours), words)
    if thumbnail is not None:
        paths += [folder / geojson, folder / "heatmap.png"]
        write_geojson(paths[1], results, colours, slide.fingerprint, words)
        below = ("" if regions is None else regions.said(), model_line(model), words)
        inside = None if chosen is None else Inside.of(chosen, slide)
        write_heatmap(paths[2], thumbnail, results, slide, named(answer, model), colours, below, inside)
    if isinstance(classifier.options.stain, StainFit):
        paths.append(folder / "stain.json")
        classifier.options.stain.save(paths[-1])
    paths.append(folder / "summary.json")
    strength = measure_strength(results)
    write_summary(
        paths[-1], answer, slide, model, classifier.stain, classifier.use, strength, regions, undecoded
    )
    return paths
