"""Results of slides that were never read: real files of real models, from tiles made by hand."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from model_v2 import tiny_v2
from slide_results import SIDE

from her2edge import Model, Outcome, TileResult
from her2edge.answer import MIN_TISSUE_TILES, Settled, answer_slide
from her2edge.classifier import TileClassifier
from her2edge.files import write_json
from her2edge.model.protocol import StoppingRule, TilesRead
from her2edge.results.finished import hash_files
from her2edge.results.folder import slide_folder
from her2edge.results.provenance import Provenance
from her2edge.results.slide_info import SlideInfo
from her2edge.results.write import write_outputs
from her2edge.runtime import RuntimeUse
from her2edge.version import __version__


@dataclass(frozen=True, eq=False)
class Case:
    """A slide: its score, and the probabilities of its tiles; counts: tiles of each label, where none are
    given. written: whether `write_case` is to be called."""

    name: str
    score: str
    patient: str = ""
    site: str = ""
    counts: tuple[int, ...] = (1, 1, 30)
    chances: np.ndarray | None = None
    scanner: str | None = "Leica GT450"
    stopping: StoppingRule | None = None
    min_tissue_tiles: int = MIN_TISSUE_TILES
    read: TilesRead = field(default_factory=lambda: TilesRead(stain="per_tile"))
    fingerprint: str = ""
    written: bool = True
    model: Model = field(default_factory=tiny_v2)


class _Run(msgspec.Struct):
    basis: Provenance
    files: dict[str, str]


def results_of(case: Case) -> list[TileResult]:
    """Classified tiles of a grid 20 wide, all of which vote."""
    labels = case.model.manifest.labels
    chances = case.chances
    if chances is None:
        chances = np.full((sum(case.counts), len(labels)), 0.05 / (len(labels) - 1))
        chances[np.arange(len(chances)), np.repeat(np.arange(len(labels)), case.counts)] = 0.95
    return [_tile(case.name, n, row.astype(np.float32), labels) for n, row in enumerate(chances)]


def _tile(slide: str, place: int, chances: np.ndarray, labels: Sequence[str]) -> TileResult:
    row, column = divmod(place, 20)
    best = int(np.argmax(chances))
    return TileResult(
        slide,
        column * SIDE,
        row * SIDE,
        (SIDE, SIDE),
        Outcome.CLASSIFIED,
        probabilities=chances,
        label=labels[best],
        confidence=float(chances[best]),
        tissue_fraction=0.9,
        glass_fraction=0.0,
        novelty=0.5,
        pooled=True,
    )


def write_case(out: Path, case: Case, results: Iterable[TileResult] | None = None) -> Path:
    """The slide's folder below `out`, complete, as classify_slide leaves it but for pictures."""
    results = results_of(case) if results is None else list(results)
    print_ = case.fingerprint or hashlib.sha256(case.name.encode()).hexdigest()
    side = 20 * int(SIDE)
    slide = SlideInfo(
        case.name, print_, 0.25, side, side, SIDE, 20, 20, scanner=case.scanner, site=case.site or None
    )
    settled = None
    if case.stopping is not None:
        settled = Settled(False, None, 0.05, 30, len(results), len(results), {}, rule=case.stopping)
    answer = answer_slide(
        results,
        case.model,
        min_tissue_tiles=case.min_tissue_tiles,
        settled=settled,
        read=case.read,
        scanner=case.scanner,
        site=case.site or None,
    )
    folder = slide_folder(out, case.name, print_)
    files = write_outputs(folder, _classifier(case.model), slide, results, answer, None)
    basis = Provenance(
        slide=case.name,
        fingerprint=print_,
        mpp=0.25,
        step=SIDE,
        columns=20,
        rows=20,
        tiles=len(results),
        model=case.model.sha256,
        runtime=RuntimeUse("litert", "2.3.0"),
        architecture="x86_64",
        version=__version__,
        stain={"mode": "per_tile"},
    )
    write_json(folder / "run.json", _Run(basis, hash_files(files)))
    return folder


_CLASSIFIERS: dict[str, TileClassifier] = {}


def _classifier(model: Model) -> TileClassifier:
    if model.sha256 not in _CLASSIFIERS:
        _CLASSIFIERS[model.sha256] = TileClassifier(model)
    return _CLASSIFIERS[model.sha256]


def write_cohort(path: Path, cases: Sequence[Case]) -> Path:
    """The list of slides."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("slide", "patient", "site", "score"))
        table.writerows((case.name, case.patient, case.site, case.score) for case in cases)
    return path
