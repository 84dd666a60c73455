"""The tables of training and conversion, from what loader.py and conversions.py kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from speed import where

from her2edge.tables import markdown
from her2edge.text import percent


def loader(found: dict[str, Any]) -> Iterator[str]:
    """What a training tile costs, cold and from the second epoch on."""
    kind = "real" if found["real"] else "synthetic"
    place = f"{where(found)}; " if "machine" in found else ""
    yield f"{place}{found['tiles']} {kind} tiles of {found['px']} px, medians in turns:"
    yield ""
    rows = [
        (name, f"{way['tiles_per_s']:.0f}", f"{way['cpu_ms']:.2f}", percent(way["spread"], 0))
        for name, way in found["ways"].items()
    ]
    yield from markdown(("way", "tiles/s", "CPU ms per tile", "spread"), rows)
    yield ""
    yield (
        f"The first epoch takes {found['cold_beside_plain']} times the CPU of the plain way's, one thread of "
        "Pillow and NumPy."
    )


def conversions(found: dict[str, Any]) -> Iterator[str]:
    """Every network in every scheme, beside its float32."""
    tiles = found["rows"][0]["tiles"]
    yield (
        f"{where(found)}; study recipes, synthetic tissue of 80 px, {tiles:,} held-out tiles; "
        f"training for int8 at most {found['qat_minutes']:g} minutes:"
    )
    yield ""
    columns = (
        "network", "scheme", "another class", "at most (95 %)", "right", "worst layer", "float32 takes",
        "MB", "gate",
    )  # fmt: skip
    yield from markdown(columns, [_conversion(row) for row in found["rows"]])


def _conversion(row: dict[str, Any]) -> tuple[str, ...]:
    worst = row["worst_layer"]
    return (
        row["network"],
        row["scheme"],
        f"{row['flips']:,}",
        percent(row["flips_at_most"], 2),
        percent(row["accuracy"], 1),
        "-" if worst is None else f"{worst['snr_db']:.0f} dB ({worst['kind']})",
        f"{row['float32_takes']:.2f} times as long",
        f"{row['megabytes']:.1f}",
        "refuses" if row["reasons"] else "passes",
    )
