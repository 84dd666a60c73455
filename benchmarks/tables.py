"""Writes the tables of the documents from benchmarks/results/*.json; `--check` only says if they are current.

    .venv/bin/python benchmarks/tables.py [--check]

A table stands between `<!-- table: PART -->` and `<!-- end -->`, PART being a key of TABLES: the benchmark of
that name keeps what it needs, latency.py for `bench`. Beside each result with peers, or of the whole way, lie
their pictures.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aarch64_table import aarch64
from answer_tables import calibrated, coverage, drift, settle, settled
from clustered import evaluated_table, gated_table
from cohort_tables import assigned, engine, walls
from harness import RESULTS
from memory_tables import memory
from speed import bench, decode, peers, picture, pipeline, start, where
from training_tables import conversions, loader, student
from whole_tables import pictures_of, whole

from her2edge.tables import markdown
from her2edge.text import percent

ROOT = RESULTS.parents[1]
DOCUMENTS = (
    ROOT / "quantize" / "README.md",
    RESULTS.parent / "README.md",
    ROOT / "docs" / "reliability.md",
    ROOT / "docs" / "explanation" / "calibration.md",
    ROOT / "docs" / "explanation" / "shares.md",
    ROOT / "docs" / "explanation" / "settle.md",
    ROOT / "docs" / "agree-figures.md",
    ROOT / "docs" / "intervals.md",
    ROOT / "docs" / "synthetic.md",
    ROOT / "docs" / "explanation" / "many-machines.md",
    ROOT / "docs" / "recipes.md",
    ROOT / "docs" / "explanation" / "study.md",
    ROOT / "docs" / "explanation" / "arm.md",
    ROOT / "docs" / "explanation" / "memory.md",
    ROOT / "docs" / "reference" / "speed.md",
)
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
    check = parser.parse_args().check
    for path, current in (*((path, fill(path.read_text())) for path in DOCUMENTS), *pictures()):
        if not check:
            path.write_text(current)
        elif not path.exists() or current != path.read_text():
            raise SystemExit(f"{path}: run benchmarks/tables.py")


def pictures() -> Iterator[tuple[Path, str]]:
    """(path, SVG) for each result with peers, and for each slide of one with the whole way."""
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text())
        if "peers" in record:
            yield RESULTS.parent / record["peers"]["picture"], picture(record["peers"])
        if "whole" in record:
            yield from ((RESULTS.parent / name, svg) for name, svg in pictures_of(record["whole"]))


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
    columns = ("Macenko, 512 x 512 px", "ms", "torchstain NumPy takes", "torchstain PyTorch takes")
    rows = []
    for key, name in OWN.items():
        ratios = [at["ratios"].get(f"torchstain {peer} / {key}") for peer in ("NumPy", "PyTorch")]
        times = ("-" if value is None else f"{value:.1f} times as long" for value in ratios)
        rows.append((name, f"{at['times'][key]['median_ms']:.2f}", *times))
    yield from markdown(columns, rows)
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


def study(kept: dict[str, Any]) -> Iterator[str]:
    """Accuracy on held-out tiles by protocol, with its interval, and the site read off the features."""
    found = kept["results"]
    columns = ("network", "by tile (the paper's)", "by slide", "by site", "site told from features (chance)")
    rows = []
    for recipe in dict.fromkeys(one["recipe"] for one in found):
        of = {one["protocol"]: one for one in found if one["recipe"] == recipe}
        cells = [_accuracy(of.get(name)) for name in ("tile-random", "slide-grouped", "site-held-out")]
        probe = of.get("tile-random", {}).get("site_probe")
        share = probe and f"{percent(probe['balanced_accuracy'])} ({percent(probe['chance'])})"
        rows.append((recipe.removeprefix("study_"), *cells, share or "-"))
    yield from markdown(columns, rows)
    tiles = {one["protocol"]: one["test"]["tiles"] for one in found}
    yield ""
    how = kept.get("intervals", "that resampled slides")  # as those kept before it was said
    yield (
        f"Held-out tiles named rightly, with 95 % intervals {how}: "
        + ", ".join(f"{count} tiles {protocol}" for protocol, count in tiles.items())
        + "."
    )


def _accuracy(one: dict[str, Any] | None) -> str:
    if one is None:
        return "-"
    accuracy, interval = percent(one["test"]["accuracy"], 1), one["test"]["interval"]
    if interval is None:
        return f"{accuracy} (too few patients)"
    return f"{accuracy} ({100 * interval[0]:.0f}..{100 * interval[1]:.0f})"


def edge(found: dict[str, Any]) -> Iterator[str]:
    """Milliseconds of each rewrite and how many times faster than the converter's own output, by runtime."""
    runtimes = [name for name in ("LiteRT", "OpenVINO") if name in found]
    versions = ", ".join(f"{name} {found[name]['version']}" for name in runtimes)
    yield (
        f"{where(found)}; {found['network']} (int8), {found['tile_px']} px, {versions}, one thread; "
        f"processor time, medians of {found['pairs']} runs in turns:"
    )
    yield ""
    rows = []
    for key, name in GRAPHS.items():
        measured = [found[runtime] for runtime in runtimes]
        pairs = ((one["times"][key]["median_ms"], one["times_faster"][key]) for one in measured)
        rows.append((name, *(cell for took, faster in pairs for cell in (f"{took:.0f} ms", f"{faster:.2f}"))))
    yield from markdown(("graph", *(name for runtime in runtimes for name in (runtime, "speed"))), rows)
    yield ""
    largest = max(found["float_difference"].values())
    yield (
        f"A line with + is that rewrite alone. Float outputs of every graph are within {largest:.1e} of the "
        "largest; `fast` and `portable` give the same bits on LiteRT."
    )


