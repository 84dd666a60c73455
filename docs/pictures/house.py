"""Draws the house: the rooms of the SDK floor by floor, from the contracts that `make check` holds.

.venv/bin/python docs/pictures/house.py [--check]
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator
from pathlib import Path

import her2edge

HERE = Path(__file__).parent
PICTURE = HERE / "house.svg"
PROJECT = HERE.parents[1] / "pyproject.toml"
WIDTH, FLOOR, GAP, MARGIN, TITLE = 760, 30, 6, 12, 22  # pixels
ROOF, DOOR, ROOM = "#3949ab", "#c5cae9", "#eceff1"  # programs above the SDK, public rooms, all others
WORDS = {ROOF: "#ffffff", DOOR: "#1a237e", ROOM: "#37474f"}
RULE = "A room imports only from floors below it."
LEGEND = (
    (ROOF, "packages that stand on the SDK"),
    (DOOR, "rooms with a public door"),
    (ROOM, "rooms within"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    current = house()
    if not parser.parse_args().check:
        PICTURE.write_text(current, encoding="utf-8")
    elif not PICTURE.exists() or current != PICTURE.read_text(encoding="utf-8"):
        raise SystemExit(f"{PICTURE}: run docs/pictures/house.py")


def floors() -> list[list[tuple[str, str]]]:
    """(name, colour) of each room, the highest floor first."""
    tools = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]
    packages, rooms = tools["contracts"][:2]
    public = {
        *her2edge._ROOMS,
        "classifier",
        "tile",
        "tissue",
    }  # what is at the top of her2edge lies in the last
    above = [[(name, ROOF)] for name in packages["layers"] if name != "her2edge"]
    within = [[name.strip() for name in layer.split("|")] for layer in rooms["layers"]]
    return above + [[(name, DOOR if name in public else ROOM) for name in floor] for floor in within]


def house() -> str:
    """The SVG."""
    rows = floors()
    height = 2 * MARGIN + TITLE + (len(rows) + 1) * (FLOOR + GAP)
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    font = 'font-family="sans-serif" font-size="13" text-anchor="middle"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
        f"<title>{RULE}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{WIDTH / 2:g}" y="{MARGIN + 12}" fill="{WORDS[ROOM]}">{RULE}</text>',
    ]
    for number, row in enumerate([*rows, [(words, colour) for colour, words in LEGEND]]):
        y = MARGIN + TITLE + number * (FLOOR + GAP) + (GAP if number == len(rows) else 0)
        parts.extend(floor(row, y))
    return "\n".join([*parts, "</svg>", ""])


def floor(rooms: list[tuple[str, str]], y: int) -> Iterator[str]:
    """Boxes of one floor, as wide together as the house."""
    wide = (WIDTH - 2 * MARGIN - GAP * (len(rooms) - 1)) / len(rooms)
    for place, (name, colour) in enumerate(rooms):
        x = MARGIN + place * (wide + GAP)
        box = f'x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{FLOOR}" rx="3" fill="{colour}"'
        yield f"<rect {box}/>"
        yield f'<text x="{x + wide / 2:.1f}" y="{y + 20}" fill="{WORDS[colour]}">{name}</text>'


if __name__ == "__main__":
    main()
