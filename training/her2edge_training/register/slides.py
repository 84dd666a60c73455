"""An H&E and an IHC slide -> a registration that is believed, or a refusal that says why."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import SlideError
from her2edge.results import SlideInfo
from her2edge.slide import SlideReader
from her2edge.text import percent
from her2edge.tile import Pixels
from her2edge_training.register.align import Alignment, align
from her2edge_training.register.errors import RegistrationError
from her2edge_training.register.picture import H_DAB, H_E, Picture, draw_picture, rescale, tissue_share
from her2edge_training.register.residual import MIN_BLOCKS
from her2edge_training.register.rigid import Matrix

FINE_PX = 2048  # of the longer side of the larger slide
FINEST_MPP = 0.5  # per pixel: finer, neighbouring sections have nothing in common
LEAST_TISSUE = 0.002  # share of a slide


@dataclass(frozen=True, eq=False)
class Preview:
    """A slide as registration sees it: pixels (h, w, 3) uint8 RGB, whole, at `mpp` um per pixel."""

    slide: SlideInfo
    pixels: Pixels
    mpp: float


@dataclass(frozen=True, eq=False)
class SlidePair:
    """Two previews of about `mpp` um per pixel, the scale that they are compared at."""

    he: Preview
    ihc: Preview
    mpp: float


@dataclass(frozen=True)
class Registration:
    """How two slides lie to each other.

    alignment: from the IHC to the H&E slide; mpp: um per pixel of the pictures compared.
    """

    he: SlideInfo
    ihc: SlideInfo
    mpp: float
    alignment: Alignment

    @property
    def ihc_to_he(self) -> Matrix:
        """(2, 3) float64, from level-0 pixels (x, y, 1) of the IHC slide to those of the H&E slide."""
        return self.alignment.transform.matrix(_mpp(self.ihc), _mpp(self.he))

    @property
    def he_to_ihc(self) -> Matrix:
        """(2, 3) float64, the inverse of `ihc_to_he`."""
        return self.alignment.transform.inverse.matrix(_mpp(self.he), _mpp(self.ihc))


def read_pair(
    he: str | os.PathLike[str],
    ihc: str | os.PathLike[str],
    *,
    he_mpp: float | None = None,
    ihc_mpp: float | None = None,
) -> SlidePair:
    """Read both slides small enough to compare; mpp: um per pixel of level 0, overrides the file's.

    Raises what SlideReader raises, and SlideError for a folder.
    """
    with _open(he, he_mpp, "he") as first, _open(ihc, ihc_mpp, "ihc") as second:
        infos = [_info(slide) for slide in (first, second)]
        longest = max(max(_size(info)) * _mpp(info) for info in infos)
        mpp = max(FINEST_MPP, longest / FINE_PX, *map(_mpp, infos))
        return SlidePair(_preview(first, infos[0], mpp), _preview(second, infos[1], mpp), mpp)


def register_pair(pair: SlidePair) -> Registration:
    """Find the turn and the shift between two slides.

    Raises RegistrationError where a slide holds no tissue, where the slides have nothing in common, and where
    the residual on held-out blocks is above its limit or cannot be measured.
    """
    fixed, moving = _picture(pair.he, H_E, pair.mpp), _picture(pair.ihc, H_DAB, pair.mpp)
    alignment = align(fixed, moving, pair.mpp)
    if alignment is None:
        raise RegistrationError(f"{_names(pair)}: found no place where both have tissue: {_ADVICE}")
    residual = alignment.residual
    if residual.blocks < MIN_BLOCKS:
        raise RegistrationError(
            f"{_names(pair)}: found {residual.blocks} block(s) of tissue to measure the fit on, "
            f"expected at least {MIN_BLOCKS}: use slides that share more tissue",
            alignment.transform,
        )
    if not residual.good:
        raise RegistrationError(
            f"{_names(pair)}: found a residual of {residual.median:.1f} um on {residual.blocks} held-out "
            f"blocks, expected at most {residual.limit:.1f} um: {_ADVICE}",
            alignment.transform,
        )
    return Registration(pair.he.slide, pair.ihc.slide, pair.mpp, alignment)


_ADVICE = "check that they are neighbouring sections of one block, and their um per pixel"


def _picture(preview: Preview, stains: NDArray[np.float64], mpp: float) -> Picture:
    picture = draw_picture(preview.pixels, stains)
    share = tissue_share(picture)
    if share < LEAST_TISSUE:
        raise RegistrationError(
            f"{preview.slide.name}: found tissue on {percent(share, 2)} of the slide, expected "
            f"{percent(LEAST_TISSUE, 1)} or more: check that the slide is not blank"
        )
    return rescale(picture, preview.mpp, mpp)


def _open(path: str | os.PathLike[str], mpp: float | None, which: str) -> SlideReader:
    try:
        slide = SlideReader(path, mpp=mpp)
    except SlideError as error:
        raise SlideError(str(error).replace("--mpp (mpp=", f"--{which}-mpp ({which}_mpp=")) from error
    if slide.is_folder:
        raise SlideError(f"{slide.name}: found a folder, expected one slide or image: name the file")
    return slide


def _info(slide: SlideReader) -> SlideInfo:
    width, height = slide.dimensions or (0, 0)
    return SlideInfo(slide.name, slide.fingerprint, slide.mpp, width, height)


def _preview(slide: SlideReader, info: SlideInfo, mpp: float) -> Preview:
    longest = max(_size(info))
    max_px = max(1, min(longest, math.ceil(longest * _mpp(info) / mpp)))
    pixels = slide.thumbnail(max_px)
    assert pixels is not None  # noqa: S101 - only a folder has none
    return Preview(info, pixels, _mpp(info) * longest / max_px)


def _size(info: SlideInfo) -> tuple[int, int]:
    return info.width or 1, info.height or 1


def _mpp(info: SlideInfo) -> float:
    assert info.mpp is not None  # noqa: S101 - only a folder has none
    return info.mpp


def _names(pair: SlidePair) -> str:
    return f"{pair.he.slide.name} and {pair.ihc.slide.name}"
