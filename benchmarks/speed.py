"""Tables of benchmarks/README.md and its picture, from what bench, peers and pipeline kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any
from xml.sax.saxutils import escape

from her2edge.tables import markdown
from her2edge.text import percent

STAGES = {"read": "read", "filter": "filter", "quality": "quality", "stain": "stain", "infer": "infer",
          "write": "write, a tile's share", "background": "background, beyond reading"}  # fmt: skip
OURS = "her2edge"
# What int8 kernels use, the fastest first; by LLVM's names.
VECTORS = {"amx-int8": " with AMX", "avx512vnni": " with AVX-512 VNNI", "avxvnni": " with AVX-VNNI",
           "avx2": " with AVX2, no VNNI", "i8mm": " with i8mm", "dotprod": " with dotprod"}  # fmt: skip


def bench(found: dict[str, Any]) -> Iterator[str]:
    """Percentiles of each stage, rates, start, memory and energy, by threads."""
    reports = found["threads"]
    first = next(iter(reports.values()))
    measured = first["measured"]
    yield (
        f"{where(found)}; {first['model']} ({first['scheme']}), {first['tile_px']} px, {first['runtime']} "
        f"{first['version']}; {first['tiles']}: {measured['tissue']} tissue tiles, {measured['rounds']} "
        "rounds:"
    )
    yield ""
    columns = [name for n in reports for name in (f"{_threads(n)}: p50", "p90", "p99", "spread")]
    rows = []
    measured_then = {*measured["stages"], "background"}  # what was kept before a stage came has none of it
    for stage, title in ((stage, title) for stage, title in STAGES.items() if stage in measured_then):
        cells = []
        for report in reports.values():
            one = report["measured"]
            times = one["background"] if stage == "background" else one["stages"][stage]
            cells += ["-"] * 4 if times is None else [
                *(f"{times[key]:.2f}" for key in ("p50", "p90", "p99")), percent(times['spread'])
            ]  # fmt: skip
        rows.append((title, *cells))
    yield from markdown(("ms per tile", *columns), rows)
    yield ""
    for threads, report in reports.items():
        yield f"{_threads(threads)}: {_rest(report)}"
        yield ""


def _rest(report: dict[str, Any]) -> str:
    measured, start, memory = report["measured"], report["start"], report["memory"]
    rates = {name: measured[name]["tiles_per_second"] for name in ("network", "stream")}
    parts = (
        f"import {start['importing']:.2f}, model {start['model']:.2f}, runtime with its self-test "
        f"{start['runtime']:.2f}, first tile {start['first_tile']:.2f}"
    )
    held = f"{memory['steady_mb']:.0f} MB (at most {memory['peak_mb']:.0f})" if memory else "not available"
    joules = measured["joules"]
    energy = f"not available ({measured['no_joules']})" if joules is None else f"{joules:.2f} J per tile"
    return (
        f"the network alone {rates['network']:.1f} tiles/s, the stream {rates['stream']:.1f} "
        f"({percent(rates['stream'] / rates['network'])}). From starting Python to the first result "
        f"{start['whole']:.1f} s ({parts}). `her2edge classify` holds {held}. Energy: {energy}."
    )


def peers(found: dict[str, Any]) -> Iterator[str]:
    """Milliseconds a tile of every runtime and how many times as fast ours are."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    yield (
        f"{where(found)}; SE-ResNet50, {found['tile_px']} px, weights {found['weights']}; one thread, "
        f"medians of {found['pairs']} tiles in turns; {versions}:"
    )
    yield ""
    chosen, ratios = found["tuned"]["name"], found["ratios"]
    litert = next(name for name in ratios if name.startswith("LiteRT"))
    columns = (
        "", "ms per tile", "spread", "logits differ from Keras float32", "takes, beside our LiteRT",
        "takes, beside the choice after --tune",
    )  # fmt: skip
    rows = []
    for name, times in found["times"].items():
        own = name in ratios
        cells = ["-" if own else f"{ratios[one][name]:.1f} times" for one in (litert, chosen)]
        spread = percent(found["spread"][name], 1)
        rows.append((name, f"{times['median_ms']:.1f}", spread, f"{found['logits'][name]:.0e}", *cells))
    yield from markdown(columns, rows)
    yield ""
    rates = {name: median(values) for name, values in found["all_cores"].items()}
    said = ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items())
    yield f"`her2edge doctor --tune` chooses {found['tuned']['plan']}. Tiles per second on all cores: {said}."
    yield ""
    yield f"![Milliseconds per tile of each runtime]({found['picture']})"


