"""What says the label of a tile: it stands in the list, in the run's record and on the model's card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from msgspec import UNSET, UnsetType

# A person's regions; the slide's score in a list, or the class folder that it lies in, which are weak labels;
# the class folder of tile images; the answer of a student's teacher, where nobody said anything.
LabelFrom = Literal["regions", "score", "slide_folder", "tile_folder", "teacher"]
TEACHER: LabelFrom = "teacher"
NOT_STATED = ""  # by lists that other programs, or earlier versions, wrote
SOURCES: tuple[LabelFrom, ...] = get_args(LabelFrom)
WEAK: Mapping[str, str] = {
    "score": "the score of their slide",
    "slide_folder": "the class of their slide's folder",
}
_WORDS: Mapping[str, str] = {
    "regions": "regions drawn on the slide",
    **{source: f"{words} (weak, tumour or not)" for source, words in WEAK.items()},
    "tile_folder": "the class folder of the tile",
    TEACHER: "the teacher's answer, which nobody checked",
    NOT_STATED: "a list that does not say from where",
}


def tiles_by_source(sources: Iterable[str]) -> dict[str, int] | UnsetType:
    """Numbers of tiles in the order of SOURCES, those not stated last; UNSET where no tile states one."""
    counts = Counter(sources)
    if set(counts) <= {NOT_STATED}:
        return UNSET
    return {source: counts[source] for source in (*SOURCES, NOT_STATED) if counts[source]}


def label_words(tiles: Mapping[str, int] | UnsetType) -> str:
    """`tiles_by_source` as a sentence without its stop."""
    if tiles is UNSET:
        return "the tile list does not say where its labels are from"
    return "labels: " + "; ".join(f"{number} tiles from {_WORDS[one]}" for one, number in tiles.items())
