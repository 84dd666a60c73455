"""Stain and tissue kernels against torchstain (NumPy, PyTorch) and OpenCV, one core, one run.

    .venv/bin/python benchmarks/kernels.py --images FOLDER [--save NAME]

FOLDER holds H&E images; every whole crop of them, at most 40 spread evenly, is an input. Without it:
synthetic tissue. torchstain and, for its faster version, PyTorch are compared where they are installed
(`pip install ".[bench]"`). Inputs are converted for PyTorch outside the timed part.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from harness import describe, ratio, save, take_turns
from images import crops, synthetic_tiles
from threadpoolctl import threadpool_limits

from her2edge import MacenkoNormalizer, TissueFilter
from her2edge.stain import TARGETS
from her2edge.tile import Pixels

SIZES = (256, 512, 1024)
TILES = 40
FIRST_TILE = """
import time; began = time.perf_counter()
import numpy as np
from her2edge import MacenkoNormalizer
from her2edge.stain import TARGETS
imported = time.perf_counter()
amounts = np.random.default_rng(1).gamma(2.0, 0.3, (2, 512 * 512))
pixels = (240 * np.exp(-TARGETS["macenko"].stain_matrix @ amounts)).T.reshape(512, 512, 3).astype(np.uint8)
began_tile = time.perf_counter()
assert MacenkoNormalizer().normalize(pixels).status == "ok"
print(imported - began, time.perf_counter() - began_tile)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of H&E images; default: synthetic tissue")
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    result: dict[str, Any] = {"versions": versions(), "start": start_times()}
    with threadpool_limits(1):
        for size in SIZES:
            tiles = crops(arguments.images, size, TILES) if arguments.images else synthetic_tiles(TILES, size)
            result[str(size)] = {"tiles": len(tiles), "real": bool(arguments.images), **compare(tiles)}
            print(f"{size} px, {len(tiles)} tiles")
            for name, times in result[str(size)]["times"].items():
                print(f"  {name:24} {times['median_ms']:8.3f} ms")
            for name, times_faster in result[str(size)]["ratios"].items():
                print(f"  {name:48} {times_faster:6.1f}")
    print("start, seconds:", result["start"])
    if arguments.save:
        print(save("kernels", result, arguments.save))


def compare(tiles: list[Pixels]) -> dict[str, Any]:
    """Times and ratios of everything installed, on tiles of one size."""
    fit = TARGETS["macenko"]
    fast, exact, rule = MacenkoNormalizer(), MacenkoNormalizer(exact=True), TissueFilter()
    ours: dict[str, Callable[[Any], object]] = {
        "fast": lambda tile: fast.normalize(tile),
        "exact": lambda tile: exact.normalize(tile),
        "fast, given fit": lambda tile: fast.normalize(tile, fit=fit),
    }
    peers, inputs = torchstain_peers(tiles)
    stain = take_turns(
        {name: (lambda pair, f=function: f(pair[0])) for name, function in ours.items()} | peers, inputs
    )
    grey = take_turns(
        {
            "background share": lambda tile: rule.background_share(tile),
            "grey histogram": lambda tile: rule.histogram(tile),
            "OpenCV grey histogram": lambda tile: cv2.calcHist(
                [cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY)], [0], None, [256], [0, 256]
            ),
        },
        tiles,
        rounds=5,
    )
    ratios = {f"{peer} / {own}": ratio(stain, peer, own) for peer in peers for own in ours}
    ratios |= {
        f"OpenCV grey histogram / {own}": ratio(grey, "OpenCV grey histogram", own)
        for own in ("background share", "grey histogram")
    }
    return {"times": describe(stain | grey), "ratios": ratios}


def torchstain_peers(tiles: list[Pixels]) -> tuple[dict[str, Callable[[Any], object]], list[Any]]:
    """torchstain's functions of (tile, tensor or None), and those pairs."""
    peers: dict[str, Callable[[Any], object]] = {}
    tensors: list[Any] = [None] * len(tiles)
    try:
        from torchstain.numpy.normalizers import NumpyMacenkoNormalizer
    except ImportError:
        print("torchstain is not installed: only our own times follow")
        return peers, list(zip(tiles, tensors, strict=True))
    with_numpy = NumpyMacenkoNormalizer()
    peers["torchstain NumPy"] = lambda pair: with_numpy.normalize(pair[0], stains=False)
    try:
        import torch
        from torchstain.torch.normalizers import TorchMacenkoNormalizer
    except ImportError:
        print("PyTorch is not installed: torchstain on PyTorch is left out")
    else:
        torch.set_num_threads(1)
        with_torch = TorchMacenkoNormalizer()
        peers["torchstain PyTorch"] = lambda pair: with_torch.normalize(pair[1], stains=False)
        tensors = [torch.from_numpy(np.moveaxis(tile, -1, 0).copy()) for tile in tiles]
    return peers, list(zip(tiles, tensors, strict=True))


def start_times() -> dict[str, float]:
    """Seconds of import and of the first tile in a fresh process, kernels compiled and kernels cached."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": f"{folder}/cache"}
        runs = [
            subprocess.run(
                [sys.executable, "-c", FIRST_TILE],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()
            for _ in range(6)
        ]
    compiled, *cached = [(float(imported), float(first)) for imported, first in runs]
    return {
        "import_s": round(median(imported for imported, _ in cached), 3),
        "first_tile_compiled_s": round(compiled[1], 3),
        "first_tile_cached_s": round(median(first for _, first in cached), 3),
    }


def versions() -> dict[str, str]:
    """Versions of what is compared."""
    found = {}
    for package in ("numpy", "numba", "opencv-python-headless", "torchstain", "torch"):
        try:
            found[package] = metadata.version(package).partition("+")[0]
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
