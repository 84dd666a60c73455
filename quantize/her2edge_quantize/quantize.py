"""From a training run to a verified model file: what `her2edge quantize` does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from her2edge.alone import alone_with
from her2edge.errors import ModelError
from her2edge.extras import require_modules
from her2edge.files import check_file
from her2edge.model.file import Model
from her2edge.model.records import Scheme
from her2edge.model.slide_records import StudentLimits
from her2edge_quantize.conversion import (
    Conversion,
    calibrate,
    check_convertible,
    convert_as,
    convert_network,
    learn,
)
from her2edge_quantize.convert.calibration import CalibrationTiles
from her2edge_quantize.convert.head import fold_head
from her2edge_quantize.convert.network import layer_names
from her2edge_quantize.gate.gate_data import ReadTiles
from her2edge_quantize.gate.measure import Measured
from her2edge_quantize.gate.noise import layer_errors
from her2edge_quantize.gate.reasons import worth_a_trial
from her2edge_quantize.gate.record import GateReport
from her2edge_quantize.gate.reference import reference_of
from her2edge_quantize.gate.report import report_path, report_paths, write_report
from her2edge_quantize.gate.school import School, ask_teacher, distilled
from her2edge_quantize.gate.school_reasons import school_reasons
from her2edge_quantize.gate.trial import Trial
from her2edge_quantize.gate.usual import learn_usual
from her2edge_quantize.gate.verdict import GateRefusedError
from her2edge_quantize.gate.way_out import few_tiles, fewest_patients
from her2edge_quantize.model_file.golden import golden_tiles
from her2edge_quantize.model_file.pack import write_model
from her2edge_quantize.options import QuantizeOptions, Report
from her2edge_quantize.source import Source, read_source
from her2edge_training.cohort.tile_list import TileList

_MODULES = ("matplotlib", "sklearn", "tensorflow")
_QAT_MODULES = ("tensorflow_model_optimization", "tf_keras")


@dataclass(frozen=True, eq=False)
class Judged:
    """The bytes of the model file, the gate's report of it, and its (n, classes) float32 logits."""

    data: bytes
    report: GateReport
    logits: NDArray[np.float32]


def quantize(
    run: Path,
    tile_list: Path,
    out: Path,
    options: QuantizeOptions,
    *,
    report: Report,
    read: ReadTiles = TileList.read,
) -> Path:
    """Convert RUN/model.keras, judge it beside float32 on held-out tiles, pack, verify and write `out`.

    tile_list: the CSV of tiles the run was trained with.
    report:    called with a line for people at each step.
    read:      reads a tile list.

    Writes the gate's report beside `out` whatever the verdict. Raises GateRefusedError where the gate
    refuses, MissingInputError, ModelError, TileListError, OptionError, RuntimeUnavailable, OutputError,
    TakenError where another command makes `out`. A missing folder or extra is found before TensorFlow is
    imported.
    """
    for path in (out, *report_paths(out)):
        check_file(path)
    _check_extras(options.scheme)
    with alone_with(out):
        return _quantize(run, tile_list, out, options, report, read)


def _quantize(
    run: Path, tile_list: Path, out: Path, options: QuantizeOptions, report: Report, read: ReadTiles
) -> Path:
    source = read_source(run, tile_list, options, report, read)
    _say_what_judges(source, options, report)
    ranges = calibrate(source, options, report)
    golden = golden_tiles(source.run.recipe)
    check_convertible(source, ranges, golden, options, report)
    reference = reference_of(source.network, source.run, source.held.records, report)
    school = None
    if source.teacher is not None:
        limits = options.student_limits
        school = ask_teacher(source.teacher, source.run, source.held, reference, limits, report)
        _say_what_is_unsure(school, limits, report)
    learnt = learn(source, ranges, options, report)
    conversion = convert_network(source, learnt, ranges, golden, options, report)
    held = source.held
    report(f"judging on {np.count_nonzero(held.judges)} held-out tiles")
    head = fold_head(conversion.network)
    trial = Trial(
        source.run, conversion.float32, head, golden, held.records, reference, held.judges, options.limits
    )
    judged = _judge(source, trial, conversion, ranges, options, report, school)
    shown = held.judges if held.judges.any() else np.ones(len(held.records), bool)
    write_report(out, judged.report, reference.only(shown), judged.logits[shown])
    report(f"gate: {judged.report.outcome}, see {report_path(out, 'md').name}")
    if judged.report.outcome == "refused":
        raise GateRefusedError(_refusal(judged.report))
    write_model(out, judged.data)
    report(f"wrote {out.name}: {len(judged.data) / 1e6:.2f} MB")
    return out


