"""The gate's report to read, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from her2edge.tables import markdown
from her2edge.tile import RESEARCH_USE
from her2edge_quantize.convert.layers import NAMED
from her2edge_quantize.gate.measure import Measured
from her2edge_quantize.gate.noise import Layer
from her2edge_quantize.gate.record import GateReport
from her2edge_quantize.gate.report_school import school_blocks
from her2edge_quantize.gate.report_verdict import COLUMNS, Row, judged_rows, points

WORST = 5
DEMO = "Figures of synthetic tissue: they show that the pipeline works and say nothing about patients."


def to_markdown(report: GateReport) -> str:
    """The whole report; it ends with the research-use notice."""
    blocks: list[list[str]] = [
        [f"# {report.name}: {report.outcome}", *_reasons(report)],
        ["## Beside the trained float32 network", "", *_beside_float32(report)],
    ]
    blocks += school_blocks(report.distilled_from, report.labels)
    if report.with_float_layers is not None:
        kept = ", ".join(report.with_float_layers.float_layers)
        cost = _cost(report.model, report.with_float_layers)
        head = "## With its named layers in float (`--keep-float`)"
        blocks.append([head, "", f"In float: {kept}.", "", *cost])
    if report.layers:
        blocks.append(["## Layers", "", *_layers(report.layers)])
    text = "\n\n".join("\n".join(block) for block in blocks)
    return f"{text}\n\n{RESEARCH_USE}{' ' + DEMO if report.demo else ''}\n"


def _reasons(report: GateReport) -> Iterator[str]:
    if report.model.verdict.reasons:
        yield ""
        yield from (f"* {reason}" for reason in report.model.verdict.reasons)


def _beside_float32(report: GateReport) -> Iterator[str]:
    verdict, latency = report.model.verdict, report.model.latency
    added = f", {report.tiles_added} of them not of the run's cohort" if report.tiles_added else ""
    yield f"{verdict.tiles} held-out tiles of {verdict.slides} slides and {verdict.patients} patients{added}."
    if report.learnt:
        yield f"{report.learnt}."
    few = verdict.labelled is not UNSET and verdict.labelled < verdict.limits.tiles
    decides = "the lower end, since few tiles have a label" if few else "the loss found"
    yield (
        f"Of tiles with another class the upper end of the interval decides, of accuracy {decides}; "
        "accuracy cannot fall by more than tiles get another class. Intervals assume that tiles of one "
        "patient are alike (docs/intervals.md)."
    )
    alike = "cannot be told from these" if verdict.flip_likeness is None else f"{verdict.flip_likeness}"
    yield f"Intra-class correlation of these flips within patients: {alike}."
    if verdict.labelled != verdict.tiles:
        yield f"Accuracy is of {verdict.labelled} tiles with a label."
    yield ""
    yield from markdown(COLUMNS, (*judged_rows(report.model.verdict), *_measured(report.model, report)))
    yield ""
    yield (
        f"Times: medians of {latency.tiles} tiles in turns, {latency.runtime}, {latency.threads} threads, "
        f"{latency.cores} cores, {latency.system}."
    )


def _measured(model: Measured, report: GateReport) -> Iterator[Row]:
    """What has no limit."""
    verdict, latency = model.verdict, model.latency
    sizes = f"{_size(model.flatbuffer_bytes)} (fp32 {_size(report.float32_bytes)})"
    times = (
        f"{latency.median_ms:.1f} ms (fp32 {latency.float32_ms:.1f} ms, {latency.ratio:.2f} times as long)"
    )
    yield "probability, largest difference", f"{verdict.max_difference:.4f}", "", ""
    yield "probability, mean difference", f"{verdict.mean_difference:.5f}", "", ""
    yield "temperature", f"{model.temperature:g}", "", ""
    yield f"FlatBuffer, {report.export}", sizes, "", ""
    yield "one tile", times, "", ""


def _cost(plain: Measured, mixed: Measured) -> Iterator[str]:
    both = (plain, mixed)
    yield from markdown(
        ("", "int8", "named layers in float"),
        (
            ("the gate", *("refuses" if one.verdict.reasons else "passes" for one in both)),
            ("tiles with another class", *(one.verdict.flips for one in both)),
            ("accuracy lost", *(points(one.verdict.accuracy_drop) for one in both)),
            ("slide labels changed", *(one.verdict.changed_slides for one in both)),
            ("FlatBuffer", *(_size(one.flatbuffer_bytes) for one in both)),
            ("fp32 takes", *(f"{one.latency.ratio:.2f} times as long" for one in both)),
        ),
    )


def _layers(layers: tuple[Layer, ...]) -> Iterator[str]:
    others = [layer for layer in layers if layer.kind not in NAMED and layer.snr_db is not None]
    worst = {id(layer) for layer in sorted(others, key=lambda layer: layer.snr_db or 0.0)[:WORST]}
    yield (
        "Signal-to-noise ratio of the layer's output against the same network's fp32 conversion, decibels; "
        f"errors of the layers before it are in it. Squeeze-excite, depth-wise layers and head, and the "
        f"{WORST} lowest of the others:"
    )
    yield ""
    yield from markdown(
        ("layer", "kind", "operator", "dB"),
        (
            (layer.name, layer.kind, layer.operator, _decibels(layer.snr_db))
            for layer in layers
            if layer.kind in NAMED or id(layer) in worst
        ),
    )


def _decibels(ratio: float | None) -> str:
    return "exact" if ratio is None else f"{ratio:.1f}"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB"
