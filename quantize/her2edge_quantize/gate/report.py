"""The gate's report beside the model: OUT.report.json, OUT.report.md, OUT.report.png.

Written whatever the verdict, so that a refusal can be looked into. Milliseconds stand here and never in the
model file, whose bytes are the same for the same run.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from her2edge.files import json_bytes, write_bytes
from her2edge_quantize.gate.record import GateReport
from her2edge_quantize.gate.report_text import to_markdown
from her2edge_training.run.predictions import Predictions


def report_path(out: Path, kind: str) -> Path:
    """Where the report of the model file `out` stands; kind: "json", "md" or "png"."""
    return out.with_name(f"{out.stem}.report.{kind}")


def report_paths(out: Path) -> tuple[Path, ...]:
    """All of them."""
    return tuple(report_path(out, kind) for kind in ("png", "md", "json"))


def write_report(out: Path, report: GateReport, reference: Predictions, logits: NDArray[np.float32]) -> None:
    """Write all three; raises OutputError. reference, logits: float32's answers and the model's (n, 3)."""
    from her2edge_quantize.gate.figure import draw  # brings matplotlib

    write_bytes(report_path(out, "png"), draw(report, reference, logits))
    write_bytes(report_path(out, "md"), to_markdown(report).encode())
    write_bytes(report_path(out, "json"), to_json(report))


def to_json(report: GateReport) -> bytes:
    """Every figure; `outcome` in words beside them."""
    return json_bytes({"schema_version": 1, "outcome": report.outcome} | msgspec.to_builtins(report))
