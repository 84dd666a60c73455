"""Where candidates become model files and are measured beside float32: what they have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from her2edge.model.file import Head, Model
from her2edge.model.novelty import Novelty
from her2edge.model.records import Limits
from her2edge.tile import Pixels
from her2edge_quantize.gate.gate_store import gate_inputs
from her2edge_quantize.gate.measure import Measured, measure
from her2edge_quantize.model_file.card import model_card
from her2edge_quantize.model_file.description import Description
from her2edge_quantize.model_file.pack import pack
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.run.predictions import Predictions
from her2edge_training.run.trained import TrainedRun

LAYER_TILES = 8


@dataclass(frozen=True, eq=False)
class Trial:
    """All that goes into a file beside the FlatBuffer, and the tiles its candidates are judged on.

    float32: the fp32 conversion. golden: (n, tile_px, tile_px, 3) uint8 RGB. reference: the trained
    network's answers to the tiles of `records`, in their order. judges: (n,) those that chose nothing.
    """

    run: TrainedRun
    float32: bytes
    head: Head
    golden: Pixels
    records: tuple[TileRecord, ...]
    reference: Predictions
    judges: NDArray[np.bool_]
    limits: Limits

    def pack(self, flatbuffer: bytes, about: Description, novelty: Novelty | None = None) -> bytes:
        """The bytes of a model file; raises ModelError."""
        return pack(flatbuffer, about, self.head, self.golden, model_card(about, self.run), novelty)

    def measure(self, flatbuffer: bytes, about: Description) -> tuple[Measured, NDArray[np.float32]]:
        """What there is to say of a candidate, and its (n, 3) logits; raises ModelError."""
        plain = replace(about, scheme="fp32", calibration=None, float_layers=(), packing=UNSET)
        model, float32 = (
            Model.from_bytes(self.pack(data, description), trust="anyone")
            for data, description in ((flatbuffer, about), (self.float32, plain))
        )
        tiles = gate_inputs(self.records, self.run.recipe)
        return measure(model, float32, tiles, self.reference, self.limits, self.judges)

    def some_tiles(self) -> Iterator[Pixels]:
        """At most LAYER_TILES of the tiles, spread over them."""
        step = -(-len(self.records) // LAYER_TILES)
        return gate_inputs(self.records[::step], self.run.recipe)
