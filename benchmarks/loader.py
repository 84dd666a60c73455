"""What making training batches costs: tiles/s with 1 and 2 workers, CPU ms per tile, beside the plain way.

    .venv/bin/python benchmarks/loader.py [--images FOLDER] [--tiles 256] [--rounds 3] [--save NAME]

Tiles of 512 px are written as PNG, then read by a `TileSequence` with flips, turns and stain jitter: cold
(each is decoded, normalised and put into an empty tile cache, as in the first epoch), from the cache and from
memory (as from the second epoch on). The plain way is one thread of Pillow, the SDK's normaliser and NumPy, a
tile after the other, as the loader was at first. Ways take turns. CPU time is that of all threads of the
process, so 1,000 tiles/s take as many cores as a tile takes CPU ms. Tiles come from the system's page cache.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness import save
from images import crops, synthetic_tiles
from training_tables import loader

from her2edge.slide.images import encode_png, read_image
from her2edge.stain import TARGETS, MacenkoNormalizer, StainFit
from her2edge_training.cohort.stains import StainJitter, stain_normalizer
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_cache import open_cache
from her2edge_training.cohort.tile_list import LABELS, TileRecord
from her2edge_training.network.sequence import TileSequence
from her2edge_training.recipe import Stain

BATCH, JITTER, WORKERS = 16, 0.2, (1, 2)
PICTURES = 32  # different ones; more tiles repeat them under other names
STAIN = Stain()
TARGET = TARGETS["macenko"]


@dataclass
class Timed:
    """Of each round: tiles per second and CPU milliseconds per tile."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def measure(self, work: Callable[[], int]) -> None:
        """work: returns how many tiles it has made."""
        wall, cpu = time.perf_counter(), time.process_time()
        tiles = work()
        self.rates.append(tiles / (time.perf_counter() - wall))
        self.cpu.append(1e3 * (time.process_time() - cpu) / tiles)

    def result(self) -> dict[str, float]:
        """Medians; spread: (largest - smallest) / median of the CPU time."""
        middle = median(self.cpu)
        spread = (max(self.cpu) - min(self.cpu)) / middle
        return {
            "tiles_per_s": round(median(self.rates), 1),
            "cpu_ms": round(middle, 3),
            "spread": round(spread, 3),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of H&E images; default: synthetic tissue")
    parser.add_argument("--tiles", type=int, default=256)
    parser.add_argument("--px", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    given = parser.parse_args()
    if given.tiles < BATCH:
        raise SystemExit(f"found --tiles {given.tiles}, expected a batch of {BATCH} at least")
    with tempfile.TemporaryDirectory() as folder:
        records = write_tiles(Path(folder), given.images, given.tiles, given.px)
        times = compare(records, Path(folder), given.px, given.rounds)
    result = {"tiles": given.tiles, "px": given.px, "real": bool(given.images)}
    result["ways"] = {name: timed.result() for name, timed in times.items()}
    ways = result["ways"]
    result["cold_beside_plain"] = round(ways["cold, 1 worker"]["cpu_ms"] / ways["plain, cold"]["cpu_ms"], 2)
    print("\n".join(loader(result)))
    if given.save:
        print(save("loader", result, given.save))


def write_tiles(folder: Path, images: Path | None, count: int, px: int) -> list[TileRecord]:
    """PNG files of tissue, and their records."""
    pictures = crops(images, px, PICTURES) if images else synthetic_tiles(min(PICTURES, count), px)
    encoded = [encode_png(pixels) for pixels in pictures]
    records = []
    for number in range(count):
        # bytes after a PNG's end make it another file of the same pixels
        data = encoded[number % len(encoded)] + str(number).encode()
        (folder / f"{number}.png").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        who = ("slide", "patient", "site", LABELS[number % 3])
        records.append(TileRecord(f"{number}.png", folder, *who, 0, 0, 0.25, 0.9, digest))
    return records


def compare(records: list[TileRecord], folder: Path, px: int, rounds: int) -> dict[str, Timed]:
    """Every way in turns; the first of all rounds is warm-up and not counted."""
    times: dict[str, Timed] = {}
    for turn in range(rounds + 1):
        for name, work in ways(records, folder / str(turn), px):
            timed = times.setdefault(name, Timed())
            timed.measure(work)
        if turn == 0:
            times.clear()
    return times


def ways(records: list[TileRecord], folder: Path, px: int) -> Any:
    """Names, and what makes all batches of an epoch; each is done before the next is asked for."""
    normalize = stain_normalizer(STAIN)
    plain: dict[str, Any] = {}
    yield "plain, cold", lambda: plain_epoch(records, plain, 1)
    yield "plain, from memory", lambda: plain_epoch(records, plain, 2)
    plain.clear()
    for workers in WORKERS:
        name = f"{workers} worker" + "s" * (workers > 1)
        said: list[str] = []
        cache = open_cache(folder / str(workers), STAIN, normalize, said.append)
        cached = batches(records, TileStore(normalize, 0, cache=cache), px, workers)
        yield f"cold, {name}", lambda cached=cached: epoch(cached, 1)
        if cache is None or not cache.grows:
            raise SystemExit(f"found no room for a tile cache ({said[-1]}): free some space")
        epoch(cached, 2)  # pixels are held against their check when they are first read
        yield f"from the cache, {name}", lambda cached=cached: epoch(cached, 3)
        cache.close()
        memory = batches(records, TileStore(normalize, len(records) * px * px * 3 // 2**20 + 1), px, workers)
        epoch(memory, 1)
        yield f"from memory, {name}", lambda memory=memory: epoch(memory, 2)


def batches(records: list[TileRecord], store: TileStore, px: int, workers: int) -> TileSequence:
    """Training batches of whole tiles."""
    return TileSequence(
        records,
        LABELS,
        store,
        tile_px=px,
        batch=BATCH,
        training=True,
        augmentations=("flip", "rotate90"),
        jitter=StainJitter(JITTER, TARGET),
        workers=workers,
    )


def epoch(sequence: TileSequence, number: int) -> int:
    """Make an epoch's batches and return how many tiles they hold."""
    sequence.epoch = number
    return sum(len(sequence[index][0]) for index in range(len(sequence)))


def plain_epoch(records: list[TileRecord], kept: dict[str, Any], number: int) -> int:
    """As `epoch`, in one thread."""
    normalizer, made = MacenkoNormalizer(), 0
    for start in range(0, len(records) - BATCH + 1, BATCH):
        batch = []
        for record in records[start : start + BATCH]:
            random = np.random.default_rng((number, made + len(batch)))
            pixels = kept.get(record.tile)
            if pixels is None:
                assert hashlib.sha256(record.path.read_bytes()).hexdigest() == record.sha256
                pixels = kept[record.tile] = normalizer.normalize(read_image(record.path)).pixels
            down, right = (1 - 2 * int(flip) for flip in random.integers(2, size=2))
            turned = np.rot90(pixels[::down, ::right], int(random.integers(4)))
            factors = random.uniform(1 - JITTER, 1 + JITTER, 2)
            fit = StainFit(TARGET.stain_matrix, TARGET.max_concentration / factors, TARGET.profile)
            batch.append(normalizer.normalize(np.ascontiguousarray(turned), fit=fit).pixels)
        made += len(np.stack(batch))
    return made


if __name__ == "__main__":
    main()
