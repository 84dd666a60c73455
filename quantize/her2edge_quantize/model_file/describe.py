"""What the manifest says of a run: stain, tissue rule, training, scores."""

from __future__ import annotations

from her2edge.errors import ModelError
from her2edge.model.classes import classes_of
from her2edge.model.patients import TrainingPatients
from her2edge.model.records import Calibration, Scheme, Stain, Tissue, Training
from her2edge.stain import StainMode
from her2edge.stain.profiles import MACENKO
from her2edge.tissue import TissueFilter
from her2edge_quantize.model_file.card import start_weights
from her2edge_quantize.model_file.description import Description, stain_target, tool_versions
from her2edge_training.run.records import GATE
from her2edge_training.run.trained import TrainedRun


def describe(
    name: str, version: str, demo: bool, scheme: Scheme, run: TrainedRun, calibration: Calibration | None
) -> Description:
    """The manifest's fields that come from a run; raises ModelError for a stain profile it cannot hold."""
    recipe, rule = run.recipe, TissueFilter()
    target = stain_target(MACENKO)
    if recipe.stain.profile != "torchstain":
        raise ModelError(f"found stain profile {recipe.stain.profile!r} in the recipe, expected 'torchstain'")
    return Description(
        name=name,
        version=version,
        demo=demo,
        architecture=recipe.architecture,
        classes=classes_of(recipe.labels),
        her2_low=recipe.her2_low,
        scheme=scheme,
        mpp=recipe.mpp,
        stain=Stain(
            mode="off" if recipe.stain.mode == StainMode.OFF else "per_tile",
            profile="torchstain",
            target=target,
        ),
        tissue=Tissue(low=rule.low, high=rule.high, background_share=recipe.max_background_share),
        calibration=calibration,
        training=Training(
            recipe=recipe.name,
            data=f"{'synthetic tissue, ' if demo else ''}{len(run.split)} tiles, "
            f"manifest SHA-256 {run.environment.tile_list_sha256[:16]}",
            protocol=run.metrics.protocol,
            seed=recipe.seed,
            weights=start_weights(run),
        ),
        metrics=_metrics(run),
        training_patients=TrainingPatients.of(
            run.environment.tile_list_sha256,
            {row.group for row in run.split if row.part not in ("test", GATE)},
        ),
        created=run.environment.begun,
        tools=tool_versions(),
    )


def _metrics(run: TrainedRun) -> dict[str, float]:
    """The manifest's figures: scores are the float network's, by tile."""
    figures = {"epochs": float(run.metrics.epochs), "training_seconds": round(run.seconds, 1)}
    for part, score in (("validation", run.metrics.validation), ("test", run.metrics.test)):
        figures[f"{part}.accuracy"] = score.accuracy
        figures[f"{part}.tiles"] = float(score.tiles)
        figures[f"{part}.slides"] = float(score.slides)
        figures[f"{part}.patients"] = float(score.patients)
        for label, recall in zip(run.metrics.labels, score.recall, strict=True):
            figures[f"{part}.recall.{label}"] = recall
    return figures
