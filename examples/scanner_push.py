"""Push tiles as a scanner does. Ctrl-C or SIGTERM ends it within seconds; every tile is accounted for.

python examples/scanner_push.py tiles/ [--model her2-int8.tflite] [--every 0.1]
"""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

import her2edge as he
from her2edge.slide import list_images, read_image

GRACE = 10.0  # seconds for the tiles that still wait when it is to end


def show(result: he.TileResult) -> None:
    """Called for each tile, in the feed's own thread; a slow one delays no other tile."""
    print(f"{result.slide}: {result.outcome} {result.label or result.error or ''}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, epilog="Research use only.")
    parser.add_argument("tiles", type=Path, help="a folder of tile images of the model's size")
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--every", type=float, default=0.0, help="seconds between two tiles")
    given = parser.parse_args()

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    model = he.Model.load(given.model) if given.model else he.Model.demo()
    classifier = he.TileClassifier(model)
    # "block": nothing is dropped, `submit` waits for room. "drop_oldest" never makes the scanner wait.
    with classifier.feed(on_result=show, capacity=64, policy="block") as feed:
        for path in list_images(given.tiles):
            if stop.wait(given.every):
                break
            feed.submit(he.Tile(read_image(path), slide=path.name))
        if not feed.close(timeout=GRACE):  # takes no more tiles, finishes those that wait
            print(f"not everything was done within {GRACE:.0f} seconds")
    print(feed.ledger)  # every tile that was submitted, by what became of it


if __name__ == "__main__":
    main()
