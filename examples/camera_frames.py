"""Cut a camera's frames into tiles and classify them, wherever the stage stands. Research use only.

python examples/camera_frames.py frames/ --mpp 0.25 [--model her2-int8.tflite]

A picture of `frames/` stands for a frame. Its name says where the stage was, in pixels: `x2048_y0.png`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import her2edge as he
from her2edge.slide import list_images, read_image
from her2edge.tile import Pixels


def grab(folder: Path) -> Iterator[tuple[Pixels, float, float]]:
    """Replace this by your camera: a frame, (h, w, 3) uint8 RGB (OpenCV gives BGR), and the stage's x, y."""
    for path in list_images(folder):
        place = re.search(r"x(\d+)_y(\d+)", path.name)
        if place is None:
            raise SystemExit(f"{path.name}: found no place, expected a name like x2048_y0.png")
        yield read_image(path), float(place[1]), float(place[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--mpp", type=float, required=True, help="um per pixel of the frames")
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    given = parser.parse_args()
    model = he.Model.load(given.model) if given.model else he.Model.demo()
    classifier = he.TileClassifier(model)

    def tiles() -> Iterator[he.Tile]:
        for frame, x, y in grab(given.frames):
            yield from he.tiles_of(frame, model, mpp=given.mpp, x=x, y=y, slide="on the stage")

    results = []
    for result in classifier.stream(tiles()):
        print(f"{result.x:.0f},{result.y:.0f} {result.outcome} {result.label or result.error or ''}")
        results.append(result)
    answer = he.answer_slide(results, model)
    print(f"{answer.status}: {' or '.join(answer.labels)}", *(reason.sentence for reason in answer.reasons))


if __name__ == "__main__":
    main()
