"""The colours of results: of the model's classes, and of tiles that have none."""

from __future__ import annotations

from her2edge.model.file import Model

Colour = tuple[int, int, int]  # RGB, 0..255

FAILED_COLOUR = (90, 90, 90)
LEFT_OUT_COLOUR = (150, 150, 150)


def class_colours(model: Model) -> dict[str, Colour]:
    """By label, in the model's order."""
    return {one.label: one.color for one in model.manifest.classes}
