"""What the manifest says of a run: stain, tissue rule, training, scores."""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from her2edge.errors import ModelError
from her2edge.model.classes import classes_of
from her2edge.model.patients import TrainingPatients
from her2edge.model.records import Calibration, Scheme, Stain, Tissue, Training
from her2edge.model.slide_records import DistilledFrom
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
        training_patients=_patients(run),
        distilled_from=_teacher(run, demo),
        created=run.environment.begun,
        tools=tool_versions(),
    )


def _teacher(run: TrainedRun, demo: bool) -> DistilledFrom | None:
    """Who taught, on what; the figures beside it come from the gate."""
    taught_by = run.environment.taught_by
    if taught_by is UNSET:
        return None
    slides = len({(row.group, row.slide) for row in run.split})
    return DistilledFrom(
        teacher=taught_by.teacher,
        teacher_sha256=taught_by.teacher_sha256,
        temperature=taught_by.temperature,
        transfer_set=f"{'synthetic tissue, ' * demo}{len(run.split)} tiles of {slides} slides",
        transfer_sha256=run.environment.tile_list_sha256,
        tiles=sum(row.part == "train" for row in run.split),
        unlabelled=taught_by.unlabelled,
    )


def _patients(run: TrainedRun) -> TrainingPatients:
    """Those of the run, and those of the model file that it began from or that taught it."""
    groups = {row.group for row in run.split if row.part not in ("test", GATE)}
    former, taught_by = run.environment.started_from, run.environment.taught_by
    before = UNSET if former is None or former.model_file is UNSET else former.model_file.patients
    if taught_by is not UNSET:
        before = taught_by.patients
    if before is not UNSET:
        return before.with_more(groups)
    own = TrainingPatients.of(run.environment.tile_list_sha256, groups)
    known = taught_by is UNSET and (former is None or former.states_patients)
    return own if known else replace(own, others="unknown")


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
