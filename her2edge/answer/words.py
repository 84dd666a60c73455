"""Stub until h/f."""

from her2edge.answer.answer import SlideAnswer


def answer_line(answer: SlideAnswer) -> str:
    if not answer.assessable:
        return f"not assessable ({answer.reasons[0].sentence})"
    return " or ".join(answer.labels) + (" (no stated error)" if answer.calibration is None else "")
