"""Classify tiles one after the other as they are read, and sum them up. Research use only.

python examples/stream_tiles.py case.svs [--model her2-int8.tflite] [--mpp 0.25]
"""

from __future__ import annotations

import argparse

import her2edge as he


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", help="a slide, a plain image, or a folder of tile images")
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--mpp", type=float, help="um per pixel, where the slide does not state it")
    given = parser.parse_args()
    model = he.Model.load(given.model) if given.model else he.Model.demo()
    classifier = he.TileClassifier(model)
    results = []
    with he.SlideReader(given.slide, mpp=given.mpp) as slide:
        for result in classifier.stream(slide.tiles(model)):  # in order, one for each tile
            print(f"{result.x:.0f},{result.y:.0f} {result.outcome} {result.label or result.error or ''}")
            results.append(result)
        read = he.results.tiles_read(classifier, slide)
    answer = he.answer_slide(results, model, read=read)
    print(f"{answer.status}: {' or '.join(answer.labels)}", *(reason.sentence for reason in answer.reasons))


if __name__ == "__main__":
    main()
