"""Profile `tiatoolbox` against what tiatoolbox made of the same tiles (make_tiatoolbox_golden.py)."""

from __future__ import annotations

import numpy as np
import pytest
from make_tiatoolbox_golden import OUT, digest

from her2edge import MacenkoNormalizer
from her2edge.errors import StainError
from her2edge.stain import StainStatus

with np.load(OUT, allow_pickle=False) as file:
    GOLDEN = {name: file[name] for name in file.files}
TILES = range(len(GOLDEN["tiles"]))
EXACT = MacenkoNormalizer("tiatoolbox", exact=True)


def test_the_golden_file_is_the_one_that_was_made_and_says_with_what():
    assert tuple(map(int, str(GOLDEN["version"]).split("."))) >= (2, 1)
    arrays = {name: array for name, array in GOLDEN.items() if name not in ("version", "sha256")}
    assert str(GOLDEN["sha256"]) == digest(arrays)


def test_the_target_is_fitted_as_tiatoolbox_does():
    fit = EXACT.fit(GOLDEN["target"])
    np.testing.assert_allclose(fit.stain_matrix, GOLDEN["target_matrix"], atol=1e-9)
    np.testing.assert_allclose(fit.max_concentration, GOLDEN["target_strongest"], atol=1e-9)


@pytest.mark.parametrize(("exact", "equal", "most"), [(True, 0.9999, 1), (False, 0.995, 2)])
@pytest.mark.parametrize("number", TILES)
def test_tiles_come_out_as_tiatoolbox_has_them(number, exact, equal, most):
    normalizer = MacenkoNormalizer("tiatoolbox", EXACT.fit(GOLDEN["target"]), exact=exact)
    ours = normalizer.normalize(GOLDEN["tiles"][number])
    assert ours.status is StainStatus.OK
    if exact:
        np.testing.assert_allclose(ours.fit.stain_matrix, GOLDEN["matrices"][number], atol=1e-9)
    difference = np.abs(ours.pixels.astype(int) - GOLDEN["images"][number])
    assert difference.max() <= most
    assert np.mean(difference == 0) >= equal


def test_without_a_target_it_fits_but_does_not_normalise():
    with pytest.raises(StainError, match="fit one"):
        EXACT.normalize(GOLDEN["tiles"][0])
