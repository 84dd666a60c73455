"""Where candidates become model files and are judged: what they have in common, and their conversion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from her2edge.model.file import Head, Model
from her2edge.model.manifest import Limits
from her2edge.tile import Pixels
from her2edge_quantize.convert.export import convert
from her2edge_quantize.convert.selective import convert_keeping_float
from her2edge_quantize.gate.measure import Measured, measure
from her2edge_quantize.model_file.card import model_card
from her2edge_quantize.model_file.pack import Description, pack
from her2edge_training.cohort.store import network_inputs
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.run.predictions import Predictions
from her2edge_training.run.trained import TrainedRun

LAYER_TILES = 8


@dataclass(frozen=True, eq=False)
class Bench:
    """All that goes into a file beside the FlatBuffer, and the tiles its candidates are judged on."""

    run: TrainedRun
    float32: bytes
    head: Head
    golden: Pixels
    records: tuple[TileRecord, ...]
    said: Predictions
    limits: Limits

    def pack(self, flatbuffer: bytes, about: Description) -> bytes:
        return pack(flatbuffer, about, self.head, self.golden, model_card(about, self.run))

    def measure(self, flatbuffer: bytes, about: Description) -> tuple[Measured, NDArray[np.float32]]:
        plain = replace(about, scheme="fp32", calibration=None, float_layers=(), packing=UNSET)
        model, float32 = (
            Model.from_bytes(self.pack(data, said), trust="anyone")
            for data, said in ((flatbuffer, about), (self.float32, plain))
        )
        tiles = network_inputs(self.records, self.run.recipe)
        return measure(model, float32, tiles, self.said, self.limits)

    def some_tiles(self) -> Iterator[Pixels]:
        """At most LAYER_TILES of the tiles, spread over them."""
        step = -(-len(self.records) // LAYER_TILES)
        return network_inputs(self.records[::step], self.run.recipe)


def convert_as(
    network: Any, about: Description, float32: bytes, pixels: Pixels | None, keep_float: bool
) -> tuple[bytes, Description]:
    """The FlatBuffer of the scheme, and its description with the layers it keeps in float."""
    if about.scheme == "fp32":
        return float32, about
    if keep_float and pixels is not None:
        flatbuffer, kept = convert_keeping_float(network, float32, pixels)
        return flatbuffer, replace(about, float_layers=kept)
    return convert(network, about.scheme, pixels), about
