"""The synthetic tissue: same bytes for the same seed, true ground truth, and colour that tells nothing."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from her2edge.errors import OptionError, OutputError
from her2edge_training import synthetic
from her2edge_training.cohort.tile_list import COLUMNS

Array = NDArray[Any]
SITE = synthetic.SITES[0]
EXACT = replace(SITE, name="exact", gains=(1.01, 0.99, 1.0), psf_px=0.0, noise_levels=0.0)


def model(label: str = "2+", seed: int = 1, site: synthetic.Site = SITE) -> synthetic.SlideModel:
    return synthetic.make_slide_model(label, site, seed)


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_public_names_are_sorted_and_there() -> None:
    assert synthetic.LABELS == ("0/1+", "2+", "3+")
    assert len(synthetic.SITES) >= 3
    assert all(hasattr(synthetic, name) for name in synthetic.__all__)


@pytest.mark.parametrize("site", synthetic.SITES, ids=lambda site: site.name)
def test_stain_vectors_have_unit_length_and_stand_apart(site: synthetic.Site) -> None:
    np.testing.assert_allclose(np.linalg.norm(site.stain_matrix, axis=0), 1.0)
    angle = np.degrees(np.arccos(site.stain_matrix[:, 0] @ site.stain_matrix[:, 1]))
    assert 15 < angle < 70


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**31), index=st.integers(0, 10**6), label=st.sampled_from(synthetic.LABELS),
    mpp=st.sampled_from([0.25, 0.5, 1.0]), tissue=st.floats(0, 1), pen=st.booleans(),
)  # fmt: skip
def test_the_same_arguments_give_the_same_bytes(seed, index, label, mpp, tissue, pen) -> None:  # type: ignore[no-untyped-def]
    a, b = (
        synthetic.make_tile(
            synthetic.make_slide_model(label, SITE, seed), index, 64, mpp, tissue=tissue, pen=pen
        )
        for _ in range(2)
    )
    assert a.pixels.tobytes() == b.pixels.tobytes()
    assert a.nuclei.tobytes() == b.nuclei.tobytes()
    assert a.pixels.shape == (64, 64, 3)
    assert np.isfinite(a.concentrations).all()
    assert (a.concentrations >= 0).all()


def test_a_fresh_process_with_another_hash_seed_gives_the_same_bytes() -> None:
    code = (
        "import hashlib; from her2edge_training import synthetic as s;"
        "t = s.make_tile(s.make_slide_model('3+', s.SITES[1], 5), 2, 128);"
        "print(hashlib.sha256(t.pixels.tobytes()).hexdigest())"
    )
    path = [entry for entry in sys.path if entry]
    seen = {
        subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"],
            env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(seen) == 1


def test_other_indices_seeds_sites_and_labels_give_other_tiles() -> None:
    variants = [
        (model(), 0),
        (model(), 1),
        (model(seed=2), 0),
        (model("3+"), 0),
        (model(site=synthetic.SITES[1]), 0),
    ]
    assert len({synthetic.make_tile(m, i, 64).pixels.tobytes() for m, i in variants}) == len(variants)


def test_tiles_of_one_slide_look_more_alike_than_tiles_of_different_slides() -> None:
    means = np.array(
        [
            [synthetic.make_tile(m, i, 256).pixels.reshape(-1, 3).mean(0) for i in range(3)]
            for m in synthetic.make_cohort(12, seed=3)
        ]
    )
    within = means.std(axis=1).mean()
    between = means.mean(axis=1).std(axis=0).mean()
    assert within * 2 < between


def test_optical_density_of_noise_free_pixels_is_stains_times_concentrations() -> None:
    tile = synthetic.make_tile(model(site=EXACT), 0, 256)
    white = synthetic.IO * np.array(EXACT.gains)
    expected = white * np.exp(-(tile.concentrations @ tile.stain_matrix.T))
    assert np.abs(tile.pixels - expected).max() <= 0.51


def test_nuclei_lie_in_tissue_and_hold_the_haematoxylin() -> None:
    tile = synthetic.make_tile(model(), 0, 256, tissue=0.7)
    inside = tile.nuclei > 0
    assert tile.nuclei.dtype == np.int32
    assert 0.1 < inside.sum() / tile.tissue.sum() < 0.4
    assert not (inside & ~tile.tissue).any()
    h = tile.concentrations[..., 0]
    assert h[inside].mean() > 4 * h[tile.tissue & ~inside].mean()


def test_classes_differ_in_membranes_and_only_lean_in_the_size_and_form_of_nuclei() -> None:
    drawn = {label: [model(label, s).morphology for s in range(200)] for label in synthetic.LABELS}
    for name in ("nuclear_radius_um", "radius_cv", "irregularity", "nucleoli"):
        values = [np.array([getattr(m, name) for m in drawn[label]]) for label in synthetic.LABELS]
        assert [v.mean() for v in values] == sorted(v.mean() for v in values)
        assert (values[0].max() > values[2].min()) & (
            np.quantile(values[0], 0.9) > np.quantile(values[1], 0.4)
        )
    lined = [[m.membrane_completeness for m in drawn[label]] for label in synthetic.LABELS]
    assert max(lined[0]) < min(lined[1])
    assert max(lined[1]) < min(lined[2])


def test_numbers_that_are_not_the_class_follow_one_law() -> None:
    leaning = {"nuclear_radius_um", "radius_cv", "irregularity", "nucleoli", "membrane_completeness"}
    names = {field.name for field in fields(synthetic.Morphology)} - leaning
    one, other = model("0/1+", 9).morphology, model("3+", 9).morphology
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]


def test_random_effects_other_than_morphology_do_not_know_the_label() -> None:
    one, other = model("0/1+", 9), model("3+", 9)
    np.testing.assert_array_equal(one.stain_matrix, other.stain_matrix)
    assert (one.hematoxylin, one.eosin, one.haze) == (other.hematoxylin, other.eosin, other.haze)


@pytest.mark.parametrize("tissue", [0.0, 0.25, 0.6, 1.0])
def test_the_tissue_share_is_what_was_asked_for_and_the_rest_is_glass(tissue: float) -> None:
    tile = synthetic.make_tile(model(), 0, 256, tissue=tissue)
    assert tile.tissue.mean() == pytest.approx(tissue, abs=0.01)
    inner_glass = cv2.erode((~tile.tissue).view(np.uint8), np.ones((9, 9), np.uint8), borderValue=1) > 0
    if inner_glass.any():
        assert 236 <= np.median(tile.pixels[inner_glass]) <= 250
    assert (tile.concentrations[~tile.tissue] == 0).all()


def test_blur_takes_detail_away_and_leaves_the_truth() -> None:
    sharp, soft = (synthetic.make_tile(model(), 0, 256, blur=blur) for blur in (0.0, 1.0))
    detail = [cv2.Laplacian(t.pixels[..., 1], cv2.CV_32F).var() for t in (sharp, soft)]
    assert detail[1] < 0.5 * detail[0]
    np.testing.assert_array_equal(sharp.concentrations, soft.concentrations)
    np.testing.assert_allclose(sharp.pixels.mean((0, 1)), soft.pixels.mean((0, 1)), atol=1.0)


def test_the_pen_darkens_its_mask_and_nothing_else() -> None:
    clean, marked = (synthetic.make_tile(model(site=EXACT), 0, 256, pen=pen) for pen in (False, True))
    assert 0.02 < marked.pen.mean() < 0.7
    assert not clean.pen.any()
    np.testing.assert_array_equal(clean.pixels[~marked.pen], marked.pixels[~marked.pen])
    assert (
        marked.pixels[marked.pen].astype(int).sum(1) < clean.pixels[marked.pen].astype(int).sum(1)
    ).mean() > 0.99


def test_a_slide_is_tissue_on_glass_with_its_truth() -> None:
    slide = synthetic.make_slide_image(model(), 1024, 768, pen=True)
    assert slide.pixels.shape == (768, 1024, 3)
    assert slide.concentrations.shape == (768, 1024, 2)
    assert 0.25 < slide.tissue.mean() < 0.75
    edges = np.concatenate([slide.tissue[0], slide.tissue[-1], slide.tissue[:, 0], slide.tissue[:, -1]])
    assert not edges.any()
    assert slide.pen.any()
    again = synthetic.make_slide_image(model(), 1024, 768, pen=True)
    assert slide.pixels.tobytes() == again.pixels.tobytes()


def test_a_focus_changes_the_slide_there_and_nowhere_else() -> None:
    plain = synthetic.make_slide_image(model("0/1+"), 1024, 768)
    mixed = synthetic.make_slide_image(model("0/1+"), 1024, 768, focus="3+", focus_share=0.3)
    assert not plain.focus.any()
    assert mixed.focus.mean() == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(plain.nuclei, mixed.nuclei)
    moved = np.abs(plain.concentrations - mixed.concentrations).max(-1) > 0.1
    inside, outside = moved[mixed.focus & mixed.tissue].mean(), moved[~mixed.focus & mixed.tissue].mean()
    assert inside > 0.1
    assert outside < inside / 4  # the histogram is the slide's, so that some change a little


def test_a_corner_out_of_focus_is_soft_and_the_rest_is_as_it_was() -> None:
    plain = synthetic.make_slide_image(model(), 1024, 768)
    soft = synthetic.make_slide_image(model(), 1024, 768, corner=1.5)
    assert 0.1 < soft.blurred.mean() < 0.25
    np.testing.assert_array_equal(plain.pixels[~soft.blurred], soft.pixels[~soft.blurred])
    detail = [
        np.abs(cv2.Laplacian(x.pixels[..., 1], cv2.CV_32F))[soft.blurred & soft.tissue].mean()
        for x in (plain, soft)
    ]
    assert detail[1] < 0.6 * detail[0]


def test_a_slide_painted_in_bands_has_no_seams() -> None:
    blurred = replace(model(site=EXACT), psf_px=2.0)
    slide = synthetic.make_slide_image(blurred, 64, 1100)
    light = synthetic.IO * np.array(EXACT.gains) * np.exp(-(slide.concentrations @ slide.stain_matrix.T))
    expected = cv2.GaussianBlur(light, (0, 0), 2.0, borderType=cv2.BORDER_REFLECT_101)
    assert np.abs(slide.pixels - expected).max() <= 1.0


def test_a_cohort_balances_classes_and_crosses_them_with_sites() -> None:
    cohort = synthetic.make_cohort(48, seed=2)
    assert set(Counter(m.label for m in cohort).values()) == {16}
    assert set(Counter((m.label, m.site.name) for m in cohort).values()) == {16 // len(synthetic.SITES)}
    assert len({m.name for m in cohort}) == len({m.patient for m in cohort}) == 48
    assert [m.seed for m in cohort[:6]] == [m.seed for m in synthetic.make_cohort(6, seed=2)]


def test_a_data_set_reads_back_as_its_tile_list_says_and_reruns_to_the_same_bytes(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    lists = [
        synthetic.write_dataset(
            tmp_path / name,
            synthetic.even_cohort(3, 2, seed=4),
            tile_px=64,
            progress=lambda *call: calls.append(call),
        )
        for name in ("a", "b")
    ]
    assert lists[0] == tmp_path / "a" / "cohort.csv"
    assert calls[:6] == [(i, 6) for i in range(1, 7)]
    assert files(tmp_path / "a") == files(tmp_path / "b")
    with lists[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == tuple(name for name in COLUMNS if name != "label_from")
    assert [row["label"] for row in rows] == ["0/1+", "0/1+", "2+", "2+", "3+", "3+"]
    for row in rows:
        data = (tmp_path / "a" / row["tile"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)).shape == (64, 64, 3)
    assert (rows[1]["x"], rows[1]["y"]) == ("64", "0")
    assert not list((tmp_path / "a").rglob("*.part*"))


def test_a_written_tile_is_the_tile_of_the_cohort_but_for_jpeg(tmp_path: Path) -> None:
    synthetic.write_dataset(tmp_path, synthetic.even_cohort(3, 1, seed=4), tile_px=128)
    first = synthetic.make_cohort(3, seed=4)[0]
    read = np.asarray(cv2.imread(str(tmp_path / "tiles" / first.name / "00000.jpg")))[..., ::-1].astype(int)
    assert np.abs(read - synthetic.make_tile(first, 0, 128).pixels).mean() < 3


@pytest.mark.parametrize(
    "bad",
    [
        lambda: synthetic.make_slide_model("1+", SITE, 0),
        lambda: synthetic.make_slide_model("2+", "aster", 0),  # type: ignore[arg-type]
        lambda: synthetic.make_slide_model("2+", SITE, -1),
        lambda: synthetic.make_cohort(2),
        lambda: synthetic.make_cohort(3, []),
        lambda: synthetic.make_tile(model(), -1),
        lambda: synthetic.make_tile(model(), 0, 8),
        lambda: synthetic.make_tile(model(), 0, 64, 0.0),
        lambda: synthetic.make_tile(model(), 0, 64, float("nan")),
        lambda: synthetic.make_tile(model(), 0, 64, blur=-1.0),
        lambda: synthetic.make_tile(model(), 0, 64, tissue=1.5),
        lambda: synthetic.make_slide_image(model(), 64, 10**6),
        lambda: synthetic.make_slide_image(model(), 64, 64, focus="1+"),
        lambda: synthetic.make_slide_image(model(), 64, 64, focus="3+", focus_share=1.0),
        lambda: synthetic.make_slide_image(model(), 64, 64, corner=-1.0),
    ],
)
def test_bad_arguments_are_option_errors(bad) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OptionError, match="found"):
        bad()


def test_a_data_set_needs_room_for_itself_and_one_slide_per_class(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    with pytest.raises(OutputError, match="found a file"):
        synthetic.write_dataset(taken, synthetic.even_cohort(3, 1, seed=0))
    with pytest.raises(OutputError, match="which is no folder"):
        synthetic.write_dataset(taken / "below", synthetic.even_cohort(3, 1, seed=0), tile_px=64)
    usual: dict[str, Any] = {"slides": 3, "tiles_per_slide": 1, "seed": 0}
    for odd in ({"slides": 2}, {"tiles_per_slide": 0}, {"seed": -1}, {"sites": (SITE, SITE)}):
        with pytest.raises(OptionError, match="found"):
            synthetic.even_cohort(**{**usual, **odd})


def test_the_papers_cohort_has_its_slides_its_sites_and_its_balance_of_classes() -> None:
    whole = synthetic.paper_cohort(1.0, seed=2)
    of_class = Counter[str]()
    for slide, tiles in zip(whole.slides, whole.tiles, strict=True):
        of_class[slide.label] += tiles
    assert of_class == {"0/1+": 3539, "2+": 3077, "3+": 3764}
    sites = Counter((slide.site.name, slide.label) for slide in whole.slides)
    assert [sites["birch", label] for label in synthetic.LABELS] == [5, 4, 5]
    assert sum(n for (site, _), n in sites.items() if site == "aster") == 24
    assert sum(synthetic.paper_cohort(0.1, seed=2).tiles) == 354 + 308 + 376
    assert len({slide.seed for slide in whole.slides}) == 38
    for share in (0.0, 1.5, 0.0001):
        with pytest.raises(OptionError, match="found"):
            synthetic.paper_cohort(share, seed=2)


def test_import_pulls_in_no_training_library() -> None:
    code = (
        f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}; import her2edge_training.synthetic;"
        "print([n for n in ('keras', 'tensorflow', 'sklearn', 'openslide', 'torch') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _colours(pixels: Array) -> Array:
    """Per-channel histograms of 32 bins and the joint one of 8 x 8 x 8, as shares, (608,) float64."""
    coarse = (pixels >> 5).reshape(-1, 3).astype(np.int64) @ np.array([64, 8, 1])
    parts = [np.bincount((pixels[..., c] >> 3).ravel(), minlength=32) for c in range(3)]
    shares: Array = np.concatenate([*parts, np.bincount(coarse, minlength=512)]) / coarse.size
    return shares


@pytest.fixture(scope="module")
def cohort_tiles() -> tuple[list[Array], Array, Array]:
    """90 slides, one tile of 512 px each (so every split is grouped by slide), labels and folds."""
    cohort = synthetic.make_cohort(90, seed=11)
    tiles = [synthetic.make_tile(m, 0, 512).pixels for m in cohort]
    labels = np.array([synthetic.LABELS.index(m.label) for m in cohort])
    return tiles, labels, np.arange(90) // 3 % 5


def _accuracy(features: list[Array], labels: Array, folds: Array) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import PredefinedSplit, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    return float(cross_val_score(probe, np.array(features), labels, cv=PredefinedSplit(folds)).mean())


@pytest.mark.slow
def test_colour_does_not_tell_the_class(cohort_tiles) -> None:  # type: ignore[no-untyped-def]
    tiles, labels, folds = cohort_tiles
    assert _accuracy([_colours(t) for t in tiles], labels, folds) <= 0.60


@pytest.mark.slow
def test_colour_does_not_tell_the_class_after_macenko_either(cohort_tiles) -> None:  # type: ignore[no-untyped-def]
    macenko = pytest.importorskip("torchstain.numpy.normalizers").NumpyMacenkoNormalizer()
    tiles, labels, folds = cohort_tiles
    normalised = [macenko.normalize(I=t, stains=False)[0].astype(np.uint8) for t in tiles]
    assert _accuracy([_colours(t) for t in normalised], labels, folds) <= 0.60


def test_macenko_finds_the_stains_that_made_the_tile() -> None:
    normalizers = pytest.importorskip("torchstain.numpy.normalizers")
    good = []
    for m in synthetic.make_cohort(12, seed=6):
        macenko = normalizers.NumpyMacenkoNormalizer()
        macenko.fit(synthetic.make_tile(m, 0, 256).pixels)
        cosines = np.sum(macenko.HERef * m.stain_matrix, axis=0) / np.linalg.norm(macenko.HERef, axis=0)
        h, e = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
        good.append(h <= 3 and e <= 6)
    assert sum(good) >= 11
