"""The project's own codes, and text as DICOM's value representations hold it (PS3.5, 6.2)."""

from __future__ import annotations

import re
from typing import Any

from her2edge.dicom.lazy import Packages
from her2edge.text import one_line

SCHEME, SCHEME_NAME = "99HER2EDGE", "her2edge codes"
LONG = 64  # characters of an LO
# Names of values: the code, and what it means. Codes are never renamed.
STATUS = ("STATUS", "Answer status")
POSSIBLE = ("POSSIBLE", "Label that the answer holds")
REASON = ("REASON", "Reason that limits the answer")
SENTENCE = ("SENTENCE", "Reason in words")
EFFECTIVE = ("EFFECTIVE", "Effective number of tiles")
POOLED = ("POOLED", "Tiles that vote")
TILES = ("TILES", "Tiles of the slide")
RESULT = ("RESULT", "Slide result of an image classifier")
TISSUE_TILE = ("TISSUE_TILE", "Tissue tile")
LEFT_OUT = ("LEFT_OUT", "Tile left out of the answer")


def long_string(text: str, most: int = LONG) -> str:
    """`text` as one value of an LO or SH: one line, no backslash, which would part it in two."""
    text = one_line(text).replace("\\", "/")
    return text if len(text) <= most else f"{text[: most - 3].rstrip()}..."


def of_label(kind: str, label: str) -> tuple[str, str]:
    """The code of a value that a label has, `P 3+`, with its meaning. kind: P, SHARE, LOW, HIGH or LABEL."""
    meaning = {
        "LABEL": "HER2 {}, as the classifier has it",
        "P": "Mean probability of HER2 {}",
        "TILE_P": "Probability of HER2 {}",
        "SHARE": "Share of tiles HER2 {}",
        "LOW": "Share of tiles HER2 {}, 95 % interval from",
        "HIGH": "Share of tiles HER2 {}, 95 % interval to",
    }[kind]
    return long_string(f"{kind} {label}"), long_string(meaning.format(label))


def concept(packages: Packages, code: tuple[str, str]) -> Any:
    """An own code; values of more than 16 characters are Long Code Values."""
    value, meaning = code
    return packages.highdicom.sr.CodedConcept(value=value, scheme_designator=SCHEME, meaning=meaning)


def standard(packages: Packages, value: str, scheme: str, meaning: str) -> Any:
    """A code of others."""
    return packages.highdicom.sr.CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)


def declared(packages: Packages) -> list[Any]:
    """The Coding Scheme Identification of the own codes."""
    item = packages.highdicom.coding_schemes.CodingSchemeIdentificationItem(
        designator=SCHEME, name=SCHEME_NAME
    )
    return [item]


def code_string(text: str) -> str:
    """`text` as a CS: capitals, digits and `_`, at most 16."""
    return re.sub(r"[^A-Z0-9_ ]", "_", text.upper())[:16]
