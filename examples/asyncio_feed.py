"""Classify tiles inside an event loop, which goes on serving others meanwhile. Research use only.

python examples/asyncio_feed.py tiles/ [--model her2-int8.tflite]
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import her2edge as he
from her2edge.slide import list_images, read_image


async def push(feed: he.TileFeed, tiles: Path) -> None:
    """Reading and submitting may wait, so each is done in a thread."""
    for path in list_images(tiles):
        pixels = await asyncio.to_thread(read_image, path)
        await asyncio.to_thread(feed.submit, he.Tile(pixels, slide=path.name))
    await asyncio.to_thread(feed.close)  # ends `results` when the last tile is answered


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tiles", type=Path, help="a folder of tile images of the model's size")
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    given = parser.parse_args()
    model = he.Model.load(given.model) if given.model else he.Model.demo()
    classifier = await asyncio.to_thread(he.TileClassifier, model)  # starts the network: some 0.2 s
    async with classifier.feed() as feed:
        results = feed.results()  # before the first tile is submitted
        pushing = asyncio.create_task(push(feed, given.tiles))
        async for result in results:
            print(f"{result.slide}: {result.outcome} {result.label or result.error or ''}")
        await pushing  # raises what reading a tile raised
    print(feed.ledger)


if __name__ == "__main__":
    asyncio.run(main())
