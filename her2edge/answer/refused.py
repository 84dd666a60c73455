"""An answer taken back, because of something that no tile knows."""

from __future__ import annotations

from dataclasses import replace

from her2edge.answer.answer import Reason, ReasonCode, SlideAnswer, Status


def without_stains(answer: SlideAnswer, why: str) -> SlideAnswer:
    """The answer of a slide whose sample holds no two stains: not assessable, whatever its tiles say.

    why: one line. It is the first reason, in the place of one that its tiles are of low quality.
    """
    reason = Reason(ReasonCode.LOW_QUALITY, f"The slide has no two stains to go by: {why}.")
    others = tuple(one for one in answer.reasons if one.code is not ReasonCode.LOW_QUALITY)
    return replace(answer, status=Status.NOT_ASSESSABLE, labels=(), reasons=(reason, *others))
