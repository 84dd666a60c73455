"""Draws the pictures of docs/qupath.md from what her2edge itself writes; no picture is of QuPath.

.venv/bin/python docs/pictures/qupath.py FOLDER    (FOLDER: where the demo slide and its results go)
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from her2edge import Model, TileClassifier, classify_slide
from her2edge.regions import Regions
from her2edge.results.scale_bar import with_scale_bar
from her2edge_cli.main import main as her2edge

HERE = Path(__file__).parent
MPP, WIDTH = 0.25, 760  # um per pixel of the demo slide; px of the pictures
OUTLINE = [[500, 700], [1900, 500], [1950, 2200], [450, 2150], [500, 700]]  # level-0 pixels
FILL = 0.45  # opacity of a tile's class colour


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    her2edge(["demo", "--out", str(folder)])
    slide = next(folder.glob("synthetic-*.png"))
    whole = next(path for path in folder.iterdir() if path.is_dir())
    save("qupath-tiles.png", with_tiles(cv2.imread(str(slide)), whole / "tiles.geojson"))
    regions = folder / "regions.geojson"
    regions.write_text(json.dumps({"type": "FeatureCollection", "features": [drawn("Tumor", OUTLINE)]}))
    classifier = TileClassifier(Model.demo())
    run = classify_slide(slide, folder / "regions", classifier, mpp=MPP, regions=Regions(regions, ("Tumor",)))
    picture = cv2.imread(str(run.folder / "heatmap.png"))
    save("qupath-regions.png", cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA))


def with_tiles(slide: np.ndarray, geojson: Path) -> np.ndarray:
    """The slide with the objects of tiles.geojson, each in the colour that the file states for it."""
    scale = WIDTH / slide.shape[1]
    picture = cv2.resize(slide, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    filled = picture.copy()
    for feature in json.loads(geojson.read_text())["features"]:
        properties = feature["properties"]
        colour = properties.get("color", properties["classification"]["color"])[::-1]
        ring = np.rint(np.array(feature["geometry"]["coordinates"][0]) * scale).astype(np.int32)
        cv2.fillPoly(filled, [ring], colour)
        cv2.polylines(picture, [ring], True, colour, 2, cv2.LINE_AA)
    picture = cv2.addWeighted(picture, 1 - FILL, filled, FILL, 0)
    return with_scale_bar(np.ascontiguousarray(picture[..., ::-1]), MPP / scale)[..., ::-1]


def drawn(name: str, ring: list[list[int]]) -> dict[str, object]:
    """An annotation as QuPath exports it."""
    classification = {"name": name, "color": [200, 0, 0]}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": classification},
    }


def save(name: str, picture: np.ndarray) -> None:
    (HERE / name).write_bytes(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


if __name__ == "__main__":
    main()
