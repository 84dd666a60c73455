"""Records of slides made by hand, for kits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from her2edge import LABELS
from her2edge.agree.records import NO_LABEL, ListRead, ReadBy, SlideRecord
from her2edge.model.protocol import SlideProtocol, TilesRead

NOTICE = "Research use only. Not for diagnosis."


def record(row: int, label: str | None, answer: str, **fields: Any) -> SlideRecord:
    """A slide with a known label and an answer: one label, or of NO_LABEL."""
    fixed: dict[str, Any] = {
        "slide": f"case {row}.svs", "row": row, "patient": f"p{row}", "site": "A", "scanner": "maker model",
        "score": label or "", "label": label, "counts": True, "answer": answer,
        "labels": () if answer in NO_LABEL else (answer,),
    }  # fmt: skip
    return SlideRecord(**(fixed | fields))


def records(
    table: Sequence[Sequence[int]], labels: Sequence[str] = LABELS, **fields: Any
) -> list[SlideRecord]:
    """As many slides as the table says, rows the known labels, columns the answers: labels, then NO_LABEL."""
    pairs = [
        (label, answer)
        for label, counts in zip(labels, table, strict=True)
        for answer, count in zip((*labels, *NO_LABEL), counts, strict=False)
        for _ in range(count)
    ]
    return [record(row, *pair, **fields) for row, pair in enumerate(pairs, start=2)]


READ_BY = ReadBy(
    notice=NOTICE, name="model", version="1.0.0", sha256="ab" * 32, scheme="int8", labels=LABELS, demo=False,
    gate_overridden=False, calibration=None, error=None,
    protocol=SlideProtocol(tiles=TilesRead(stain="per_tile"), limits_sha256="ef" * 32, min_tissue_tiles=10),
    runtimes=("litert 2.3.0",), versions=("0.1.0",), first="2026-11-01", last="2026-11-03",
)  # fmt: skip
LIST = ListRead(name="list.csv", sha256="cd" * 32, rows=30)