def gate(found: dict[str, Any]) -> Iterator[str]:
    """Size, accuracy, flips and time of each scheme, run by run."""
    for recipe in dict.fromkeys(report["recipe"] for report in found["reports"]):
        reports = [report for report in found["reports"] if report["recipe"] == recipe]
        verdict, latency = (reports[0]["model"][part] for part in ("verdict", "latency"))
        kind = "synthetic" if reports[0]["demo"] else "real"
        yield (
            f"Recipe {recipe}, {verdict['tiles']} held-out {kind} tiles of {verdict['slides']} slides; "
            f"{where(found)}, {latency['runtime']}, {latency['threads']} threads:"
        )
        yield ""
        columns = (
            "scheme", "FlatBuffer", "accuracy", "flips", "at most", "probability by", "fp32 takes", "gate",
        )  # fmt: skip
        yield from markdown(columns, map(_scheme, reports))
        yield ""


def _scheme(report: dict[str, Any]) -> tuple[str, ...]:
    model = report["model"]
    verdict = model["verdict"]
    name = model["scheme"] + (" --keep-float" if model["float_layers"] else "")
    name += " --export fast" if report["export"] == "fast" else ""
    return (
        name,
        f"{model['flatbuffer_bytes'] / 1e6:.1f} MB",
        percent(verdict["accuracy"], 2),
        f"{verdict['flips']}",
        percent(verdict["flip_interval"][1], 2),
        f"{verdict['max_difference']:.3f}",
        f"{model['latency']['ratio']:.2f} times as long",
        report["outcome"],
    )


def schemes(found: dict[str, Any]) -> Iterator[str]:
    """Milliseconds of a tile, by scheme and runtime."""
    runtimes = ("LiteRT", "OpenVINO")
    yield f"Medians in turns, {found['threads']} threads; {where(found)}:"
    yield ""
    rows = []
    for scheme in found["schemes"]:
        times = [found["times"].get(f"{scheme}, {runtime}") for runtime in runtimes]
        cells = ["-" if one is None else f"{one['median_ms']:.1f} ms" for one in times]
        rows.append((scheme, *cells))
    yield from markdown(("scheme", *runtimes), rows)


def agreement(found: dict[str, Any]) -> Iterator[str]:
    """Each scheme beside float32 on real tiles, of which nobody asks what they are."""
    yield f"{found['tiles']} real tiles{', demo model' if found['demo'] else ''}; {where(found)}:"
    yield ""
    columns = (
        "scheme", "another class than float32", "of these clear", "probability differs by", "on average",
    )  # fmt: skip
    rows = []
    for one in found["schemes"]:
        name = one["scheme"] + (" --export fast" if one["packed"] else "")
        differences = (f"{one['max_difference']:.3f}", f"{one['mean_difference']:.4f}")
        rows.append((name, one["flips"], one["clear_flips"], *differences))
    yield from markdown(columns, rows)


