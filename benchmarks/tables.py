"""Writes the tables of README.md from benchmarks/results/*.json; `--check` only says if they are current.

    .venv/bin/python benchmarks/tables.py [--check]

A table stands between `<!-- table: PART -->` and `<!-- end -->`, PART being `edge`, `kernels` or `latency`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from harness import RESULTS

README = RESULTS.parents[1] / "README.md"
GRAPHS = {
    "plain": "the converter's own",
    "packed": "+ packed stem",
    "strides": "+ even positions only at stage ends",
    "shortcuts": "+ merged shortcuts",
    "portable": "`portable`: both graph rewrites",
    "fast": "`fast`: all three",
}
OWN = {"fast": "fast", "exact": "exact", "fast, given fit": "fast, with a fit given"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    text = README.read_text()
    current = fill(text)
    if parser.parse_args().check:
        raise SystemExit(0 if current == text else "README.md: run benchmarks/tables.py")
    README.write_text(current)


def fill(text: str) -> str:
    """The text with every table made anew."""

    def table(match: re.Match[str]) -> str:
        part = match[1]
        records = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
        rows = [line for record in records if part in record for line in ("", *TABLES[part](record[part]))]
        return "\n".join([f"<!-- table: {part} -->", *rows, "", "<!-- end -->"])

    return re.sub(r"<!-- table: (\w+) -->.*?<!-- end -->", table, text, flags=re.DOTALL)


def kernels(found: dict[str, Any]) -> Iterator[str]:
    """Times at 512 px and how many times faster than each peer, by size."""
    at = found["512"]
    kind = "real" if at["real"] else "synthetic"
    yield f"{where(found)}, one core; medians over {at['tiles']} {kind} tiles:"
    yield ""
    yield "| Macenko, 512 x 512 px | ms | torchstain NumPy takes | torchstain PyTorch takes |"
    yield "|---|---|---|---|"
    for key, name in OWN.items():
        ratios = [at["ratios"].get(f"torchstain {peer} / {key}") for peer in ("NumPy", "PyTorch")]
        times = " | ".join("-" if value is None else f"{value:.1f} times as long" for value in ratios)
        yield f"| {name} | {at['times'][key]['median_ms']:.2f} | {times} |"
    yield ""
    share, histogram = (
        at["ratios"][f"OpenCV grey histogram / {own}"] for own in ("background share", "grey histogram")
    )
    start, taken = found["start"], at["times"]["background share"]["median_ms"]
    yield (
        f"The background share of a tile takes {taken:.2f} ms (OpenCV's "
        f"grey histogram: {share:.1f} times as long), all 256 bins {1 / histogram:.1f} times OpenCV's. "
        f"A process imports in {start['import_s']:.1f} s; its first tile takes "
        f"{start['first_tile_cached_s']:.1f} s with cached kernels, {start['first_tile_compiled_s']:.1f} s "
        "where they are compiled."
    )


def latency(found: dict[str, Any]) -> Iterator[str]:
    """Milliseconds of each stage, by threads."""
    yield f"{where(found)}; {found['model']} ({found['scheme']}), {found['tile_px']} px tiles, medians:"
    yield ""
    yield "| threads | tissue filter | stain | network | start-up |"
    yield "|---|---|---|---|---|"
    for threads, stages in found["threads"].items():
        cells = " | ".join(f"{stages[stage]['median_ms']:.2f} ms" for stage in ("filter", "stain", "infer"))
        yield f"| {threads} | {cells} | {stages['start_up_ms']} ms |"


def edge(found: dict[str, Any]) -> Iterator[str]:
    """Milliseconds of each rewrite and how many times faster than the converter's own output, by runtime."""
    runtimes = [name for name in ("LiteRT", "OpenVINO") if name in found]
    versions = ", ".join(f"{name} {found[name]['version']}" for name in runtimes)
    yield (
        f"{where(found)}; {found['network']} (int8), {found['tile_px']} px, {versions}, one thread; "
        f"processor time, medians of {found['pairs']} runs in turns:"
    )
    yield ""
    yield "| graph | " + " | ".join(f"{name} | speed" for name in runtimes) + " |"
    yield "|---" * (1 + 2 * len(runtimes)) + "|"
    for key, name in GRAPHS.items():
        cells = [
            f"{found[runtime]['times'][key]['median_ms']:.0f} ms | {found[runtime]['times_faster'][key]:.2f}"
            for runtime in runtimes
        ]
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    largest = max(found["float_difference"].values())
    yield (
        f"Float outputs of every graph differ by {largest:.0e} of the largest at most; `fast` and `portable` "
        "give the same bits on LiteRT."
    )


def where(found: dict[str, Any]) -> str:
    """The machine in words."""
    machine = found["machine"]
    return f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"


TABLES: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "edge": edge,
    "kernels": kernels,
    "latency": latency,
}


if __name__ == "__main__":
    main()
