"""From a trained network to the FlatBuffer of a model file: ranges, training for int8, conversion, export."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from her2edge.tile import Pixels
from her2edge_quantize.convert.calibration import CalibrationTiles, calibration_tiles
from her2edge_quantize.convert.edge import for_edge, make_fast
from her2edge_quantize.convert.export import convert
from her2edge_quantize.convert.selective import convert_keeping_float
from her2edge_quantize.model_file.describe import describe
from her2edge_quantize.model_file.description import Description, tool_versions
from her2edge_quantize.options import INT8, QatOptions, QuantizeOptions, Report
from her2edge_quantize.qat.record import QAT_TOOLS, QatRecord
from her2edge_quantize.source import Source


@dataclass(frozen=True, eq=False)
class Learnt:
    """The network to convert and what its weights went through since training, None where nothing."""

    network: Any
    record: QatRecord | None


@dataclass(frozen=True, eq=False)
class Converted:
    """A FlatBuffer and what its model file says of it."""

    flatbuffer: bytes
    about: Description


@dataclass(frozen=True, eq=False)
class Conversion:
    """network: the keras.Model as it was converted; float32: its fp32 conversion.

    portable: the conversion that was asked for; shipped: the same, in the export that was asked for.
    """

    network: Any
    float32: bytes
    portable: Converted
    shipped: Converted


def calibrate(source: Source, options: QuantizeOptions, report: Report) -> CalibrationTiles | None:
    """The tiles that set the ranges, None for a scheme that needs none; raises TileListError."""
    if options.scheme not in INT8:
        return None
    run = source.run
    tiles = calibration_tiles(run, source.tiles, options.per_class, run.recipe.seed)
    report(f"calibrating on {len(tiles.pixels)} tiles of the training part")
    return tiles


def check_convertible(
    source: Source, ranges: CalibrationTiles | None, golden: Pixels, options: QuantizeOptions, report: Report
) -> None:
    """Go the way of int8-qat once without training, in seconds: what cannot be converted is found before it.

    golden: as for `convert_network`. Raises ModelError, and OptionError as `convert`.
    """
    if options.scheme != "int8-qat" or ranges is None:
        return
    from her2edge_quantize.qat.fake import fake_quantised  # the toolkit takes seconds to import
    from her2edge_quantize.qat.twin import twin_of

    began = time.monotonic()
    fake_quantised(twin_of(source.network).model)
    untrained = convert(for_edge(source.network), options.scheme, ranges.pixels)
    if options.export == "fast":
        make_fast(untrained, golden)
    report(f"the network can be converted, found in {time.monotonic() - began:.0f} s without training it")


def learn(
    source: Source, ranges: CalibrationTiles | None, options: QuantizeOptions, report: Report
) -> Learnt:
    """Train the weights for int8 where the scheme is int8-qat; raises as `fine_tune`."""
    if options.scheme != "int8-qat" or ranges is None:
        return Learnt(source.network, None)
    from her2edge_quantize.qat.train import fine_tune  # the toolkit takes seconds to import

    qat = options.qat or QatOptions()
    return Learnt(*fine_tune(source.network, source.run, source.tiles, ranges.pixels, qat, report))


def convert_network(
    source: Source,
    learnt: Learnt,
    ranges: CalibrationTiles | None,
    golden: Pixels,
    options: QuantizeOptions,
    report: Report,
) -> Conversion:
    """Convert and export; golden: (n, tile_px, tile_px, 3) uint8 RGB. Raises ModelError."""
    network = for_edge(learnt.network)
    about = describe(
        source.name,
        options.version,
        source.demo,
        options.scheme,
        source.run,
        ranges.record if ranges else None,
    )
    if learnt.record is not None:
        metrics = about.metrics | learnt.record.metrics()
        about = replace(about, metrics=metrics, tools=tool_versions(QAT_TOOLS), learnt=str(learnt.record))
        report(about.learnt)
    began = time.monotonic()
    float32 = convert(network, "fp32")
    portable = convert_as(network, about, float32, ranges, options.keep_float)
    size, seconds = len(portable.flatbuffer) / 1e6, time.monotonic() - began
    report(f"{options.scheme}: {size:.2f} MB in {seconds:.0f} s")
    if options.export == "portable":
        return Conversion(network, float32, portable, portable)
    packed = make_fast(portable.flatbuffer, golden)
    report("fast: the same bits as the portable network on golden tiles and noise")
    shipped = Converted(packed.flatbuffer, replace(portable.about, packing=packed.packing))
    return Conversion(network, float32, portable, shipped)


def convert_as(
    network: Any, about: Description, float32: bytes, ranges: CalibrationTiles | None, keep_float: bool
) -> Converted:
    """The FlatBuffer of the scheme, and its description with the layers it keeps in float."""
    pixels = ranges.pixels if ranges else None
    if about.scheme == "fp32":
        return Converted(float32, about)
    if keep_float and pixels is not None:
        flatbuffer, kept = convert_keeping_float(network, float32, pixels)
        return Converted(flatbuffer, replace(about, float_layers=kept))
    return Converted(convert(network, about.scheme, pixels), about)
