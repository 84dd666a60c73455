"""Which export: `portable` or `fast`, and the proof that the two answer alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError, OptionError
from her2edge.model.records import Input, Packing
from her2edge.runtime import answers
from her2edge.runtime.packing import InputWriter, input_shape
from her2edge.tile import Pixels
from her2edge_quantize.convert.edge.packed import Packed, pack_stem
from her2edge_quantize.options import Export


def check_stem(export: Export, network: Any) -> None:
    """Before minutes of conversion: raises OptionError where a keras.Model can have no such export."""
    if export == "portable":
        return
    stem = next((layer for layer in network.layers if hasattr(layer, "kernel_size")), None)
    if stem is None or (stem.kernel_size, stem.strides, stem.padding) != ((7, 7), (2, 2), "valid"):
        raise OptionError(
            "found export 'fast' for a network without the 7x7 stem, expected a ResNet: use 'portable'"
        )


def make_fast(portable: bytes, tiles: Pixels, pack: Callable[[bytes], Packed] = pack_stem) -> Packed:
    """The fast export of a portable int8 FlatBuffer, held against it on (n, tile_px, tile_px, 3) uint8 RGB.

    Raises ModelError where the stem is not that of a ResNet, or any bit of an output differs.
    """
    packed = pack(portable)
    noise = np.random.default_rng(0).integers(0, 256, tiles.shape[1:], dtype=np.uint8)
    both = [*tiles, noise]
    pairs = zip(
        answers(portable, (tile[np.newaxis] for tile in both)),
        answers(packed.flatbuffer, packed_tiles(packed.packing, both)),
        strict=True,
    )
    for one, other in pairs:
        if not all(np.array_equal(one[name], other[name]) for name in one):
            raise ModelError("the packed network answers differently, expected the same bits: use 'portable'")
    return packed


def packed_tiles(packing: Packing, tiles: Iterable[Pixels]) -> Iterator[NDArray[np.int8]]:
    """The input tensor of each (tile_px, tile_px, 3) uint8 RGB tile, as the SDK writes it."""
    for tile in tiles:
        form = Input(tile_px=len(tile), mpp=1.0, scale=1.0, zero_point=0, packing=packing)
        stored = np.empty(input_shape(form), dtype=np.int8)
        InputWriter(form).write(tile, stored)
        yield stored
