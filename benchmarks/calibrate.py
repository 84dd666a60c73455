"""How often the sets of `her2edge calibrate` hold the truth, on patients that calibrated nothing.

.venv/bin/python benchmarks/calibrate.py [--repeats 500] [--save NAME]          simulated slides
.venv/bin/python benchmarks/calibrate.py --model MODEL --work DIR [--save NAME]  slides like `her2edge demo`'s

Simulated: slides whose tiles lean to their label, more or less; many calibrations, each on 200 other
patients, and every set against crepes'. Drawn: slides of synthetic tissue, each of one class with a focus of
another; MODEL reads the calibration slides, `calibrate` writes DIR/calibrated.tflite, which reads the others.
These have a pen mark and a soft corner besides, as `her2edge demo`'s: tiles that such faults cost do not
vote, and many of these small slides are not assessable. Neither says anything of patients.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from harness import save
from numpy.typing import NDArray

import her2edge as he
from her2edge.answer import SlideAnswer
from her2edge.answer.promise import lowest_level
from her2edge.answer.reasons import refused_otherwise
from her2edge.answer.sets import prediction_set
from her2edge.cohort import read_cohort
from her2edge.files import write_bytes
from her2edge.model.file import read_model_file
from her2edge.results.scored import read_scored
from her2edge.slide import encode_png
from her2edge.tile import LABELS
from her2edge_quantize.model_file.calibrate import ALPHA, calibrate
from her2edge_quantize.model_file.calibration_text import report
from her2edge_quantize.model_file.pack import write_model
from her2edge_training.synthetic import SITES, make_demo_slide
from her2edge_training.synthetic.demo import MPP

COUNTS = (9, 12, 14, 19, 29, 38)
OTHERS = 200
CONFIDENCE = 1 - ALPHA - 1e-9  # crepes keeps a label of p-value alpha: more than 90 % of patients then
TILES = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=500, help="calibrations of each size")
    parser.add_argument("--model", type=Path, help="a model file that is not calibrated")
    parser.add_argument("--work", type=Path, help="where slides and results go")
    parser.add_argument("--slides", type=int, default=12, help="calibration slides of each label")
    parser.add_argument("--others", type=int, default=OTHERS, help="other slides; 0: calibrate only")
    parser.add_argument("--save", metavar="NAME", help="keep the result in results/NAME.json")
    given = parser.parse_args()
    if given.model is None:
        rows = [simulated(count, given.repeats) for count in COUNTS]
        name, result = "calibrated", {"repeats": given.repeats, "others": OTHERS, "rows": rows}
    else:
        name, result = "calibrated_demo", drawn(given)
    for row in result.get("rows", [result]):
        print(row)
    if given.save:
        print(save(name, result, given.save))


def simulated(count: int, repeats: int) -> dict[str, Any]:
    """One size of calibration: what `repeats` of them do on 200 other patients each."""
    from crepes import ConformalClassifier

    rng = np.random.default_rng(count)
    coverage, by_label, sizes, singles, everything, unequal = [], [], [], [], [], 0
    for _ in range(repeats):
        means, truth = _patients(rng, np.repeat(np.arange(3), count))
        others, actual = _patients(rng, np.arange(OTHERS) % 3)
        own = 1 - means[np.arange(len(truth)), truth]
        scores = {label: tuple(own[truth == k].tolist()) for k, label in enumerate(LABELS)}
        sets = np.array(
            [[one in prediction_set(_named(row), scores, ALPHA) for one in LABELS] for row in others]
        )
        oracle = ConformalClassifier()
        oracle.fit(own, bins=truth)
        theirs = [
            oracle.predict_set(
                (1 - others)[:, [k]], bins=np.full(OTHERS, k), confidence=CONFIDENCE, smoothing=False
            )
            for k in range(3)
        ]
        unequal += int((np.concatenate(theirs, axis=1).astype(bool) != sets).any(axis=1).sum())
        held = sets[np.arange(OTHERS), actual]
        coverage.append(held.mean())
        by_label.append([held[actual == k].mean() for k in range(3)])
        sizes.append(sets.sum(axis=1).mean())
        singles.append((sets.sum(axis=1) == 1).mean())
        everything.append(sets.all(axis=1).mean())
    return {
        "of_each": count,
        "coverage": _rounded(np.mean(coverage)),
        "worst_twentieth_of_a_label": _rounded(np.quantile(by_label, 0.05)),
        "stated": _rounded(lowest_level(count, ALPHA)),
        "mean_size": _rounded(np.mean(sizes)),
        "single": _rounded(np.mean(singles)),
        "all_labels": _rounded(np.mean(everything)),
        "sets_unlike_crepes": unequal,
        "sets": repeats * OTHERS,
    }


def _patients(
    rng: np.random.Generator, truth: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean probabilities of slides of these labels: tiles lean to the label, each slide's by its own."""
    lean = np.ones((len(truth), 3))
    lean[np.arange(len(truth)), truth] += rng.exponential(2.0, len(truth))
    return np.stack([rng.dirichlet(one, TILES).mean(axis=0) for one in lean]), truth


