"""Classify the slides that are put into a folder, each once, for ever. Research use only.

python examples/watch_folder.py slides/ results/ [--model her2-int8.tflite] [--mpp 0.25] [--once]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import her2edge as he
from her2edge.watch import Looked, Watcher, WatchOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--mpp", type=float, help="um per pixel, where slides do not state it")
    parser.add_argument("--still", type=float, default=10, help="seconds until a file counts as whole")
    parser.add_argument("--once", action="store_true", help="end when all slides that are there are done")
    given = parser.parse_args()
    model = he.Model.load(given.model) if given.model else he.Model.demo()
    classifier = he.TileClassifier(model)

    def work(path: Path) -> he.SlideRun:
        return he.classify_slide(path, given.out, classifier, default_mpp=given.mpp)

    def tell(event: object) -> None:
        if not isinstance(event, Looked):
            print(event)

    Watcher(given.folder, given.out, work, tell, WatchOptions(still_for=given.still)).run(once=given.once)


if __name__ == "__main__":
    main()
