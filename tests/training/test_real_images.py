"""Real breast tissue from tiles to evaluation and explanation. Its labels are made up: nothing is claimed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawn import feature, square, tiles
from shared_data import SHARED, needs

pytest.importorskip("keras")

from her2edge.slide.images import encode_png, read_image
from her2edge_cli.main import main
from her2edge_training.cohort.tile_list import TileList

CLASSES = ("negative", "2+", "3+")


@pytest.mark.slow
@needs("tiles/brecahad-10011.jpg")
def test_real_crops_go_through_tiles_a_smoke_epoch_evaluation_and_explanation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slides = sorted((SHARED / "tiles").glob("brecahad-*.jpg"))
    (tmp_path / "rois").mkdir()
    for index, slide in enumerate(slides):
        region = feature([square(0, 0, 1360, 1024)], classification={"name": CLASSES[index % 3]})
        (tmp_path / "rois" / f"{slide.stem}.geojson").write_text(json.dumps(region))
    out = tmp_path / "cohort"
    assert tiles(*slides, "--annotations", tmp_path / "rois", "--out", out, "--mpp", 0.25) == 0
    records = TileList.read(out / "cohort.csv").records
    (total,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("all")]
    assert total == ["all", "60", str(len(records))]  # fifteen images, four tiles of 512 px in each
    assert 30 < len(records) < 60  # some are mostly fat and glass
    train = ["train", "paper_se_resnet50", "--smoke", "--data", str(out / "cohort.csv")]
    assert main([*train, "--out", str(tmp_path / "run")]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["protocol"], metrics["epochs"]) == ("tile-random", 1)
    assert abs(metrics["test"]["tiles"] - 0.2 * len(records)) <= 1
    assert main(["evaluate", str(tmp_path / "run"), "--out", str(tmp_path / "evaluation")]) == 0
    assert "tile-random (the paper's)" in capsys.readouterr().out
    field = read_image(records[0].path)[:64, :64]  # the smoke size
    (tmp_path / "field.png").write_bytes(encode_png(field))
    explained = ["explain", str(tmp_path / "field.png"), "--model", str(tmp_path / "run")]
    assert main([*explained, "--out", str(tmp_path / "maps")]) == 0
    assert len(list((tmp_path / "maps").glob("*.png"))) >= 1
