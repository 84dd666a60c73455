"""What was measured of a tile's picture, and the codes that it gets by the limits of a model."""

from __future__ import annotations

from dataclasses import dataclass

from her2edge.quality.limits import KEEPS_OUT, Code, QualityLimits

FINE = 1.4  # times the limit of blur_half: a tile with more fine detail did not move, whatever its directions


@dataclass(frozen=True)
class Figures:
    """Raw figures of a tile, of its own valid pixels only. Shares are 0..1.

    inside: share of the tile that is valid. glass: share that is bright without colour. over_exposed: share
    that is tissue with red at 254 or 255. pen_green, pen_blue, pen_black: share with such ink; pen_clear:
        share of cells of 16 x 16 pixels with blue ink through which tissue shows.
    blur_full, blur_half: energy of detail at full, at half size, over that at a quarter; blur_quarter: at a
        quarter over that at an eighth, each less the share of noise and in the direction that has the least;
        blur_eighth: at an eighth over the variance of optical density there; blur_along: at half size, in any
        direction over that across it, the least. None where there is too little tissue to tell, or nothing
        to divide by.
    grid: how much steeper the picture is across the edges of blocks of 8 pixels than elsewhere, 1 for not.
    stains: whether two stains can be told apart in its tissue.
    """

    inside: float
    glass: float
    over_exposed: float
    pen_green: float
    pen_blue: float
    pen_black: float
    pen_clear: float
    blur_full: float | None
    blur_half: float | None
    blur_quarter: float | None
    blur_eighth: float | None
    blur_along: float | None
    grid: float
    stains: bool


@dataclass(frozen=True)
class Quality:
    """Codes of a tile, in the order of `Code`, and what they were read off."""

    codes: tuple[str, ...]
    figures: Figures


def keeping_out(codes: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a tile's codes that keep it out of the slide answer, in their order."""
    return tuple(code for code in codes if code in KEEPS_OUT)


def _moved(figures: Figures, limits: QualityLimits) -> float | None:
    """blur_along, where it says that the stage moved; None where it says nothing.

    Fibres lie in one direction at every size; a movement takes the finest detail away more.
    """
    fine = figures.blur_half is not None and figures.blur_half >= FINE * limits.blur_half
    return None if fine else figures.blur_along


def judge_quality(figures: Figures, limits: QualityLimits) -> tuple[str, ...]:
    """The codes of a tile with these figures, in the order of `Code`."""
    blur = (
        (figures.blur_full, limits.blur_full),
        (figures.blur_half, limits.blur_half),
        (figures.blur_quarter, limits.blur_quarter),
        (figures.blur_eighth, limits.blur_eighth),
        (_moved(figures, limits), limits.blur_along),
    )
    pens = (
        (figures.pen_green, limits.pen_green),
        (figures.pen_blue, limits.pen_blue),
        (figures.pen_black, limits.pen_black),
        (figures.pen_clear, limits.pen_clear),
    )
    wrong = {
        Code.NO_STAIN: not figures.stains,
        Code.EDGE: figures.glass > limits.glass or figures.inside < limits.inside,
        Code.OVER_EXPOSED: figures.over_exposed > limits.over_exposed,
        Code.BLURRED: any(energy is not None and energy < least for energy, least in blur),
        Code.PEN: any(share > most for share, most in pens),
        Code.COMPRESSED: figures.grid > limits.compressed,
    }
    return tuple(code.value for code in Code if wrong[code])