def _named(row: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(LABELS, row.tolist(), strict=True))


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)


def drawn(given: argparse.Namespace) -> dict[str, Any]:
    """Calibrate on drawn slides, then answer others with the calibrated model."""
    work: Path = given.work
    before = he.Model.load(given.model, trust="anyone")
    first = _slides(work / "calibration", 3 * given.slides, first_seed=1_000, faults=False)
    _classify(first, work / "results", before)
    scored = read_scored(read_cohort(first), work / "results")
    made = calibrate(read_model_file(given.model), scored)
    write_model(work / "calibrated.tflite", made.data)
    print(report(made, "the model"))
    return {"of_each": made.record.patients, **_held(_answers(given.others, work))}


def _answers(count: int, work: Path) -> list[tuple[str | None, SlideAnswer]]:
    """Known labels of other slides, and what the calibrated model answers; a list of none cannot be read."""
    if not count:
        return []
    others = _slides(work / "others", count, first_seed=10_000, faults=True)
    _classify(others, work / "answers", he.Model.load(work / "calibrated.tflite", trust="anyone"))
    slides = read_scored(read_cohort(others), work / "answers").usable
    return [(one.label, one.results.answer) for one in slides if one.results is not None]


def _held(answers: list[tuple[str | None, SlideAnswer]]) -> dict[str, Any]:
    """What the sets of known labels were; without a slide that is assessed, only how many there are."""
    assessed = [(label, answer) for label, answer in answers if not refused_otherwise(answer)]
    counts = {"slides": len(answers), "not_assessable": len(answers) - len(assessed)}
    if not assessed:
        return counts
    sets = [answer.labels for _, answer in assessed]
    return counts | {
        "reasons": sorted({str(r.code) for _, a in answers if refused_otherwise(a) for r in a.reasons[:1]}),
        "coverage": _rounded(np.mean([label in answer.labels for label, answer in assessed])),
        "by_label": {
            one: _rounded(np.mean([one in a.labels for label, a in assessed if label == one]))
            for one in LABELS
            if any(label == one for label, _ in assessed)
        },
        "mean_size": _rounded(np.mean([len(one) for one in sets])),
        "single": _rounded(np.mean([len(one) == 1 for one in sets])),
        "all_labels": _rounded(np.mean([len(one) == 3 for one in sets])),
        "right_by_the_mean": _rounded(
            np.mean([max(a.means, key=a.means.__getitem__) == label for label, a in assessed])
        ),
    }


def _slides(folder: Path, count: int, first_seed: int, *, faults: bool) -> Path:
    """A list of drawn slides, one of each patient, the labels in turn; those that lie there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "slides.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("slide", "patient", "site", "mpp", "score"))
        for number in range(count):
            label, seed = LABELS[number % 3], first_seed + number
            image, site = folder / f"synthetic-{seed}.png", SITES[seed % len(SITES)].name
            if not image.exists():
                write_bytes(image, encode_png(make_demo_slide(label, seed, faults=faults).pixels))
            table.writerow((image.name, f"P{seed}", site, MPP, label))
    return path


def _classify(cohort: Path, out: Path, model: he.Model) -> None:
    classifier = he.TileClassifier(model)
    for slide in read_cohort(cohort):
        he.classify_slide(slide.path, out, classifier, mpp=slide.mpp, site=slide.site)


if __name__ == "__main__":
    main()