def explain(found: dict[str, Any]) -> Iterator[str]:
    """How far a model file's maps are those of its float network, and what a map costs."""
    kind = "synthetic" if found["demo"] else "real"
    yield (
        f"{found['model']} ({found['scheme']}), {found['tiles']} {kind} tiles the run has not learnt from; "
        f"{where(found)}:"
    )
    yield ""
    keys = {
        "all places of all tiles together": "all_places", "a tile, median": "median", "a tile, mean": "mean",
        "a tile, a tenth is below": "p10",
    }  # fmt: skip
    rows = [(name, f"{found[key]:.3f}") for name, key in keys.items()]
    yield from markdown(("correlation with the float network's map", ""), rows)
    yield ""
    yield (
        f"A tile read with its map takes {percent(found['with_map_takes'] - 1, 1)} more than one without "
        f"(processor time, {found['threads']} thread)."
    )


def reliability(found: dict[str, Any]) -> Iterator[str]:
    """Each promise, its tests and what they found."""
    places = dict.fromkeys(where(one) for one in found["promises"])
    yield f"{'; '.join(places)}:"
    yield ""
    rows = []
    for one in found["promises"]:
        tests = "<br>".join(f"`{test}`" for test in one["tests"])
        figure = f"{one['passed']} passed"
        figure += f", {one['failed']} failed" if one["failed"] else ""
        figure += f", {one['skipped']} skipped" if one["skipped"] else ""
        figure += ", without the long tests" if one["quick"] else ""
        result = "<br>".join([figure, *one["figures"]])
        rows.append((one["number"], one["must_hold"], one["asked"], tests, result))
    yield from markdown(("#", "must hold", "asked", "tests in `tests/`", "found"), rows)


def soak(found: dict[str, Any]) -> Iterator[str]:
    """What a long run through feed and journal did to memory, handles and threads."""
    handles, threads = ("..".join(map(str, sorted(set(found[name])))) for name in ("handles", "threads"))
    yield f"{where(found)}; {found['model']}, {found['tile_px']} px, {found['interpreters']} interpreter(s):"
    yield ""
    columns = (
        "tiles", "tiles per s", "memory grows by", "open handles", "threads", "answered", "in journals",
    )  # fmt: skip
    answered = found["ledger"]["classified"] + found["ledger"]["background"]
    growth = f"{found['slope_mb_per_10000']:+.2f} MB per 10,000"
    rate = f"{found['tiles_per_s']:.0f}"
    row = (found["tiles"], rate, growth, handles, threads, answered, found["in_journals"])
    yield from markdown(columns, [row])


def shallow(found: dict[str, Any]) -> Iterator[str]:
    """What simple features tell of the class of synthetic tiles."""
    yield from markdown(
        ("features", "tiles named rightly"),
        [
            *((name, percent(share, 0)) for name, share in found["scores"].items()),
            ("the numbers that were drawn (decision tree)", percent(found["as_drawn"], 0)),
        ],
    )
    yield ""
    spread, areas = (
        ", ".join(percent(one[key], 0) for one in found["blobs"]) for key in ("spread_of_count", "cv_of_area")
    )
    labels = ", ".join(one["label"] for one in found["blobs"])
    yield (
        f"Dark blobs of {labels}: their number in a tile varies by {spread} within the class, "
        f"their area by {areas}."
    )


TABLES: dict[str, Callable[[Any], Iterator[str]]] = {
    "aarch64": aarch64,
    "agreement": agreement,
    "bench": bench,
    "cohort_assign": assigned,
    "cohort_engine": engine,
    "cohort_walls": walls,
    "conversions": conversions,
    "coverage": coverage,
    "decode": decode,
    "edge": edge,
    "evaluated": evaluated_table,
    "explain": explain,
    "gate": gate,
    "gated": gated_table,
    "kernels": kernels,
    "loader": loader,
    "memory": memory,
    "peers": peers,
    "pipeline": pipeline,
    "reliability": reliability,
    "schemes": schemes,
    "settle": settle,
    "settled": settled,
    "shallow": shallow,
    "calibrated": calibrated,
    "drift": drift,
    "soak": soak,
    "start": start,
    "student": student,
    "study": study,
    "whole": whole,
}


if __name__ == "__main__":
    main()
