"""What a model card says of its limits: how often they would have been wrong about the run's own slides."""

from __future__ import annotations

from dataclasses import replace

from make_tiny_model import description

from her2edge.model.slide_records import NoveltyRecord, QualityRecord
from her2edge.quality import QualityLimits
from her2edge_quantize.model_file.card_limits import limits_text

NOVELTY = NoveltyRecord(far_slides=1, slides=40, tiles=160, components=31, parts=("validation",))
QUALITY = QualityRecord(kept_out=7, tiles=350, low_slides=1, slides=40)


def test_the_card_says_what_each_limit_would_have_refused_of_its_own_slides_left_out() -> None:
    about = replace(
        description("int8"), novelty=NOVELTY, quality=QualityLimits(blur_half=0.16), quality_fit=QUALITY
    )
    text = limits_text(about)
    assert "1 of 40 slides" in text
    assert "2.5 % false alarms" in text
    assert "blur_half 0.16" in text
    assert "keep out 7 of the run's own 350 tiles (2.0 %)" in text
    assert "1 of 40 slides would not be assessable" in text


def test_the_card_says_so_where_limits_are_not_fitted() -> None:
    text = limits_text(replace(description("int8"), quality=QualityLimits()))
    assert "No novelty limit" in text
    assert "A limit needs 20 slides or more in training and validation: train on more" in text
    assert "the SDK's own: the run has too few tiles or slides to fit them" in text
