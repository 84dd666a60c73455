"""The answer of a slide in one line, for people. An action is said, never a treatment."""

from __future__ import annotations

from her2edge.answer.answer import SlideAnswer

_EQUIVOCAL = "2+"
ACTION = "do the IHC, and ISH where it is 2+"


def answer_line(answer: SlideAnswer, remark: str = "") -> str:
    """`3+ (no stated error)`, `0/1+ or 2+: do the IHC, and ISH where it is 2+`, `not assessable: ...`.

    remark: what stands behind each label, "demo model" say. Labels that already carry one stay as they are.
    """
    if not answer.assessable:
        because = answer.reasons[0].sentence if answer.reasons else "no reason is stated"
        return f"not assessable: {because.rstrip('.')}"
    behind = f" ({remark})" if remark else ""
    line = " or ".join(f"{label}{behind}" for label in answer.labels)
    if answer.calibration is None:
        line += " (no stated error)"
    equivocal = any(label.partition(" (")[0] == _EQUIVOCAL for label in answer.labels)
    return f"{line}: {ACTION}" if equivocal or len(answer.labels) > 1 else line
