"""Reading a slide's tiles in several threads, and whether many lanes are fed by it.

    python benchmarks/reading.py --slide SLIDE [--mpp UM] [--isolate] [--places 400] [--rounds 5]

Reading alone with 1, 2 and 4 readers, in turns over the same places. Then a network of 2 ms, a stub that
sleeps without the GIL, on 8 and 16 lanes: the stream beside the slower of reading and network, with the slide
on this machine, and with reading that sleeps too, as on a machine of 64 cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any

from harness import save

from her2edge import SlideReader
from her2edge.classifier import READ_AHEAD
from her2edge.ordered import Deferred, in_order
from her2edge.runtime import Host
from her2edge.slide import TileSize

READERS, LANES = (1, 2, 4), (8, 16)
NETWORK, READ = 0.002, 0.0065  # seconds for a tile: the stub's, and what OpenSlide takes for 512 px
CORES = 64

Tiles = Callable[[], Iterator[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slide", type=Path, required=True)
    parser.add_argument("--mpp", type=float, help="um per pixel, where the slide does not state it")
    parser.add_argument("--isolate", action="store_true", help="read in processes")
    parser.add_argument("--places", type=int, default=400, help="of the slide, spread over it row by row")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    given = parser.parse_args()
    rounds = given.rounds
    with SlideReader(given.slide, default_mpp=given.mpp, isolate=given.isolate) as slide:
        spec = TileSize(512, 0.25)
        places = list(slide.grid(spec))
        first = max(0, len(places) // 2 - given.places // 2)  # neighbours, as a run reads them
        places = places[first : first + given.places]
        result: dict[str, Any] = {"slide": slide.name, "isolate": given.isolate, "places": len(places)}
        result["alone"] = alone(lambda: slide.tiles(spec, places), len(places), rounds)
        tiles, host = partial(slide.tiles, spec, places), Host()
        result["fed"] = [
            fed(f"{host.cores} cores", tiles, len(places), lanes, host, rounds) for lanes in LANES
        ]
    count = 20 * READERS[-1] * LANES[-1]
    result["simulated"] = [
        fed(f"{CORES} cores simulated", partial(_asleep, count), count, lanes, Host(CORES), rounds)
        for lanes in LANES
    ]
    if given.save:
        print(save("reading", result, given.save))


def alone(tiles: Tiles, count: int, rounds: int) -> dict[str, float]:
    """Tiles per second by number of readers, medians of rounds that take turns, after one to warm up."""
    rates: dict[int, list[float]] = {readers: [] for readers in READERS}
    for number in range(rounds + 1):
        for readers, found in rates.items():
            rate = _rate(tiles, count, 2, readers, 0)
            found += [rate] * (number > 0)
    ratios = {n: median(a / b for a, b in zip(rates[n], rates[1], strict=True)) for n in READERS}
    for readers, found in rates.items():
        print(
            f"reading alone, {readers} readers: {median(found):8.1f} tiles/s, {ratios[readers]:.2f} times one"
        )
    return {str(readers): round(median(found), 2) for readers, found in rates.items()}


def fed(name: str, tiles: Tiles, count: int, lanes: int, host: Host, rounds: int) -> dict[str, Any]:
    """The stream beside reading alone and the network alone, in turns; share: of the slower, the median."""
    found: dict[str, list[float]] = {"reading": [], "network": [], "stream": [], "share": []}
    for _ in range(rounds):
        reading = _rate(tiles, count, 2, host.readers, 0)
        network = _rate(lambda: repeat(None, 50 * lanes), 50 * lanes, lanes, 1, NETWORK)
        stream = _rate(tiles, count, lanes, host.readers, NETWORK)
        for part, one in zip(found, (reading, network, stream, stream / min(reading, network)), strict=True):
            found[part].append(one)
    middle = {part: round(median(values), 4) for part, values in found.items()}
    print(
        f"{name}, {host.readers} readers, {lanes} lanes: reading {middle['reading']:.0f}, network "
        f"{middle['network']:.0f}, stream {middle['stream']:.0f} tiles/s: {middle['share']:.3f} of the slower"
    )
    return {"name": name, "readers": host.readers, "lanes": lanes, **middle}


def _rate(tiles: Tiles, count: int, lanes: int, readers: int, seconds: float) -> float:
    """Items per second through lanes that sleep so long, read ahead as `TileClassifier.stream` does."""
    ahead = max(READ_AHEAD, 2 * readers)
    began = time.perf_counter()
    work = partial(_sleep, seconds)
    done = sum(1 for _ in in_order(work, tiles(), lanes, ahead, readers=readers))
    assert done == count
    return done / (time.perf_counter() - began)


def _sleep(seconds: float, _: object) -> None:
    if seconds:
        time.sleep(seconds)


def _asleep(count: int) -> Iterator[None]:
    return Deferred(repeat(partial(_sleep, READ, None), count), None)


if __name__ == "__main__":
    main()
