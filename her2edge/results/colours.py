"""The colours of results: of the model's classes, and of tiles that have none."""

from __future__ import annotations

from her2edge.model.file import Model

Colour = tuple[int, int, int]  # RGB, 0..255

FAILED_COLOUR = (90, 90, 90)
LEFT_OUT_COLOUR = (150, 150, 150)

_COLORS = {"0/1+": (69, 117, 180), "2+": (253, 174, 97), "3+": (215, 48, 39)}


def class_colours(model: Model) -> dict[str, Colour]:
    """By label, in the model's order."""
    return {label: _COLORS[label] for label in model.manifest.labels}
