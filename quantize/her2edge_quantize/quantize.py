"""From a training run to a verified model file: what `her2edge quantize` does."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from her2edge.errors import ModelError, OptionError, OutputError
from her2edge.model.manifest import Limits, Scheme
from her2edge.tile import Pixels
from her2edge_quantize.convert.calibration import PER_CLASS, calibration_tiles
from her2edge_quantize.convert.edge import Export, check_export, for_edge, make_fast
from her2edge_quantize.convert.export import (
    INT8,
    SCHEMES,
    check_network,
    convert,
    layer_names,
    require_tensorflow,
)
from her2edge_quantize.convert.head import fold_head
from her2edge_quantize.gate.bench import Bench, convert_as
from her2edge_quantize.gate.held_out import held_out_tiles, reference
from her2edge_quantize.gate.layers import layer_errors
from her2edge_quantize.gate.report import GateReport, report_path, write_report
from her2edge_quantize.gate.verdict import GateRefusedError, worth_a_trial
from her2edge_quantize.model_file.describe import check_name, describe
from her2edge_quantize.model_file.golden import golden_tiles
from her2edge_quantize.model_file.pack import tool_versions, write_model
from her2edge_quantize.qat.options import QAT_TOOLS, QatOptions, QatRecord
from her2edge_quantize.run_folder import Run, read_run, records_of
from her2edge_training.synthetic import SITES

Report = Callable[[str], None]


def quantize(
    run: Path,
    manifest: Path,
    scheme: Scheme,
    out: Path,
    *,
    name: str | None = None,
    demo: bool = False,
    export: Export = "portable",
    version: str = "0.1.0",
    report: Report,
    per_class: int = PER_CLASS,
    gate_data: Path | None = None,
    limits: Limits | None = None,
    accept_loss: bool = False,
    keep_float: bool = False,
    qat: QatOptions | None = None,
) -> Path:
    """Convert RUN/model.keras, judge it beside float32 on held-out tiles, pack, verify and write `out`.

    manifest:    the CSV of tiles the run was trained with.
    export:      "portable": the file's network takes uint8 RGB, for any TFLite user; "fast": its stem takes
                 the tile as the SDK packs it, with the same answers (int8 of a ResNet only).
    per_class:   calibration tiles of each class, from the training part (int8, int8-qat).
    gate_data:   a CSV of labelled tiles of other patients, judged together with the validation part.
    accept_loss: write the model where the gate refuses it; the manifest says so.
    keep_float:  int8 with squeeze-excite, depth-wise layers and head in float.
    qat:         how weights are trained for int8 (int8-qat only).
    demo:        marks a model that knows synthetic tissue only; set by itself where the tiles are synthetic.

    Writes the gate's report beside `out` whatever the verdict. Raises GateRefusedError where the gate
    refuses, MissingInputError, ModelError, TileListError, OptionError, RuntimeUnavailable, OutputError.
    """
    _check_options(scheme, keep_float, qat)
    if name is not None:
        check_name(name)
    require_tensorflow()
    trained = read_run(run)
    _check_out(out)
    held = held_out_tiles(trained, manifest, gate_data)
    learnt_from = records_of(trained, manifest, "train")
    if {record.site for record in learnt_from} & {site.name for site in SITES}:
        demo = True  # synthetic tissue, whatever the caller says
    original = _network(trained)
    check_export(export, scheme, original, keep_float)
    pixels, calibration = None, None
    if scheme in INT8:
        pixels, calibration = calibration_tiles(trained, manifest, per_class, trained.recipe.seed)
        report(f"calibrating on {len(pixels)} tiles of the training part")
    said = reference(original, trained, held.records, report)
    network, record = _learnt(original, trained, manifest, scheme, pixels, qat, report)
    network = for_edge(network)
    about = describe(name or f"{trained.recipe.name}-{scheme}", version, demo, scheme, trained, calibration)
    if record is not None:
        metrics = about.metrics | record.metrics()
        about = replace(about, metrics=metrics, tools=tool_versions(QAT_TOOLS), learnt=str(record))
        report(about.learnt)

    began = time.monotonic()
    float32 = convert(network, "fp32")
    flatbuffer, about = convert_as(network, about, float32, pixels, keep_float)
    report(f"{scheme}: {len(flatbuffer) / 1e6:.2f} MB in {time.monotonic() - began:.0f} s")
    report(f"judging on {len(held.records)} held-out tiles")
    bench = Bench(
        trained,
        float32,
        fold_head(network),
        golden_tiles(trained.recipe),
        held.records,
        said,
        limits or Limits(),
    )
    layers = layer_errors(float32, flatbuffer, bench.some_tiles(), layer_names(network))
    shipped = about
    if export == "fast":
        packed = make_fast(flatbuffer, bench.golden)
        flatbuffer, shipped = packed.flatbuffer, replace(about, packing=packed.packing)
        report("fast: the same bits as the portable network on golden tiles and noise")
    found, logits = bench.measure(flatbuffer, shipped)
    mixed = None
    if scheme == "int8" and not keep_float and worth_a_trial(found.verdict):
        report("refused: trying squeeze-excite, depth-wise layers and head in float")
        try:
            mixed, _ = bench.measure(*convert_as(network, about, float32, pixels, keep_float=True))
        except ModelError as error:
            report(f"that cannot be made: {error}")

    verdict = found.verdict
    verdict = msgspec.structs.replace(verdict, accepted_loss=accept_loss and bool(verdict.reasons))
    data = bench.pack(flatbuffer, replace(shipped, temperature=found.temperature, gate=verdict))
    told = GateReport(
        name=about.name,
        recipe=trained.recipe.name,
        manifest_sha256=trained.environment.manifest_sha256,
        export=export,
        learnt=about.learnt,
        demo=demo,
        model_sha256=hashlib.sha256(data).hexdigest(),
        float32_bytes=len(float32),
        tiles_added=held.added,
        model=replace(found, verdict=verdict),
        with_float_layers=mixed,
        layers=layers,
    )
    write_report(out, told, said, logits)
    report(f"gate: {told.outcome}, see {report_path(out, 'md').name}")
    if verdict.reasons and not accept_loss:
        raise GateRefusedError(_refusal(told))
    write_model(out, data)
    report(f"wrote {out.name}: {len(data) / 1e6:.2f} MB")
    return out


def _check_options(scheme: Scheme, keep_float: bool, qat: QatOptions | None) -> None:
    if scheme not in SCHEMES:
        raise OptionError(f"found scheme {scheme!r}, expected one of {', '.join(SCHEMES)}")
    if keep_float and scheme != "int8":
        raise OptionError(f"found keep_float with scheme {scheme}, expected int8: others compute in float")
    if qat is not None and scheme != "int8-qat":
        raise OptionError(f"found options of training for int8 with the scheme {scheme}, expected int8-qat")


def _learnt(
    original: Any,
    trained: Run,
    manifest: Path,
    scheme: Scheme,
    pixels: Pixels | None,
    qat: QatOptions | None,
    report: Report,
) -> tuple[Any, QatRecord | None]:
    """The network to convert and what its weights went through since training, None where nothing."""
    if scheme == "int8-qat" and pixels is not None:
        from her2edge_quantize.qat.train import fine_tune  # the toolkit takes seconds to import

        return fine_tune(original, trained, manifest, pixels, qat or QatOptions(), report)
    return original, None


def _refusal(said: GateReport) -> str:
    cure = (
        "; with --keep-float, which is portable, it passes"
        if said.with_float_layers and not said.with_float_layers.verdict.reasons
        else ""
    )
    return (
        f"{said.name} is refused: {'; '.join(said.model.verdict.reasons)}{cure}. Nothing but the report is "
        "written; --accept-loss writes the model all the same, and the model says so"
    )


def _network(run: Run) -> Any:
    """The trained network, read in Keras' safe mode; raises ModelError where it is not the recipe's."""
    from her2edge_training.network.networks import load_trained

    network = load_trained(run.network)
    tile_px = check_network(network)
    if tile_px != run.recipe.tile_px:
        raise ModelError(
            f"found a network for {tile_px} px tiles, expected {run.recipe.tile_px} as in the recipe"
        )
    return network


def _check_out(out: Path) -> None:
    folder = out.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"found no folder {folder} to write {out.name} into: make it or choose another --out"
        )
    if out.is_dir():
        raise OutputError(f"{out.name} is a folder, expected a file name such as her2-int8.tflite")
