"""A student beside its teacher, in the gate's report."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from her2edge.model.records import Verdict
from her2edge.model.slide_records import DistilledFrom, Unsure
from her2edge.tables import markdown
from her2edge.text import percent
from her2edge_quantize.gate.report_verdict import COLUMNS, interval, judged_rows


def school_blocks(taught: DistilledFrom | None, labels: Sequence[str]) -> list[list[str]]:
    """Blocks of lines; none for a network that learnt labels."""
    if taught is None or taught.beside_teacher is UNSET or taught.unsure is UNSET:
        return []
    return [_beside(taught, taught.beside_teacher, taught.unsure), _where_unsure(taught.unsure, labels)]


def _share(part: int, unsure: Unsure) -> str:
    return percent(part / unsure.tiles, 1) if unsure.tiles else "no tile"


def _beside(taught: DistilledFrom, verdict: Verdict, unsure: Unsure) -> list[str]:
    who = (
        f"Distilled from {taught.teacher} (SHA-256 {taught.teacher_sha256}) at temperature "
        f"{taught.temperature:g}. Transfer set: {taught.transfer_set}, {taught.tiles} of them trained on, "
        f"{taught.unlabelled} without a label of their own; SHA-256 {taught.transfer_sha256}."
    )
    slides = ("slides", verdict.slides, "", f"at least {unsure.limits.slides}")
    warning = "Agreement with a teacher is not accuracy: the student has learnt the teacher's errors."
    table = markdown(COLUMNS, (*judged_rows(verdict, "teacher"), slides))
    return ["## Beside the teacher", "", who, "", warning, "", *table]


def _where_unsure(unsure: Unsure, labels: Sequence[str]) -> list[str]:
    limits = unsure.limits
    what = (
        f"{unsure.tiles} tiles of {unsure.slides} slides. Of {unsure.below} of them the teacher is less sure "
        f"than {limits.sure:g}; the others were brought as tissue between classes."
    )
    agreed, turned = (f"{part} ({_share(part, unsure)})" for part in (unsure.agree, unsure.turned))
    least = f"at least {percent(limits.agreement, None)}"
    rows = (
        ("called as by the teacher", agreed, interval(unsure.interval), least),
        ("by the teacher, tiles turned by 90 degrees", turned, "", ""),
        ("tiles", unsure.tiles, "", f"at least {limits.unsure_tiles}"),
        ("slides", unsure.slides, "", f"at least {limits.unsure_slides}"),
    )
    classes = zip(labels, unsure.teacher_classes, unsure.classes, strict=True)
    rule = (
        "The number of tiles in a class between the first and the last may differ by "
        f"{percent(limits.share, None)} of the teacher's."
    )
    sizes = markdown(("class", "teacher", "student"), classes)
    return ["## Where the teacher is unsure", "", what, "", *markdown(COLUMNS, rows), "", *sizes, "", rule]
