"""What `explain` writes and says of its tiles: pictures, explain.csv, and what cannot be explained once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from her2edge import Her2EdgeError
from her2edge.explain import Explanation
from her2edge.files import write_bytes
from her2edge.results.explain_sheet import draw_explanation, probability, words
from her2edge.slide import encode_png
from her2edge.tables import Cell, write_csv
from her2edge.text import shown
from her2edge.tile import Pixels
from her2edge_cli import exits

TABLE = "explain.csv"


@dataclass(frozen=True)
class Row:
    """A tile in explain.csv: its picture and its explanation, or the error.

    name: of the tile's file, or of the slide; which, x, y: of a slide's tile, see `ChosenTile`.
    """

    name: str
    file: str = ""
    explanation: Explanation | None = None
    error: Her2EdgeError | None = None
    which: str = ""
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True)
class Sheet:
    """Where pictures and table go, the labels and the notice they carry; mpp: um per pixel of tiles."""

    out: Path
    labels: tuple[str, ...]
    notice: str
    mpp: float

    def draw(self, file: str, explanation: Explanation, pixels: Pixels, about: str) -> None:
        """Write a tile's picture and print its line; raises OutputError."""
        picture = draw_explanation(explanation, pixels, self.labels, self.notice, self.mpp)
        write_bytes(self.out / file, encode_png(picture))
        click.echo(f"{about}: {words(explanation, self.labels)}: {shown(str(self.out / file))}")

    def write_table(self, rows: Iterable[Row]) -> None:
        """explain.csv: peak is the map's largest value, in units of the logit; x, y level-0 pixels."""
        chances = [f"p {label}" for label in self.labels]
        answer = ("label", "probability", "peak", "predicted", *chances, "tissue_fraction", "stain_status")
        formats = dict.fromkeys(("probability", *chances, "tissue_fraction"), ".6f") | {"peak": ".6g"}
        write_csv(
            self.out / TABLE,
            ("tile", "file", "which", "x", "y", *answer, "error", "notice"),
            (
                (
                    row.name, row.file, row.which, row.x, row.y, *self._cells(row, len(answer)),
                    "" if row.error is None else str(row.error), self.notice,
                )
                for row in rows
            ),
            formats | {"x": ".12g", "y": ".12g"},
        )  # fmt: skip
        click.echo(f"table: {shown(str(self.out / TABLE))}")

    def _cells(self, row: Row, count: int) -> list[Cell]:
        """The answer's columns, empty where there is none."""
        if row.explanation is None:
            return [None] * count
        result = row.explanation.result
        chances = () if result.probabilities is None else map(float, result.probabilities)
        return [
            row.explanation.label,
            probability(row.explanation, self.labels),
            float(row.explanation.map.max()),
            result.label,
            *chances,
            result.tissue_fraction,
            result.stain_status,
        ]


def say_wrong(rows: list[Row]) -> list[int]:
    """Say each kind of error once, with how many tiles have it; returns the exit codes of all."""
    kinds: dict[tuple[type, str], list[Row]] = {}
    codes: list[int] = []
    for row in rows:
        if row.error is not None:
            codes.append(exits.exit_code(row.error))
            plain = re.sub(r"[\d.]+", "0", str(row.error).replace(row.name, ""))
            kinds.setdefault((type(row.error), plain), []).append(row)
    for same in kinds.values():
        first = same[0]
        about = "" if first.name in str(first.error) else f"{first.name}: "
        many = f"{len(same)} of {len(rows)} tiles are not explained, the first: " if len(same) > 1 else ""
        click.echo(f"her2edge: {many}{about}{first.error}", err=True)
    return codes
