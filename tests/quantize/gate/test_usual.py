"""Which tiles say what is usual for a model, and what comes of them; needs no TensorFlow."""

from __future__ import annotations

import zipfile
from pathlib import Path

import made_run
import pytest
from model_v2 import TINY

from her2edge import Model
from her2edge.quality import Figures, QualityLimits, measure_figures
from her2edge.slide import read_image
from her2edge_quantize.gate.usual import learn_usual, usual_tiles
from her2edge_quantize.model_file.limits import FittedQuality
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.run.trained import TrainedRun


class NoNetwork:
    """Saved as an archive that nobody here opens."""

    def save(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", "{}")


def made(folder: Path, slides: int, tiles: int) -> tuple[TrainedRun, TileList]:
    run, tile_list = made_run.make_run(folder, NoNetwork(), slides, tiles)
    return TrainedRun.read(run), TileList.read(tile_list)


@pytest.mark.parametrize(
    ("slides", "parts", "used"), [(84, ("validation",), 21), (72, ("train", "validation"), 54)]
)
def test_the_validation_part_alone_where_it_has_20_slides_and_never_the_test_part(
    tmp_path: Path, slides: int, parts: tuple[str, ...], used: int
) -> None:
    run, tiles = made(tmp_path, slides, 1)
    records, chosen = usual_tiles(run, tiles)
    assert chosen == parts
    assert len({record.slide for record in records}) == used
    assert {record.tile for record in records} <= {row.tile for row in run.split if row.part in parts}


def test_a_run_of_enough_slides_gives_novelty_and_quality_limits(tmp_path: Path) -> None:
    run, tiles = made(tmp_path, 36, 3)
    lines: list[str] = []
    usual = learn_usual(Model.load(TINY[3]), run, tiles, lines.append)
    assert usual.novelty is not None
    assert usual.record is not None
    assert (usual.record.slides, usual.record.parts) == (27, ("train", "validation"))
    assert usual.novelty.means.shape[0] == 3
    assert usual.quality is not None
    assert any("27 slides" in line for line in lines)


def test_a_run_of_few_slides_has_no_novelty_limit_and_says_why(tmp_path: Path) -> None:
    run, tiles = made(tmp_path, 12, 1)
    lines: list[str] = []
    usual = learn_usual(Model.load(TINY[3]), run, tiles, lines.append)
    assert (usual.novelty, usual.record) == (None, None)
    (line,) = (line for line in lines if "no novelty limit" in line)
    assert "found tiles of 9 slides" in line
    assert "expected 20 or more: train on more slides and quantise again" in line


def test_quality_limits_are_fitted_on_the_tiles_as_they_were_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the fit is given: as many figures as tiles, those of the files' own pixels."""
    run, tiles = made(tmp_path, 84, 1)
    records, _ = usual_tiles(run, tiles)
    given: list[list[Figures]] = []
    fitted = FittedQuality(QualityLimits(pen_green=0.04), None)

    def fit(clean: list[Figures], slides: list[str]) -> FittedQuality:
        assert slides == [f"{record.group}\n{record.slide}" for record in records]
        given.append(clean)
        return fitted

    monkeypatch.setattr("her2edge_quantize.gate.usual.fit_quality_limits", fit)
    usual = learn_usual(Model.load(TINY[3]), run, tiles, lambda _: None)
    assert usual.quality == fitted
    side = run.recipe.tile_px
    picture = read_image(records[0].path)
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    own = measure_figures(picture[top : top + side, left : left + side], (side, side))
    assert len(given[0]) == len(records)
    assert given[0][0] == own
