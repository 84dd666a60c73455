"""The guards held against real and made-up tiles: tissue passes, everything else is named."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from shared_data import SHARED, needs, with_jit_only

from her2edge import MacenkoNormalizer, SlideReader, TissueFilter
from her2edge.stain import StainAccumulator, StainSource, StainStatus
from her2edge.stain.profiles import MACENKO
from her2edge_training import synthetic

NORMALIZER = MacenkoNormalizer()
SIDE = 256


def crops(name, side=512):
    """Every whole crop of a real image."""
    image = cv2.cvtColor(cv2.imread(str(SHARED / "tiles" / name)), cv2.COLOR_BGR2RGB)
    for y in range(0, image.shape[0] - side + 1, side):
        for x in range(0, image.shape[1] - side + 1, side):
            yield image[y : y + side, x : x + side]


@needs("tiles")
def test_every_crop_of_every_real_breast_image_is_accepted():
    """95 crops of 16 images."""
    names = sorted(path.name for path in (SHARED / "tiles").glob("*.jpg"))
    statuses = [NORMALIZER.normalize(pixels).status for name in names for pixels in crops(name)]
    assert len(statuses) >= 95
    assert set(statuses) == {StainStatus.OK}


@pytest.mark.parametrize(
    ("name", "mpp"), [("cmu-1-small-region.svs", None), ("tcga-cr-7395-01a-01-ts1.svs", 0.25)]
)
@needs("wsi")
def test_every_tile_of_a_real_slide_that_the_filter_keeps_is_accepted(name, mpp):
    rule = TissueFilter()
    with SlideReader(SHARED / "wsi" / name, mpp=mpp) as slide:
        kept = [t for t in slide.sample(512, 400) if not rule.is_background(t.pixels, t.valid)]
    assert kept
    statuses = {NORMALIZER.normalize(tile.pixels, valid=tile.valid).status for tile in kept}
    assert statuses == {StainStatus.OK}


@with_jit_only
@pytest.mark.parametrize("site", synthetic.SITES, ids=lambda site: site.name)
def test_known_stains_of_every_synthetic_site_are_found_again(site):
    for number, label in enumerate(synthetic.LABELS):
        model = synthetic.make_slide_model(label, site, 300 + number)
        tile = synthetic.make_tile(model, number)
        fit = MacenkoNormalizer(exact=True).fit(tile.pixels)
        for stain, limit in ((0, 3.0), (1, 6.0)):
            found, known = fit.stain_matrix[:, stain], tile.stain_matrix[:, stain]
            cosine = found @ known / np.linalg.norm(found)
            assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) <= limit


def uneven(colour, seed=2, spread=6):
    """A field of one colour, a little uneven."""
    field = np.full((SIDE, SIDE, 3), colour, np.int16)
    return field + np.random.default_rng(seed).integers(-spread, spread + 1, field.shape)


def tile(field):
    return np.clip(field, 0, 255).astype(np.uint8)


def blood():
    """Red cells, packed, on a little plasma."""
    field = tile(uneven((235, 215, 220), spread=3))
    rng = np.random.default_rng(5)
    for x, y, shade in rng.integers((0, 0, -8), (SIDE, SIDE, 9), (500, 3)).tolist():
        cv2.circle(field, (x, y), 9, (205 + shade, 60 + shade, 55 + shade), -1)
    return field


def stroke(colour):
    field = uneven((245, 245, 245), spread=3)
    field[60:180] = uneven(colour)[60:180]
    return tile(field)


def one_stain(noise, seed=6):
    """Eosin alone, thin and thick, with a sensor's noise: as many grey levels whatever the light."""
    rng = np.random.default_rng(seed)
    amounts = 0.4 + cv2.GaussianBlur(rng.gamma(1.0, 3.0, (SIDE, SIDE)), (0, 0), 4) / 3
    light = 240 * np.exp(-amounts[..., None] * np.array((0.45, 0.75, 0.48)))
    return tile(light + rng.normal(0, noise, light.shape))


def inverted():
    """The colours of H&E turned round: green, where H&E takes most of green."""
    rng = np.random.default_rng(7)
    amounts = 0.3 + rng.gamma(1.0, 0.4, (SIDE, SIDE, 2))
    return 255 - tile(240 * np.exp(-amounts @ MACENKO.stain_matrix.T))


FLAGGED = {
    "one stain, little noise": one_stain(2),
    "one stain, much noise": one_stain(8),
    "one stain of one depth, noise": tile(
        np.random.default_rng(8).normal((109, 79, 159), 6, (SIDE, SIDE, 3))
    ),
    "inverted tissue": inverted(),
    "white": tile(uneven((255, 255, 255), spread=0)),
    "glass": tile(uneven((242, 241, 243))),
    "grey": tile(uneven((120, 120, 120), spread=0)),
    "grey noise": tile(np.repeat(np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 1)), 3, axis=2)),
    "colour noise": np.random.default_rng(4).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
    "blue pen": stroke((30, 60, 200)),
    "green pen": stroke((20, 150, 60)),
    "black pen": stroke((35, 35, 38)),
    "red pen": stroke((200, 30, 40)),
    "blood": blood(),
    "a few pixels": tile(np.where(np.arange(SIDE)[:, None, None] < 8, uneven((120, 60, 130)), 245)),
}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("pixels", FLAGGED.values(), ids=FLAGGED.keys())
def test_what_is_not_tissue_is_flagged_and_left_untouched(pixels, exact):
    result = MacenkoNormalizer(exact=exact).normalize(pixels)
    assert result.status is not StainStatus.OK
    np.testing.assert_array_equal(result.pixels, pixels)


@with_jit_only
@pytest.mark.parametrize("pixels", FLAGGED.values(), ids=FLAGGED.keys())
def test_what_is_not_tissue_is_flagged_with_the_fit_of_a_slide_too(pixels):
    for number, site in enumerate(synthetic.SITES):
        model = synthetic.make_slide_model("2+", site, 300 + number)
        fit = NORMALIZER.fit(synthetic.make_tile(model, 0).pixels)
        result = NORMALIZER.normalize(pixels, fit=fit)
        assert result.status is not StainStatus.OK
        assert result.source is StainSource.GIVEN


@needs("tiles")
def test_every_real_crop_is_accepted_with_the_fit_of_its_own_image():
    for path in sorted((SHARED / "tiles").glob("*.jpg")):
        collected = StainAccumulator()
        for pixels in crops(path.name):
            collected.update(pixels)
        fit = collected.freeze()
        for pixels in crops(path.name):
            assert NORMALIZER.normalize(pixels, fit=fit).status is StainStatus.OK
