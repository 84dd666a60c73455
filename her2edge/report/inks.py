"""Names and colours of labels where the model is not at hand; ink that can be read on them."""

from __future__ import annotations

from collections.abc import Sequence

from her2edge.model.classes import PAPER_CLASSES, LabelClass
from her2edge.model.file import Model
from her2edge.results.colours import Colour

# For results whose model is not at hand and whose labels are not the paper's.
_SPARE: tuple[Colour, ...] = ((69, 117, 180), (253, 174, 97), (215, 48, 39), (84, 39, 136))


def classes_of(labels: Sequence[str], model: Model | None) -> tuple[LabelClass, ...]:
    """Labels with names and colours: the model's; without it the paper's, where they are its labels."""
    if model is not None:
        return model.manifest.classes
    if tuple(labels) == tuple(one.label for one in PAPER_CLASSES):
        return PAPER_CLASSES
    return tuple(
        LabelClass(label=label, name=label, color=colour)
        for label, colour in zip(labels, (*_SPARE[: len(labels) - 1], _SPARE[3]), strict=False)
    )


def ink_on(colour: Colour) -> str:
    """`#000` or `#fff`, whichever has the higher contrast on a colour: 4.58 at least, whatever it is."""
    light = luminance(colour)
    return "#000" if (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) else "#fff"


def luminance(colour: Colour) -> float:
    """Relative luminance, 0..1, of an sRGB colour (WCAG 2.2)."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
