"""Codes of what is wrong with a tile, and the limits beyond which it gets them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Code(StrEnum):
    """What is wrong with a tile. The words are stable: files and programs depend on them.

    All but `compressed` keep a tile out of the slide answer.
    """

    NO_STAIN = "no_stain"
    EDGE = "edge"
    OVER_EXPOSED = "over_exposed"
    BLURRED = "blurred"
    PEN = "pen"
    COMPRESSED = "compressed"


KEEPS_OUT = tuple(code for code in Code if code is not Code.COMPRESSED)


class QualityLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Beyond which figures a tile gets a code; shares are of the tile's valid pixels, 0..1.

    blur_full, blur_half, blur_quarter, blur_eighth, blur_along: `blurred` where the energy of detail at full
        size over that at a quarter, at half over a quarter, at a quarter over an eighth, at an eighth over
        the variance of optical density, or, where there is little fine detail, in one direction over that
        across it, is below.
    pen_green, pen_blue, pen_black: `pen` above these shares of pixels of such ink; pen_clear: of cells.
    over_exposed: above this share of tissue with red at 254 or 255. glass: `edge` above this share of glass.
    inside: `edge` where less of the tile than this lies in the slide. compressed: above this ratio of steps
        across the 8-pixel grid to those within.

    The defaults lie between what was measured of clean tissue and of artefacts drawn on it, in every second
    source at hand; benchmarks/quality.py scores the others. docs/quality.md says which limits are older.
    """

    blur_full: Annotated[float, msgspec.Meta(gt=0)] = 0.023
    blur_half: Annotated[float, msgspec.Meta(gt=0)] = 0.17
    blur_quarter: Annotated[float, msgspec.Meta(gt=0)] = 0.24
    blur_eighth: Annotated[float, msgspec.Meta(gt=0)] = 1.1
    blur_along: Annotated[float, msgspec.Meta(gt=0)] = 0.27
    pen_green: Share = 0.03
    pen_blue: Share = 0.03
    pen_black: Share = 0.035
    pen_clear: Share = 0.03
    over_exposed: Share = 0.015
    glass: Share = 0.40
    inside: Share = 0.75
    compressed: Annotated[float, msgspec.Meta(gt=0)] = 1.5
