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
        f"{where(found)}; study recipes, synthetic tissue of 80 px with classes of "
        f"different density, {tiles:,} held-out tiles; "
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


def student(found: dict[str, Any]) -> Iterator[str]:
    """The teacher, its student, and the same network that learnt labels: figures first, then milliseconds."""
    trained = ", ".join(f"{name} {one['epochs']} epochs" for name, one in found["epochs"].items())
    transfer, tiles = found["transfer"], found["tiles"]
    yield (
        f"{where(found)}; synthetic tissue; each training at most {found['minutes']:g} minutes ({trained}) "
        f"on {transfer['tiles']:,} tiles of {transfer['slides']} slides, {percent(transfer['between'], 0)} "
        f"of them between two classes; judged on {tiles['held']:,} held-out tiles, the same as a worse "
        f"scanner sees them, and {tiles['between']:,} tiles between classes:"
    )
    yield ""
    columns = (
        "network", "right", "right, worse scanner", "as the teacher between classes", "slide labels changed",
        "int8 beside its float: another class", "MB", "gate",
    )  # fmt: skip
    yield from markdown(columns, [_student(row) for row in found["rows"]])
    yield ""
    turned = next(row["between_turned"] for row in found["rows"] if "between_turned" in row)
    yield f"Between classes, the teacher agrees with itself, turned by 90 degrees, on {percent(turned, 1)}."
    for runtime, taken in found["ms"].items():
        ms = ", ".join(f"{name} {one['median_ms']:.1f} ms" for name, one in taken["ms"].items())
        faster = ", ".join(f"{name} {times:.1f}" for name, times in taken["times_faster"].items())
        yield ""
        yield f"{runtime}, one thread, medians in turns: {ms}. Times faster than the teacher: {faster}."


def _student(row: dict[str, Any]) -> tuple[str, ...]:
    teacher = "between_turned" in row
    changed, slides = row["held_slides_changed"]
    return (
        row["network"],
        percent(row["held_accuracy"], 1),
        percent(row["worse_accuracy"], 1),
        "-" if teacher else percent(row["between_agreement"], 1),
        "-" if teacher else f"{changed} of {slides}",
        "-" if teacher else "{:,} of {:,}".format(*row["int8_flips"]),
        f"{row['mb']:.1f}",
        "-" if teacher else "refuses" if row["reasons"] else "passes",
    )
