"""her2edge inspect MODEL: what a model file says about itself."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec import UNSET

from her2edge import Model
from her2edge.answer.promise import basis_words, promise_of
from her2edge.answer.sets import FEWEST_OF_A_CLASS
from her2edge.model.manifest import SCHEMA, Manifest, dump_manifest
from her2edge.model.records import Verdict
from her2edge.model.slide_records import (
    AnswerLimits,
    CalibrationSlides,
    DistilledFrom,
    NoveltyRecord,
    Pooling,
)
from her2edge.quality import QualityLimits
from her2edge.results import notice
from her2edge.text import percent, shown
from her2edge_cli.paths import PATH
from her2edge_cli.sign import signature_line


@click.command("inspect")
@click.argument("path", type=PATH, metavar="[MODEL]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@click.option("--card", is_flag=True, help="Print the model card.")
def inspect_model(path: Path | None, as_json: bool, card: bool) -> None:
    """Verify a model file and show what it fixes.

    Without MODEL: the embedded demo model.
    """
    model = Model.load(path) if path else Model.demo()
    if as_json:
        click.echo(dump_manifest(model.manifest).decode(), nl=False)
    elif card:
        click.echo(model.card, nl=False)
    else:
        for name, value in _lines(model):
            click.echo(f"{name:<14} {shown(value)}")


def _lines(model: Model) -> list[tuple[str, str]]:
    manifest = model.manifest
    rule, calibration = manifest.tissue, manifest.calibration
    tiles = f"calibrated on {len(calibration.tile_ids)} training tiles" if calibration else "no calibration"
    packed = manifest.input.packing is not UNSET
    lines = [
        ("model", f"{manifest.name} {manifest.version} (epoch {manifest.epoch}, {_schema(manifest)})"),
        ("notice", notice(model)),
        ("intended use", manifest.intended_use),
        ("network", f"{manifest.architecture}, {manifest.scheme}, {tiles}"),
        ("export", "fast: the SDK packs each tile" if packed else "portable: any TFLite user"),
        *([("in float", ", ".join(manifest.float_layers))] if manifest.float_layers else []),
        *_gate(manifest.gate),
        ("labels", "  ".join(manifest.labels)),
        ("", ", ".join(f"{one.label} is {one.name}" for one in manifest.classes)),
        *_slide_lines(manifest),
        ("tile", f"{model.tile_px} x {model.tile_px} px at {model.mpp} um per pixel, uint8 RGB"),
        (
            "tissue",
            f"background when >= {percent(rule.background_share)} of grey is {rule.low}..{rule.high}",
        ),
        ("stain", f"Macenko, profile {manifest.stain.profile}, {manifest.stain.mode}"),
        ("temperature", f"{manifest.temperature:g}"),
        (
            "trained on",
            f"{manifest.training.data} (recipe {manifest.training.recipe}, {manifest.training.protocol})"
            + ("" if manifest.created is UNSET else f", begun {manifest.created}"),
        ),
        ("size", f"{len(model.flatbuffer) / 1e6:.1f} MB FlatBuffer"),
        ("sha256", model.sha256),
        ("signature", signature_line(model)),
    ]
    return lines + [(f"  {name}", f"{value:g}") for name, value in sorted(manifest.metrics.items())]


def _schema(manifest: Manifest) -> str:
    return f"schema {SCHEMA if manifest.converted_from is UNSET else manifest.converted_from}"


def _gate(gate: Verdict | None) -> list[tuple[str, str]]:
    if gate is None:
        return [("gate", "none: packed before there was one, or not by `her2edge quantize`")]
    figures = (
        f"{gate.flips} of {gate.tiles} held-out tiles have another class than in float32 (at most "
        f"{percent(gate.flip_interval[1], 2)}), accuracy {percent(gate.accuracy, 2)} (float32 "
        f"{percent(gate.accuracy + gate.accuracy_drop, 2)}), "
        f"{gate.changed_slides} of {gate.assessed_slides} slide labels changed; limits: {gate.limits}"
    )
    if gate.accepted_loss:
        return [("gate", f"REFUSED, loss accepted: {'; '.join(gate.reasons)}"), ("", figures)]
    return [("gate", f"passed: {figures}")]


def _slide_lines(manifest: Manifest) -> list[tuple[str, str]]:
    """A line each, in the order in which they limit an answer."""
    return [
        ("novelty", _novelty(manifest.novelty)),
        ("quality", _quality(manifest.quality)),
        ("pooling", _pooling(manifest.pooling)),
        ("calibration", _calibration(manifest.calibration_slides, manifest.pooling)),
        ("slide limits", _limits(manifest.limits)),
        *_teacher(manifest),
    ]


def _limits(limits: AnswerLimits) -> str:
    shares = ((name.replace("_", " "), getattr(limits, name)) for name in limits.__struct_fields__)
    return ", ".join(f"{name} {percent(share, None)}" for name, share in shares)


def _novelty(record: NoveltyRecord | None) -> str:
    if record is None:
        return (
            "none: unfamiliar tissue is not noticed, and answers say so; a model of more slides has one, see "
            "its card"
        )
    return (
        f"limit from {record.tiles} tiles of {record.slides} slides ({' and '.join(record.parts)}); "
        f"{record.far_slides} of {record.slides} far from the others when left out"
    )


def _quality(limits: QualityLimits | None) -> str:
    if limits is None:
        return "none of its own: the SDK's"
    return ", ".join(f"{name} {getattr(limits, name):g}" for name in limits.__struct_fields__)


def _pooling(pooling: Pooling | None) -> str:
    if pooling is None or pooling.kind == "mean":
        return "mean of the tiles"
    return f"{pooling.kind}, fitted on {pooling.slides} slides"


def _calibration(slides: CalibrationSlides | None, pooling: Pooling | None) -> str:
    if slides is None:
        return "none: answers have no stated error"
    counts = ", ".join(f"{label} {count}" for label, count in slides.patients.items())
    if min(slides.patients.values()) < FEWEST_OF_A_CLASS:
        return (
            f"too few slides ({counts}; sets need {FEWEST_OF_A_CLASS} of each): answers have no stated error"
        )
    words = basis_words(promise_of(slides, pooling), slides.patients)
    return f"sets hold the truth in {percent(slides.level, None)} of patients ({words}): {counts}"


def _teacher(manifest: Manifest) -> list[tuple[str, str]]:
    teacher = manifest.distilled_from
    if teacher is None:
        return []
    name = f"{teacher.teacher} (SHA-256 {teacher.teacher_sha256[:16]})"
    tiles = f"{teacher.tiles} tiles of {teacher.transfer_set}, temperature {teacher.temperature:g}"
    return [("teacher", f"{name}, {tiles}"), *_as_a_student(teacher)]


def _as_a_student(teacher: DistilledFrom) -> list[tuple[str, str]]:
    """How far it answers as its teacher does, where the gate asked."""
    verdict, unsure = teacher.beside_teacher, teacher.unsure
    if verdict is UNSET or unsure is UNSET:
        return []
    words = (
        f"a student: answers as its teacher does in {verdict.tiles - verdict.flips} of {verdict.tiles} "
        f"held-out tiles, {unsure.agree} of {unsure.tiles} unsure ones (the teacher, turned: "
        f"{unsure.turned}); {verdict.changed_slides} of {verdict.assessed_slides} slide labels changed"
    )
    return [("", words)]