def pipeline(found: dict[str, Any]) -> Iterator[str]:
    """What share of its bound the stream reaches, and where the rest is."""
    yield f"{where(found)}; {found['model']}, {found['slide']}, {found['tile_px']} px tiles:"
    yield ""
    columns = (
        "", "network alone, tiles/s", "stream, tiles/s", "share", "bound", "share of the bound",
        "an interpreter has a tile", "for times as long as alone",
    )  # fmt: skip
    rows = []
    for name, one in found["placements"].items():
        rates = [f"{one[part]['tiles_per_second']:.2f}" for part in ("network", "stream")]
        if "bound" in one:  # what was kept before it was measured has none
            of_bound = (f"{one['bound']:.3f}", f"{one['of_bound']:.3f}")
            lost = (percent(one["occupied"], 1), f"{one['slower']:.3f}")
        else:
            of_bound = lost = ("-", "-")
        rows.append((name, *rates, f"{one['busy']:.3f}", *of_bound, *lost))
    yield from markdown(columns, rows)


def start(found: dict[str, Any]) -> Iterator[str]:
    """When each step of a start begins, and what it takes."""
    yield (
        f"{where(found)}; {found['slide']}: the first result after {found['first']:.2f} s "
        f"({found['least']:.2f}..{found['most']:.2f} in {found['starts']} starts), of "
        f"{found['processor']:.2f} s of processor time:"
    )
    yield ""
    rows = []
    for name, step in found["steps"].items():
        times = "" if step["times"] == 1 else f" ({step['times']} times)"
        rows.append((f"{name}{times}", f"{step['begins']:.3f}", f"{step['takes']:.3f}"))
    yield from markdown(("step", "begins, s", "takes, s"), rows)


def decode(found: dict[str, Any]) -> Iterator[str]:
    """Milliseconds to read a tile, part by part."""
    yield f"{where(found)}, one core; medians over {found['slide_tiles']} tiles, processor time:"
    yield ""
    rows = [(name, f"{took:.2f}") for name, took in found["times"].items()]
    yield from markdown(("reading a 512 px tile", "ms"), rows)


def picture(found: dict[str, Any]) -> str:
    """An SVG: a bar of milliseconds per tile for each runtime, ours darker."""
    rows = [(name, times["median_ms"]) for name, times in found["times"].items()]
    return bars(f"{where(found)}: ms per {found['tile_px']} px tile, one thread", rows)


def bars(title: str, rows: Sequence[tuple[str, float]], decimals: int = 1) -> str:
    """An SVG: a bar for each (name, figure), ours darker."""
    longest, height = max(figure for _, figure in rows), 24 * len(rows) + 40
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}">',
        "<style>text { font: 13px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="8" y="20">{escape(title)}</text>',
    ]
    for number, (name, figure) in enumerate(rows):
        y, length = 36 + 24 * number, 400 * figure / longest
        colour = "#1f5f8b" if OURS in name else "#b8c4cc"
        lines += [
            f'<text x="262" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="270" y="{y}" width="{length:.1f}" height="18" fill="{colour}"/>',
            f'<text x="{276 + length:.1f}" y="{y + 13}">{figure:.{decimals}f}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def where(found: dict[str, Any]) -> str:
    """The machine in words."""
    machine = found["machine"]
    vectors = next((title for name, title in VECTORS.items() if name in machine["features"]), "")
    return f"{machine['processor']}{vectors}, {machine['cores']} cores, {machine['system']}"


def _threads(count: str) -> str:
    return f"{count} thread{'s' * (count != '1')}"
