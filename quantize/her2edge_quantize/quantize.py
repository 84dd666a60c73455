"""From a training run to a verified model file: what `her2edge quantize` does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import UNSET

from her2edge.errors import ModelError, OptionError, OutputError
from her2edge.manifest import Calibration, Stain, Tissue, Training
from her2edge.model import Head, Model
from her2edge.stain.profiles import MACENKO
from her2edge.tile import Pixels
from her2edge.tissue import TissueFilter
from her2edge_quantize.agreement import Agreement, compare
from her2edge_quantize.calibrate import PER_CLASS, calibration_tiles, spread
from her2edge_quantize.card import model_card, start_weights
from her2edge_quantize.edge import Export, check_export, for_edge, make_fast
from her2edge_quantize.export import SCHEMES, Scheme, check_network, convert, require_tensorflow
from her2edge_quantize.golden import golden_tiles
from her2edge_quantize.head import fold_head
from her2edge_quantize.pack import Description, pack, stain_target, tool_versions, write_model
from her2edge_quantize.run_folder import Run, network_inputs, read_run, records_of
from her2edge_training.synthetic import SITES

HELD_OUT = 300
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
    held_out: int = HELD_OUT,
) -> Path:
    """Convert RUN/model.keras, compare it with fp32 on held-out tiles, pack, verify and write `out`.

    manifest:  the CSV of tiles the run was trained with.
    export:    "portable": the file's network takes uint8 RGB, for any TFLite user; "fast": its stem takes the
               tile as the SDK packs it, with the same answers (int8 of a ResNet only).
    per_class: calibration tiles of each class, from the training part (int8 only).
    held_out:  at most so many tiles of the test part to compare with fp32 (all schemes but fp32).
    demo:      marks a model that knows synthetic tissue only; set by itself where the tiles are synthetic.

    Raises MissingInputError, ModelError, ManifestError, OptionError, RuntimeUnavailable, OutputError.
    """
    if scheme not in SCHEMES:
        raise OptionError(f"found scheme {scheme!r}, expected one of {', '.join(SCHEMES)}")
    require_tensorflow()
    trained = read_run(run)
    _check_out(out)
    records = spread(records_of(trained, manifest, "test"), np.random.default_rng(trained.recipe.seed))
    records = records[:held_out]
    if {record.site for record in records} & {site.name for site in SITES}:
        demo = True  # synthetic tissue, whatever the caller says
    network = for_edge(_network(trained))
    check_export(export, scheme, network)
    head = fold_head(network)
    pixels, calibration = None, None
    if scheme == "int8":
        pixels, calibration = calibration_tiles(trained, manifest, per_class, trained.recipe.seed)
        report(f"calibrating on {len(pixels)} tiles of the training part")
    about = _describe(name or f"{trained.recipe.name}-{scheme}", version, demo, scheme, trained, calibration)
    parts = _Parts(trained, about, head, golden_tiles(trained.recipe))

    began = time.monotonic()
    flatbuffer = convert(network, scheme, pixels)
    report(f"{scheme}: {len(flatbuffer) / 1e6:.2f} MB in {time.monotonic() - began:.0f} s")
    if export == "fast":
        packed = make_fast(flatbuffer, parts.golden)
        flatbuffer = packed.flatbuffer
        parts = replace(parts, about=replace(about, packing=packed.packing))
    data = parts.pack(flatbuffer, None)
    if scheme != "fp32":
        reference = replace(parts, about=replace(about, scheme="fp32", calibration=None))
        fp32 = reference.pack(convert(network, "fp32"), None)
        tiles = network_inputs(tuple(records), trained.recipe)
        made, exact = (Model.from_bytes(file, trust="anyone") for file in (data, fp32))
        agreement = compare(made, exact, tiles)
        few = f" (asked for {held_out})" if agreement.n < held_out else ""
        report(f"{scheme} against fp32 on held-out tiles{few}: {agreement}")
        data = parts.pack(flatbuffer, agreement)
    write_model(out, data)
    report(f"wrote {out.name}: {len(data) / 1e6:.2f} MB")
    return out


@dataclass(frozen=True, eq=False)
class _Parts:
    """All that goes into a file beside the FlatBuffer."""

    run: Run
    about: Description
    head: Head
    golden: Pixels

    def pack(self, flatbuffer: bytes, agreement: Agreement | None) -> bytes:
        about = replace(self.about, metrics=self.about.metrics | _agreement_metrics(agreement))
        card = model_card(
            about.name,
            about.version,
            about.scheme,
            self.run,
            demo=about.demo,
            calibrated_on=len(about.calibration.tile_ids) if about.calibration else 0,
            agreement=agreement,
            packed=about.packing is not UNSET,
        )
        return pack(flatbuffer, about, self.head, self.golden, card)


def _network(run: Run) -> Any:
    """The trained network, read in Keras' safe mode; raises ModelError where it is not the recipe's."""
    from her2edge_training.networks import load_trained

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


def _describe(
    name: str, version: str, demo: bool, scheme: Scheme, run: Run, calibration: Calibration | None
) -> Description:
    recipe, rule = run.recipe, TissueFilter()
    target = stain_target(MACENKO)
    if recipe.stain.profile != "torchstain":
        raise ModelError(f"found stain profile {recipe.stain.profile!r} in the recipe, expected 'torchstain'")
    return Description(
        name=name,
        version=version,
        demo=demo,
        architecture=recipe.architecture,
        scheme=scheme,
        um_per_pixel=recipe.um_per_pixel,
        stain=Stain(
            mode="off" if recipe.stain.mode == "off" else "per_tile", profile="torchstain", target=target
        ),
        tissue=Tissue(low=rule.low, high=rule.high, background_share=recipe.max_background_share),
        calibration=calibration,
        training=Training(
            recipe=recipe.name,
            data=f"{'synthetic tissue, ' if demo else ''}{len(run.parts)} tiles, "
            f"manifest SHA-256 {run.environment.manifest_sha256[:16]}",
            protocol=run.metrics.protocol,
            seed=recipe.seed,
            weights=start_weights(run),
        ),
        metrics=_metrics(run),
        tools=tool_versions(),
    )


def _metrics(run: Run) -> dict[str, float]:
    """The manifest's figures: scores are the float network's, by tile."""
    found = {"epochs": float(run.metrics.epochs), "training_seconds": round(run.seconds, 1)}
    for part, score in (("validation", run.metrics.validation), ("test", run.metrics.test)):
        found[f"{part}.accuracy"] = score.accuracy
        found[f"{part}.tiles"] = float(score.tiles)
        found[f"{part}.slides"] = float(score.slides)
        found[f"{part}.patients"] = float(score.patients)
        for label, recall in zip(run.metrics.labels, score.recall, strict=True):
            found[f"{part}.recall.{label}"] = recall
    return found


def _agreement_metrics(agreement: Agreement | None) -> dict[str, float]:
    if agreement is None:
        return {}
    return {
        "fp32_agreement.tiles": float(agreement.n),
        "fp32_agreement.share": agreement.share,
        "fp32_agreement.max_difference": agreement.max_difference,
        "fp32_agreement.mean_difference": agreement.mean_difference,
    }
