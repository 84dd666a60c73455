"""Letters for classes and for reasons, beside their colours: nothing is told by colour alone."""

from __future__ import annotations

import string
from collections.abc import Sequence

from her2edge.answer.votes import NOVEL, UNFITTED
from her2edge.quality import KEEPS_OUT, Code
from her2edge.tile import Background, Outcome

# Why a tile that was read has no colour, in the order of a legend; then what is no tissue, or was not read.
REASONS = (*(code.value for code in Code if code in KEEPS_OUT), NOVEL, UNFITTED, Outcome.FAILED.value)
EVERY_REASON = (
    *REASONS,
    Outcome.DROPPED.value,
    Outcome.CANCELLED.value,
    *(kind.value for kind in Background),
    Outcome.BACKGROUND.value,
)


def class_marks(labels: Sequence[str]) -> dict[str, str]:
    """A capital letter or digit for each label: its first one, or A, B, C, D where two would be the same.

    ASCII only: other letters have capitals of two characters, and no picture of ours has them.
    """
    first = [next((one for one in label if one.isascii() and one.isalnum()), "?").upper() for label in labels]
    marks = first if len(set(first)) == len(first) and "?" not in first else string.ascii_uppercase
    return dict(zip(labels, marks, strict=False))


def reason_marks(reasons: Sequence[str] = REASONS) -> dict[str, str]:
    """A small letter for each reason: the first one in its word that no other has."""
    marks: dict[str, str] = {}
    for reason in reasons:
        letters = [*reason.lower(), *string.ascii_lowercase]
        marks[reason] = next(
            one for one in letters if one in string.ascii_lowercase and one not in marks.values()
        )
    return marks
