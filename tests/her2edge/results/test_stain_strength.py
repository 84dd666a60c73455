"""summary.json says how strong a slide's stains are: the median of its tiles' own fits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import small_slide
import tiny

from her2edge import MacenkoNormalizer, Model, Options, SlideReader, TileClassifier, classify_slide
from her2edge.agree.gather import gather
from her2edge.cohort import read_cohort
from her2edge.results.scored import read_scored
from her2edge.results.stain_strength import measure_strength


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_slide.draw_slide(tmp_path_factory.mktemp("slide") / "slide.png")


def summary(slide: Path, out: Path, stain: str) -> dict[str, object]:
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1, stain=stain))
    run = classify_slide(slide, out, classifier, mpp=tiny.MPP)
    record: dict[str, object] = json.loads((run.folder / "summary.json").read_text())
    return record


def test_it_is_the_median_of_the_fits_of_the_tiles_that_vote(slide: Path, tmp_path: Path) -> None:
    model = Model.load(tiny.INT8)
    classifier = TileClassifier(model, Options(threads=1, stain="per_tile"))
    fits = []
    with SlideReader(slide, mpp=tiny.MPP) as reader:
        for tile in reader.tiles(model):
            if classifier.classify(tile).pooled:  # type: ignore[arg-type]
                normalizer = MacenkoNormalizer(model.manifest.stain.profile)
                fits.append(normalizer.fit(tile.pixels, tile.valid).max_concentration)  # type: ignore[union-attr]
    strength = summary(slide, tmp_path, "per_tile")["stain_strength"]
    assert len(fits) > 3
    haematoxylin, eosin = np.median(fits, axis=0)
    assert strength == {
        "tiles": len(fits), "haematoxylin": pytest.approx(haematoxylin), "eosin": pytest.approx(eosin),
    }  # fmt: skip


@pytest.mark.parametrize("stain", ["slide", "off"])
def test_without_fits_of_tiles_there_is_none(slide: Path, tmp_path: Path, stain: str) -> None:
    assert summary(slide, tmp_path, stain)["stain_strength"] is None
    assert measure_strength([]) is None


@pytest.mark.parametrize(("stain", "measured"), [("per_tile", True), ("slide", True), ("off", False)])
def test_a_kit_has_it_of_the_slide_s_fit_or_of_its_tiles(
    slide: Path, tmp_path: Path, stain: str, measured: bool
) -> None:
    record = summary(slide, tmp_path / "results", stain)
    (tmp_path / "list.csv").write_text(f"slide\n{slide}\n")
    cohort = read_cohort(tmp_path / "list.csv")
    by, (one,) = gather(read_scored(cohort, tmp_path / "results"), tmp_path / "kit")
    assert by.protocol.tiles.stain == stain
    assert len(by.first) == len("2026-11-29")
    assert (one.stains is not None) == measured
    if stain == "slide":
        assert one.stains == tuple(record["stain"]["fit"]["max_concentration"])  # type: ignore[index]
