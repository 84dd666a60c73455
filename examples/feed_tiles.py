"""Push tiles as a scanner does, from a thread of its own; results come by a callback. Research use only.

python examples/feed_tiles.py tiles/ [--model her2-int8.tflite]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import her2edge as he
from her2edge.slide import list_images, read_image


def show(result: he.TileResult) -> None:
    """Called for each tile, in the feed's own thread."""
    print(f"{result.slide}: {result.outcome} {result.label or result.error or ''}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tiles", type=Path, help="a folder of tile images of the model's size")
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    given = parser.parse_args()
    model = he.Model.load(given.model) if given.model else he.Model.demo()
    classifier = he.TileClassifier(model)
    # "block": nothing is lost, `submit` waits for room. "drop_oldest" never makes the scanner wait.
    with classifier.feed(on_result=show, capacity=64, policy="block") as feed:
        for path in list_images(given.tiles):
            feed.submit(he.Tile(read_image(path), slide=path.name))
    print(feed.ledger)  # every tile that was submitted, by what became of it


if __name__ == "__main__":
    main()
