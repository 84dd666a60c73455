"""The answer of a slide in one line, for people. An action is said, never a treatment."""

from __future__ import annotations

import math
import re

from her2edge.answer.answer import SlideAnswer
from her2edge.answer.promise import promise_line
from her2edge.text import percent

_EQUIVOCAL = re.compile(r"(?<![\w+])2\+")  # as a word: in "1+/2+" too, not in "12+"
ACTION = "do the IHC, and ISH where it is 2+"


def answer_line(answer: SlideAnswer, remark: str = "") -> str:
    """`3+ (no stated error)`, `0/1+ or 2+, 90 % (...): do the IHC, and ISH where it is 2+`,
    `not assessable: ...`.

    remark: what stands behind each label, "demo model" say. Labels that already carry one stay as they are.
    """
    if not answer.assessable:
        because = answer.reasons[0].sentence if answer.reasons else "no reason is stated"
        return f"not assessable: {because.rstrip('.')}{_settled(answer)}"
    behind = f" ({remark})" if remark else ""
    line = " or ".join(f"{label}{behind}" for label in answer.labels)
    if answer.calibration is None:
        line += " (no stated error)"
    elif answer.promise is not None:
        line += f", {promise_line(answer.promise, answer.calibration)}"
    equivocal = any(_EQUIVOCAL.search(label) for label in answer.labels)
    if equivocal or len(answer.labels) > 1:
        line += f": {ACTION}"
    return line + _settled(answer)


def bounds(answer: SlideAnswer) -> list[str]:
    """Where the reading stopped early, a line for each label that is not the answer: "at most 3.1 % of the
    tissue is 3+ (95 %)". Each is 95 % by itself."""
    settled = answer.settled
    if settled is None or settled.tiles_seen == settled.tiles_total or not answer.tiles.pooled:
        return []
    own = _labels(answer)
    return [
        f"at most {percent(math.ceil(1000 * share - 1e-9) / 1000, None)} of the tissue is {label} (95 %)"
        for label, share in settled.at_most.items()
        if label not in own
    ]


def _settled(answer: SlideAnswer) -> str:
    """That the reading stopped early, and how often that costs another answer."""
    settled = answer.settled
    if settled is None or not settled.settled or settled.tiles_seen == settled.tiles_total:
        return ""
    line = f"; settled after {settled.tiles_seen:,} of {settled.tiles_total:,} tiles"
    certified = {settled.label} if settled.label is not None else set()
    if answer.calibration is not None or _labels(answer) != certified:  # the error is that of another answer
        return line
    return f"{line}: reading all would change it in at most {percent(settled.error, None)} of slides"


def _labels(answer: SlideAnswer) -> set[str]:
    """The answer's labels without their remarks."""
    return {
        label
        for label in answer.shares
        if any(one == label or one.startswith(f"{label} (") for one in answer.labels)
    }
