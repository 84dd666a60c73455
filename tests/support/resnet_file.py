"""Model files of the network of tests/support/tiny_resnet.py, as `her2edge quantize` packs them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import make_tiny_model as tiny
import tiny_resnet

from her2edge.model.file import Model
from her2edge.model.records import Scheme
from her2edge_quantize.convert.edge import for_edge, make_fast
from her2edge_quantize.convert.export import convert
from her2edge_quantize.convert.head import fold_head
from her2edge_quantize.model_file.pack import pack

SE_RATIO, FILTERS, UNITS = 4, 16, 8


@cache
def flatbuffer(scheme: Scheme) -> bytes:
    """The network converted, rewritten for the edge."""
    if scheme == "int8":
        return tiny_resnet.portable()
    return convert(for_edge(tiny_resnet.build()), scheme)


def packed(scheme: Scheme = "int8", *, fast: bool = False, **fields: Any) -> bytes:
    """A model file. fields: of its `Description`."""
    about = replace(tiny.description(scheme), architecture="se_resnet50", **fields)
    network, golden = flatbuffer(scheme), tiny.network_inputs(2)
    if fast:
        made = make_fast(network, golden)
        network, about = made.flatbuffer, replace(about, packing=made.packing)
    return pack(network, about, fold_head(tiny_resnet.build()), golden, tiny.CARD)


@cache
def usual(scheme: Scheme = "int8", *, fast: bool = False) -> Model:
    """The same, read."""
    return Model.from_bytes(packed(scheme, fast=fast), trust="anyone")
