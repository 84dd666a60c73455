"""What is resident after each step of a process that classifies a slide, as JSON; memory.py shows it.

    .venv/bin/python benchmarks/memory_steps.py SLIDE [MODEL]

It imports nothing at its head, since imports are steps.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FIELDS = {"rss": "VmRSS", "peak": "VmHWM", "own": "RssAnon", "files": "RssFile"}
taken: list[dict[str, Any]] = []


def resident() -> dict[str, float]:
    """MB: now, at most until now, and of what is there now the process's own pages and those of files."""
    status = Path("/proc/self/status").read_text()
    pages = {name: re.search(rf"{key}:\s+(\d+)", status) for name, key in FIELDS.items()}
    return {name: round(1.024e-3 * int(found[1]), 1) for name, found in pages.items() if found}


@contextmanager
def step(name: str) -> Iterator[None]:
    began = time.process_time()
    yield
    taken.append({"step": name, "cpu_seconds": round(time.process_time() - began, 3), **resident()})


def main() -> None:
    slide, *models = sys.argv[1:]
    with step("Python"):
        pass
    with step("NumPy"):
        import numpy as np
    with step("Numba"):
        import numba  # noqa: F401
    with step("OpenCV"):
        import cv2  # noqa: F401
    with step("her2edge"):
        from her2edge import Model, Options, TileClassifier, classify_slide
        from her2edge.runtime.packing import input_shape
    with step("the command"):
        import her2edge_cli.classify  # noqa: F401
        from her2edge_cli.heap import keep_small
    keep_small()
    with step("model file"):
        model = Model.load(models[0]) if models else Model.demo()
    with step("LiteRT, weights packed"):
        classifier = TileClassifier(model, Options(threads=1, self_test=False))
        runtime: Any = classifier.engine.runtime
    with step("network's first run"):  # without a kernel
        place = runtime._input
        pixels = np.zeros(input_shape(model.manifest.input), place["dtype"])
        runtime._interpreter.set_tensor(place["index"], pixels)
        runtime._interpreter.invoke()
    with step("kernels, kept on disk"):
        classifier.classify(model.golden.tiles[0])
    with step("slide and its files"), tempfile.TemporaryDirectory() as out:
        classify_slide(slide, out, classifier, mpp=0.25)
    about = {"model": model.manifest.name, "flatbuffer_mb": round(len(model.flatbuffer) / 1e6, 1)}
    print(json.dumps({**about, "slide": Path(slide).name, "steps": taken}))


if __name__ == "__main__":
    main()
