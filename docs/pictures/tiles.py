"""Draws the way of a tile, and tiles of four laboratories before and after their stains are normalised.

.venv/bin/python docs/pictures/tiles.py [--out DIR]        (half a minute)

Everything is computed by the SDK with the embedded demo model, on synthetic tissue.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import her2edge as he
from her2edge.text import percent
from her2edge.tile import Pixels
from her2edge_training.synthetic import SITES, make_slide_model, make_tile

HERE = Path(__file__).parent
LABEL, SEED = "3+", 7
TISSUE = 0.75  # of the first tile; the rest is glass
COLOURS = 256  # of a picture: it stays small
SMALL = {"font.size": 9, "font.family": "DejaVu Sans"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="Default: this folder.")
    to = parser.parse_args().out
    mpl.rcParams.update(SMALL)
    keep(way(), to / "way-of-a-tile.png")
    keep(stains(), to / "stains.png")


def way() -> Figure:
    """Five steps of one tile, from left to right."""
    classifier = he.TileClassifier(he.Model.demo())
    size = classifier.model.tile_px
    pixels = make_tile(make_slide_model(LABEL, SITES[1], SEED), 0, size, tissue=TISSUE).pixels
    rule = he.TissueFilter()
    normal = he.MacenkoNormalizer().normalize(pixels).pixels
    explanation = classifier.explain(pixels)
    background = percent(rule.background_share(pixels))
    result = explanation.result
    figure = Figure(figsize=(11, 2.9), dpi=100, layout="constrained")
    axes = figure.subplots(1, 5)
    steps = (
        ("1  A tile of the slide", pixels),
        (f"2  Tissue or background?\n{background} background (grey): kept", veiled(pixels, rule)),
        ("3  Its stains, normalised", normal),
        (f"4  What speaks for {explanation.label}\n(Grad-CAM)", explanation.overlay(normal)),
    )
    for axis, (title, picture) in zip(axes, steps, strict=False):
        show(axis, picture, title)
    bars(axes[-1], result, classifier.model)
    return figure


def veiled(pixels: Pixels, rule: he.TissueFilter) -> Pixels:
    """The tile with what the rule calls background in flat grey."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    out = pixels.copy()
    out[(grey >= rule.low) & (grey <= rule.high)] = (190, 190, 190)
    return out


def bars(axis: Any, result: he.TileResult, model: he.Model) -> None:
    """The probabilities of the labels, in their colours."""
    classes = model.manifest.classes
    names = [one.label for one in classes]
    values = np.asarray(result.probabilities, np.float64)
    axis.barh(names, values, color=[np.array(one.color) / 255 for one in classes])
    axis.set_xlim(0, 1)
    axis.set_xticks([0, 0.5, 1])
    axis.set_xlabel("probability")
    axis.set_title("5  Its answer, which votes\nfor the slide", loc="left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)


def stains() -> Figure:
    """A tile of each synthetic site above, the same tile normalised below."""
    normalizer = he.MacenkoNormalizer()
    figure = Figure(figsize=(8.4, 4.6), dpi=100, layout="constrained")
    axes = figure.subplots(2, len(SITES))
    for column, site in enumerate(SITES):
        pixels = make_tile(make_slide_model(LABEL, site, SEED), 0, 512).pixels
        show(axes[0, column], pixels, f"laboratory {column + 1}")
        show(axes[1, column], normalizer.normalize(pixels).pixels, "")
    for axis, words in ((axes[0, 0], "as scanned"), (axes[1, 0], "normalised")):
        axis.set_ylabel(words)
    return figure


def show(axis: Any, picture: Pixels, title: str) -> None:
    axis.imshow(picture)
    axis.set_title(title, loc="left", fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])


def keep(figure: Figure, path: Path) -> None:
    """As PNG of few colours."""
    figure.savefig(path)
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
