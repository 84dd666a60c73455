"""The gate's report beside the model: OUT.report.json, OUT.report.md, OUT.report.png.

Written whatever the verdict, so that a refusal can be looked into. Milliseconds stand here and never in the
model file, whose bytes are the same for the same run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from her2edge.files import write_bytes
from her2edge.model.manifest import Verdict
from her2edge.tile import RESEARCH_USE
from her2edge_quantize.gate.layers import NAMED, Layer
from her2edge_quantize.gate.measure import Measured
from her2edge_training.run.predictions import Predictions

WORST = 5
DEMO = "Figures of synthetic tissue: they show that the pipeline works and say nothing of patients."


@dataclass(frozen=True)
class GateReport:
    """What was measured of one conversion.

    model_sha256: of the file as it was, or would have been, written. manifest_sha256: of the run's tiles.
    learnt: what the weights went through after training, or "". tiles_added: held-out tiles that are not of the
    run's own cohort. with_float_layers: the same with its named layers in float, where that was tried.
    """

    name: str
    recipe: str
    manifest_sha256: str
    export: str
    learnt: str
    demo: bool
    model_sha256: str
    float32_bytes: int
    tiles_added: int
    model: Measured
    with_float_layers: Measured | None
    layers: tuple[Layer, ...]

    @property
    def outcome(self) -> str:
        """ "passed", "refused", or "refused, loss accepted"."""
        verdict = self.model.verdict
        if not verdict.reasons:
            return "passed"
        return "refused, loss accepted" if verdict.accepted_loss else "refused"


def report_path(out: Path, kind: str) -> Path:
    """Where the report of the model file `out` stands; kind: "json", "md" or "png"."""
    return out.with_name(f"{out.stem}.report.{kind}")


def write_report(out: Path, report: GateReport, said: Predictions, logits: NDArray[np.float32]) -> None:
    """Write all three; raises OutputError. said, logits: what float32 and the model say of the tiles."""
    from her2edge_quantize.gate.figure import draw

    write_bytes(report_path(out, "png"), draw(report, said, logits))
    write_bytes(report_path(out, "md"), to_markdown(report).encode())
    write_bytes(report_path(out, "json"), to_json(report))


def to_json(report: GateReport) -> bytes:
    """Every figure; `outcome` in words beside them."""
    record = {"schema_version": 1, "outcome": report.outcome} | msgspec.to_builtins(report)
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def to_markdown(report: GateReport) -> str:
    """The report to read; it ends with the research-use notice."""
    blocks: list[list[str]] = [
        [f"# {report.name}: {report.outcome}", *_reasons(report)],
        ["## Beside the trained float32 network", "", *_figures(report.model, report)],
    ]
    if report.with_float_layers is not None:
        kept = ", ".join(report.with_float_layers.float_layers)
        blocks.append(
            [
                "## With its named layers in float (`--keep-float`)",
                "",
                f"In float: {kept}.",
                "",
                *_cost(report.model, report.with_float_layers),
            ]
        )
    if report.layers:
        blocks.append(["## Layers", "", *_layers(report.layers)])
    text = "\n\n".join("\n".join(block) for block in blocks)
    return f"{text}\n\n{RESEARCH_USE}{' ' + DEMO if report.demo else ''}\n"


def _reasons(report: GateReport) -> Iterator[str]:
    if report.model.verdict.reasons:
        yield ""
        yield from (f"* {reason}" for reason in report.model.verdict.reasons)


def _figures(found: Measured, report: GateReport) -> Iterator[str]:
    verdict, limits, latency = found.verdict, found.verdict.limits, found.latency
    added = f", {report.tiles_added} of them not of the run's cohort" if report.tiles_added else ""
    yield f"{verdict.tiles} held-out tiles of {verdict.slides} slides and {verdict.patients} patients{added}."
    if report.learnt:
        yield f"{report.learnt}."
    yield "The upper end of an interval decides; intervals take tiles of one patient as dependent."
    yield ""
    yield "| | found | 95 % interval | limit |"
    yield "|---|---|---|---|"
    yield (
        f"| tiles with another class | {verdict.flips} ({_percent(verdict.flips / verdict.tiles)}) | "
        f"{_interval(verdict.flip_interval)} | {100 * limits.flips:g} % |"
    )
    yield (
        f"| accuracy lost | {_points(verdict.accuracy_drop)} (float32 "
        f"{_percent(verdict.accuracy + verdict.accuracy_drop)}, now {_percent(verdict.accuracy)}) | "
        f"{_interval(verdict.accuracy_drop_interval, 'points')} | {100 * limits.accuracy_drop:g} points |"
    )
    yield (
        f"| slide labels changed | {verdict.changed_slides} of {verdict.assessed_slides} | | "
        f"{limits.changed_slides} |"
    )
    yield f"| tiles | {verdict.tiles} | | at least {limits.tiles} |"
    yield f"| probability, largest difference | {verdict.max_difference:.4f} | | |"
    yield f"| probability, mean difference | {verdict.mean_difference:.5f} | | |"
    yield f"| temperature | {found.temperature:g} | | |"
    yield (
        f"| FlatBuffer, {report.export} | {_size(found.flatbuffer_bytes)} (fp32 "
        f"{_size(report.float32_bytes)}) | | |"
    )
    yield (
        f"| one tile | {latency.median_ms:.1f} ms (fp32 {latency.float32_ms:.1f} ms, {latency.ratio:.2f} "
        "times as long) | | |"
    )
    yield ""
    yield (
        f"Times: medians of {latency.tiles} tiles in turns, {latency.runtime}, {latency.threads} threads, "
        f"{latency.cores} cores, {latency.system}."
    )


def _cost(plain: Measured, mixed: Measured) -> Iterator[str]:
    yield "| | int8 | named layers in float |"
    yield "|---|---|---|"
    verdicts: tuple[Verdict, Verdict] = (plain.verdict, mixed.verdict)
    yield "| the gate | " + " | ".join("refuses" if v.reasons else "passes" for v in verdicts) + " |"
    yield "| tiles with another class | " + " | ".join(str(v.flips) for v in verdicts) + " |"
    yield "| accuracy lost | " + " | ".join(_points(v.accuracy_drop) for v in verdicts) + " |"
    yield "| slide labels changed | " + " | ".join(str(v.changed_slides) for v in verdicts) + " |"
    yield "| FlatBuffer | " + " | ".join(_size(m.flatbuffer_bytes) for m in (plain, mixed)) + " |"
    yield (
        "| fp32 takes | " + " | ".join(f"{m.latency.ratio:.2f} times as long" for m in (plain, mixed)) + " |"
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
    yield "| layer | kind | operator | dB |"
    yield "|---|---|---|---|"
    for layer in layers:
        if layer.kind in NAMED or id(layer) in worst:
            ratio = "exact" if layer.snr_db is None else f"{layer.snr_db:.1f}"
            yield f"| {layer.name} | {layer.kind} | {layer.operator} | {ratio} |"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _points(share: float) -> str:
    return f"{100 * share:.2f} points"


def _interval(ends: tuple[float, float], unit: str = "%") -> str:
    return f"{100 * ends[0]:.2f}..{100 * ends[1]:.2f} {unit}"
