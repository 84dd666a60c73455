"""The embedded model: what it is, what it says of itself, and that the documents say the same."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from her2edge import LABELS, Model, Options, SlideReader, TileClassifier
from her2edge.model.records import Limits
from her2edge.runtime.machine import architecture
from her2edge_cli.main import main
from her2edge_training import synthetic

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "explanation" / "demo-model.md").read_text()


@pytest.fixture(scope="module")
def model():
    return Model.demo()


def test_it_is_the_full_size_network_in_int8_and_marked_as_a_demo(model):
    manifest = model.manifest
    assert manifest.demo
    assert (manifest.architecture, manifest.scheme) == ("se_resnet50", "int8")
    assert (model.tile_px, model.mpp) == (512, 0.25)
    assert manifest.features.shape == (1, 16, 16, 512)
    assert len(model.flatbuffer) > 20e6
    assert "synthetic tissue only" in model.card


def test_its_golden_tiles_give_the_logits_it_was_packed_with(model):
    """Held to every bit where runtime, version and architecture are those that made them."""
    classifier = TileClassifier(model, Options(threads=1))
    origin = model.manifest.golden_origin
    assert origin.runtime == "litert"
    same = (classifier.use.version, architecture()) == (origin.version, origin.architecture)
    assert classifier.tested.identical or not same


def test_it_went_through_the_gate_on_at_least_two_thousand_held_out_tiles(model):
    gate = model.manifest.gate
    assert gate.tiles >= 2000
    assert not gate.reasons
    assert not gate.accepted_loss
    assert gate.limits == Limits(patients=60)


def test_it_has_limits_of_quality_and_novelty_and_is_calibrated(model):
    manifest = model.manifest
    assert manifest.quality is not None
    assert model.novelty is not None
    assert min(manifest.calibration_slides.patients.values()) >= 12


def test_it_is_the_fast_export(model):
    assert model.manifest.input.packing


def test_its_page_states_its_own_figures(model):
    metrics = model.manifest.metrics
    for part in ("validation", "test"):
        assert f"{100 * metrics[f'{part}.accuracy']:.1f} %" in PAGE
        assert f"{metrics[f'{part}.tiles']:.0f} tiles of {metrics[f'{part}.slides']:.0f} slides" in PAGE
    assert f"{metrics['training_seconds']:,.0f} in a second" in PAGE
    assert "(2403 seconds of training" in model.card
    gate = model.manifest.gate
    assert f"{gate.flips} of {gate.tiles:,} held-out tiles" in PAGE
    assert f"{100 * gate.flip_interval[1]:.2f} %" in PAGE
    assert f"{gate.max_difference:.3f} at most" in PAGE


def test_it_reads_synthetic_tissue_it_has_not_seen(model):
    """Three tiles of each class from new slides: chance would get all nine in 1 of 20,000.

    It is not certain of all of them: its temperature is that of tiles that it gets wrong now and then.
    """
    classifier = TileClassifier(model, Options(threads=2))
    right, certain = 0, []
    for i in range(9):
        label, site = LABELS[i % 3], synthetic.SITES[i % 4]
        slide = synthetic.make_slide_model(label, site, 20_000_000 + i)
        result = classifier.classify(synthetic.make_tile(slide, 0).pixels)
        right += result.label == label
        certain.append(result.probabilities.max())
    assert right >= 7
    assert np.mean(certain) < 0.999


def test_a_grey_tile_without_stains_still_gets_an_answer_and_says_so(model):
    result = TileClassifier(model).classify(np.full((512, 512, 3), 120, np.uint8))
    assert result.stain_status == "rank_deficient"
    assert result.probabilities.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_the_demo_command_makes_a_slide_classifies_it_and_says_where_to_look(model, tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    said = capsys.readouterr()
    assert "synthetic-3p-5.png: 3+ (demo model)" in said.out
    assert "heatmap.png" in said.out
    assert "synthetic tissue only" in said.err
    picture = cv2.imread(str(tmp_path / "demo" / "synthetic-3p-5.png"))
    assert picture.shape == (3840, 5120, 3)
    with SlideReader(tmp_path / "demo" / "synthetic-3p-5.png", mpp=0.25) as slide:
        assert slide.tile_count(model) == 80
