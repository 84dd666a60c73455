"""The classes a model tells apart: two to four, in the order of severity, with names and colours."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from msgspec import Meta

from her2edge.errors import ModelError
from her2edge.model.records import Record
from her2edge.tile import LABELS, Outcome

Grey = Annotated[int, Meta(ge=0, le=255)]
FEWEST, MOST = 2, 4

# Words that stand beside labels in results, where a label must not be taken for one of them.
RESERVED = {"not_assessable", "ambiguous", "unread", "novel", *(outcome.value for outcome in Outcome)}
DEMO_REMARK = " (demo model)"  # stands behind the slide labels of a demo model, and behind no other

# A class called low tells 1+ from 0; so does a class that is 0 or 1+ alone.
_LOW = re.compile(r"her2[\W_]*(ultra)?[\W_]*low|(?<![^\W_])(ultra[\W_]*)?low(?![^\W_])")
_ALONE = re.compile(r"(her2[\W_]*)?(score[\W_]*)?(0|1\+)")


class LabelClass(Record, frozen=True, kw_only=True):
    """A class. label: in tables and files, 1 to 16 characters; name: for people; color: (R, G, B) 0..255."""

    label: Annotated[str, Meta(min_length=1, max_length=16)]
    name: Annotated[str, Meta(min_length=1, max_length=40)]
    color: tuple[Grey, Grey, Grey]


class LowDefinition(Record, frozen=True, kw_only=True):
    """Why a model may have a class called low, or tell 0 from 1+: the recipe's definition, what shows it."""

    definition: Annotated[str, Meta(min_length=1)]
    shown_on: Annotated[str, Meta(min_length=1)]


# The paper's; ColorBrewer RdYlBu, told apart with colour-blind eyes as well.
PAPER_CLASSES = (
    LabelClass(label=LABELS[0], name="HER2 0 or 1+", color=(69, 117, 180)),
    LabelClass(label=LABELS[1], name="HER2 2+", color=(253, 174, 97)),
    LabelClass(label=LABELS[2], name="HER2 3+", color=(215, 48, 39)),
)

# ColorBrewer RdYlBu of two to four classes; of three, the paper's.
_PALETTES = {
    2: ((69, 117, 180), (215, 48, 39)),
    3: tuple(one.color for one in PAPER_CLASSES),
    4: ((69, 117, 180), (145, 191, 219), (253, 174, 97), (215, 48, 39)),
}


def classes_of(labels: tuple[str, ...]) -> tuple[LabelClass, ...]:
    """Classes of labels without names and colours of their own, in their order: the paper's have its names.

    Raises ModelError for fewer than two or more than four.
    """
    if labels == LABELS:
        return PAPER_CLASSES
    if len(labels) not in _PALETTES:
        raise ModelError(f"found {len(labels)} labels, expected {FEWEST} to {MOST}")
    colors = _PALETTES[len(labels)]
    return tuple(LabelClass(label=one, name=one, color=c) for one, c in zip(labels, colors, strict=True))


def check_classes(classes: tuple[LabelClass, ...], her2_low: LowDefinition | None = None) -> None:
    """Raises ModelError unless they are two to four, each unlike the others, and none claims too much."""
    if not FEWEST <= len(classes) <= MOST:
        raise ModelError(f"found {len(classes)} labels, expected {FEWEST} to {MOST}")
    for one in classes:
        _check_text(one)
        if her2_low is None and claims_low(one):
            raise ModelError(
                f"found the label {one.label!r} ({one.name}), which is called low or tells 0 from 1+: state "
                "its definition and what it was shown on (her2_low), or name the class otherwise"
            )
    for what, values in (
        ("label", [_folded(one.label) for one in classes]),
        ("name", [_folded(one.name) for one in classes]),
        ("colour", [one.color for one in classes]),
    ):
        if len(set(values)) != len(values):
            raise ModelError(f"found two labels of one {what} among {values}, expected each to have its own")


def claims_low(one: LabelClass) -> bool:
    """Whether a class is called low, or is 0 or 1+ alone."""
    words = [_folded(text) for text in (one.label, one.name)]
    return any(_LOW.search(text) or _ALONE.fullmatch(text) for text in words)


def _check_text(one: LabelClass) -> None:
    for text in (one.label, one.name):
        if not text.isprintable() or text != text.strip():
            raise ModelError(f"found the label {text!r}, expected printable characters, no space around them")
    if _folded(one.label) in RESERVED:
        raise ModelError(
            f"found the label {one.label!r}, a word that results use: choose another name for the class"
        )
    if _folded(one.label).endswith(DEMO_REMARK):
        raise ModelError(
            f"found the label {one.label!r}: {DEMO_REMARK.strip()!r} is added to the slide labels of a demo "
            f"model, choose another name for the class"
        )


def _folded(text: str) -> str:
    """A text as people tell it from others: without case or forms of one letter."""
    return unicodedata.normalize("NFKC", text).casefold()
