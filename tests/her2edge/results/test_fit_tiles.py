"""One stain fit of loose tiles."""

from __future__ import annotations

import numpy as np
import pytest
import tiny

from her2edge import MacenkoNormalizer
from her2edge.errors import StainError, TileError
from her2edge.results.fit_tiles import fit_tiles


def test_the_fit_is_that_of_the_tissue_whatever_the_order_of_tiles():
    tiles = [tile.pixels for tile in tiny.tissue(4)]
    fit = fit_tiles(tiles)
    whole = MacenkoNormalizer().fit(np.vstack(tiles))
    np.testing.assert_allclose(fit.stain_matrix, whole.stain_matrix, atol=0.02)
    np.testing.assert_allclose(fit.max_concentration, whole.max_concentration, rtol=0.02)
    again = fit_tiles([tiny.glass(), *reversed(tiles)])
    np.testing.assert_array_equal(again.stain_matrix, fit.stain_matrix)
    np.testing.assert_array_equal(again.max_concentration, fit.max_concentration)


def test_tiles_without_two_stains_have_no_fit():
    for tiles in ([], [tiny.glass()]):
        with pytest.raises(StainError, match="no usable stains"):
            fit_tiles(tiles)


def test_what_is_no_tile_is_refused():
    with pytest.raises(TileError):
        fit_tiles([np.zeros((8, 8), np.uint8)])
