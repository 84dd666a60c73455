"""Fit the stains of a slide once, keep the fit, and classify with it. Research use only.

python examples/own_stain_fit.py case.svs fit.json [--model her2-int8.tflite] [--mpp 0.25]
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import her2edge as he
from her2edge.stain import StainFit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide")
    parser.add_argument("fit", type=Path, help="read if it is there, else made of the slide and written")
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--mpp", type=float, help="um per pixel, where the slide does not state it")
    given = parser.parse_args()
    model = he.Model.load(given.model) if given.model else he.Model.demo()
    with he.SlideReader(given.slide, mpp=given.mpp) as slide:
        if given.fit.exists():
            fit = StainFit.load(given.fit)
        else:
            # Up to 512 tiles from all over the slide. Of tiles at hand: her2edge.stain.StainAccumulator.
            fit = he.results.fit_slide(slide, model.manifest.stain.profile, model.tissue_filter)
            fit.save(given.fit)
        print("haematoxylin and eosin, optical density of red, green, blue:")
        print(fit.stain_matrix.round(3).T)
        classifier = he.TileClassifier(model, he.Options(stain=fit))
        results = list(classifier.stream(slide.tiles(model)))
    print(Counter(result.stain_status for result in results if result.stain_status))
    print(Counter(result.label for result in results if result.label))


if __name__ == "__main__":
    main()
