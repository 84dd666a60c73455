"""The scale of a slide, um per pixel: what the file states, whether that can be, and what looks wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator

from her2edge.errors import OptionError, SlideError
from her2edge.slide.sources import Source
from her2edge.text import percent

MPP_RANGE = (0.05, 20.0)  # um per pixel; a 72-dpi TIFF tag says 352.8
_MPP_ADVICE = "pass --mpp (mpp= in Python), e.g. 0.25 for a 40x scan, 0.5 for 20x"
_ANISOTROPY = 0.02
_FINEST = 0.1  # um per pixel; an objective of 100x gives no less
_AGREES = 0.05  # share by which a scale that is given may differ from the file's own without a word
_CM_PER_INCH = 2.54


def check_mpp(mpp: float | None) -> None:
    """Raise OptionError for a scale out of range; None is none."""
    low, high = MPP_RANGE
    if mpp is not None and not (isinstance(mpp, int | float) and low <= mpp <= high):
        raise OptionError(
            f"found mpp={mpp!r}, expected a number in {low}..{high} um per pixel, e.g. 0.25 at 40x"
        )


def doubts(mpp: float, given: float | None, stated: tuple[float, float] | None) -> Iterator[str]:
    """What makes a scale look wrong, though it is used."""
    own = math.nan if stated is None else sum(stated) / 2
    if given is not None and over_stated(given, stated) != 1:
        yield (
            f"found {own:.4g} um per pixel in the file and {given:.4g} given with --mpp (mpp=): the "
            "one given is used, check which is right"
        )
    if mpp < _FINEST:
        yield (
            f"found {mpp:.4g} um per pixel, finer than a scanner gives: it is {mpp * _CM_PER_INCH:.4g} if "
            "inches were taken for centimetres, to be passed with --mpp (mpp=)"
        )


def over_stated(mpp: float, stated: tuple[float, float] | None) -> float:
    """A scale over the file's own, to two digits; 1 where that is none or the two agree."""
    if stated is None or not MPP_RANGE[0] <= sum(stated) / 2 <= MPP_RANGE[1]:
        return 1.0  # a resolution in dpi says nothing
    ratio = 2 * mpp / sum(stated)
    return 1.0 if abs(ratio - 1) <= _AGREES else float(f"{ratio:.2g}")


def states_none(stated: tuple[float, float] | None) -> bool:
    """Whether a file says nothing of its scale, or what no scanner has: a resolution in dpi."""
    low, high = MPP_RANGE
    return stated is None or not all(low <= scale <= high for scale in stated)


def stated_mpp(source: Source, name: str) -> float:
    """Um per pixel from the file; raises SlideError where it is missing, absurd, or differs by axis."""
    low, high = MPP_RANGE
    if source.mpp is None:
        raise SlideError(f"{name}: found no um per pixel in the file, which is needed: {_MPP_ADVICE}")
    across, down = source.mpp
    if not (low <= across <= high and low <= down <= high):
        raise SlideError(
            f"{name}: found {across:.4g} x {down:.4g} um per pixel in the file, expected "
            f"{low}..{high}: {_MPP_ADVICE}"
        )
    if abs(across - down) > _ANISOTROPY * min(across, down):
        raise SlideError(
            f"{name}: found {across:.4g} um per pixel across and {down:.4g} down, expected the same "
            f"within {percent(_ANISOTROPY)}: {_MPP_ADVICE}"
        )
    return (across + down) / 2