def _say_what_judges(source: Source, options: QuantizeOptions, report: Report) -> None:
    """Before hours are spent: how many tiles judge, and that they are too few."""
    limits, tiles, patients = options.limits, int(source.held.judges.sum()), source.held.patients
    if tiles < limits.tiles or patients < fewest_patients(limits):
        report(f"the gate will refuse: {few_tiles(tiles, patients, limits)}")


def _say_what_is_unsure(school: School, limits: StudentLimits, report: Report) -> None:
    """The same for a student's own figure."""
    tiles, slides = int(school.unsure.sum()), len(np.unique(school.reference.slides[school.unsure]))
    if tiles < limits.unsure_tiles or slides < limits.unsure_slides:
        report(
            f"the gate will refuse: {tiles} tiles of {slides} slides where the teacher is unsure, expected "
            f"{limits.unsure_tiles} of {limits.unsure_slides} (--unsure-data)"
        )


def _check_extras(scheme: Scheme) -> None:
    require_modules("quantize", *_MODULES)
    if scheme == "int8-qat":
        require_modules("qat", *_QAT_MODULES)


def _judge(
    source: Source,
    trial: Trial,
    conversion: Conversion,
    ranges: CalibrationTiles | None,
    options: QuantizeOptions,
    report: Report,
    school: School | None = None,
) -> Judged:
    """Hold the conversion against float32, and, where int8 is refused, one with layers in float beside it."""
    portable, shipped = conversion.portable, conversion.shipped
    layers = layer_errors(
        conversion.float32, portable.flatbuffer, trial.some_tiles(), layer_names(conversion.network)
    )
    measured, logits = trial.measure(shipped.flatbuffer, shipped.about)
    mixed = None
    if options.scheme == "int8" and not options.keep_float and worth_a_trial(measured.verdict):
        mixed = _with_float_layers(trial, conversion, ranges, report)
    verdict, taught = measured.verdict, shipped.about.distilled_from
    if school is not None and taught is not None:
        beside = school.beside(logits, measured.temperature, options.limits, options.student_limits)
        taught = distilled(taught, *beside)
        why = school_reasons(*beside, source.run.recipe.labels)
        verdict = msgspec.structs.replace(verdict, reasons=(*verdict.reasons, *why))
    accepted = options.accept_loss and bool(verdict.reasons)
    verdict = msgspec.structs.replace(verdict, accepted_loss=accepted)
    about = replace(shipped.about, temperature=measured.temperature, gate=verdict, distilled_from=taught)
    data = trial.pack(shipped.flatbuffer, about)
    if accepted or not verdict.reasons:
        usual = learn_usual(Model.from_bytes(data, trust="anyone"), source.run, source.tiles, report)
        data = trial.pack(shipped.flatbuffer, usual.of(about), usual.novelty)
    gate_report = GateReport(
        name=about.name,
        recipe=source.run.recipe.name,
        manifest_sha256=source.run.environment.tile_list_sha256,
        export=options.export,
        learnt=about.learnt,
        demo=source.demo,
        model_sha256=hashlib.sha256(data).hexdigest(),
        float32_bytes=len(conversion.float32),
        tiles_added=source.held.added,
        model=replace(measured, verdict=verdict),
        with_float_layers=mixed,
        layers=layers,
        distilled_from=taught,
        labels=source.run.recipe.labels,
    )
    return Judged(data, gate_report, logits)


def _with_float_layers(
    trial: Trial, conversion: Conversion, ranges: CalibrationTiles | None, report: Report
) -> Measured | None:
    """The same network with its named layers in float; None where that cannot be made."""
    report("refused: trying squeeze-excite, depth-wise layers and head in float")
    about = conversion.portable.about
    try:
        mixed = convert_as(conversion.network, about, conversion.float32, ranges, keep_float=True)
        return trial.measure(mixed.flatbuffer, mixed.about)[0]
    except ModelError as error:
        report(f"that cannot be made: {error}")
        return None


def _refusal(report: GateReport) -> str:
    mixed = report.with_float_layers
    passes = mixed is not None and not mixed.verdict.reasons
    cure = "; with --keep-float, which is portable, it passes" if passes else ""
    return (
        f"{report.name} is refused: {'; '.join(report.model.verdict.reasons)}{cure}. Nothing but the report "
        "is written; --accept-loss writes the model anyway, and the model says so"
    )
