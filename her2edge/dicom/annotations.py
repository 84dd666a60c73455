"""Microscopy Bulk Simple Annotations (PS3.3, A.87): a polygon for each classified tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.dicom import codes
from her2edge.dicom.lazy import Packages
from her2edge.dicom.source import DicomSlide
from her2edge.dicom.stated import Stated
from her2edge.tile import Outcome, TileResult


def make_annotations(slide: DicomSlide, stated: Stated, packages: Packages) -> Any | None:
    """The object, None where no tile is classified: it must hold a group.

    A group for each label, of the tiles that vote, and one of those that do not; each with the probabilities
    of all labels. Corners are columns and rows of the total pixel matrix, (0, 0) its top left corner.
    """
    groups = list(_groups(slide, stated, packages))
    if not groups:
        return None
    annotations = packages.highdicom.ann.MicroscopyBulkSimpleAnnotations(
        source_images=[slide.image],
        annotation_coordinate_type="2D",
        pixel_origin_interpretation="VOLUME",
        annotation_groups=groups,
        series_number=9001,
        instance_number=1,
        content_label="HER2EDGE_TILES",
        content_description=stated.brief,
        coding_schemes=codes.declared(packages),
        series_instance_uid=stated.uid("annotations series"),
        sop_instance_uid=stated.uid("annotations"),
        **stated.equipment,
    )
    stated.date(annotations)
    return annotations


def _groups(slide: DicomSlide, stated: Stated, packages: Packages) -> Iterator[Any]:
    classified = [one for one in stated.results.tiles if one.outcome is Outcome.CLASSIFIED]
    parts = [
        (
            label,
            codes.of_label("LABEL", label),
            [one for one in classified if one.pooled and one.label == label],
        )
        for label in stated.results.labels
    ]
    parts.append(("left out", codes.LEFT_OUT, [one for one in classified if not one.pooled]))
    number = 0
    for name, code, tiles in parts:
        if not tiles:
            continue
        number += 1
        yield packages.highdicom.ann.AnnotationGroup(
            number=number,
            uid=stated.uid("group", name),
            label=codes.long_string(code[1] if name == "left out" else f"HER2 {name}"),
            description=f"{stated.notice} {stated.regions}".rstrip(),
            annotated_property_category=codes.concept(packages, codes.TISSUE_TILE),
            annotated_property_type=codes.concept(packages, code),
            graphic_type="POLYGON",
            graphic_data=list(corners(tiles, slide.width, slide.height)),
            algorithm_type="AUTOMATIC",
            algorithm_identification=_algorithm(stated, packages),
            measurements=list(_probabilities(tiles, stated, packages)),
        )


def corners(tiles: Sequence[TileResult], width: int, height: int) -> NDArray[np.float32]:
    """(tiles, 4, 2) float32: column and row of each corner, clockwise from the top left, pixels of level 0.

    What of a tile lies outside of the slide is cut off: no such place can be stated."""
    boxes = np.array([(one.x, one.y, one.x + one.span[0], one.y + one.span[1]) for one in tiles])
    boxes = np.clip(boxes, 0, (width, height, width, height))
    return np.asarray(boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]], np.float32)


def _probabilities(tiles: Sequence[TileResult], stated: Stated, packages: Packages) -> Iterator[Any]:
    chances = np.array([one.probabilities for one in tiles], np.float32)
    unit = codes.standard(packages, "1", "UCUM", "no units")
    for column, label in enumerate(stated.results.labels):
        yield packages.highdicom.ann.Measurements(
            name=codes.concept(packages, codes.of_label("TILE_P", label)),
            values=chances[:, column],
            unit=unit,
        )


def _algorithm(stated: Stated, packages: Packages) -> Any:
    return packages.highdicom.AlgorithmIdentificationSequence(
        name=codes.long_string(stated.model.name),
        version=codes.long_string(stated.model.version),
        family=codes.standard(packages, "123110", "DCM", "Artificial Intelligence"),
        source="her2edge",
        parameters={"model sha256": stated.model.sha256},
    )
