"""Networks made for the edge: `graph` rewrites the Keras graph, `packed` the stem of its int8 FlatBuffer.

Two exports. `portable` takes uint8 RGB and both graph rewrites are in it; `fast` is the portable FlatBuffer
with its stem's weights moved, so that the SDK can pack tiles for it: the same integers, sooner.
"""

from her2edge_quantize.convert.edge.exports import check_stem, make_fast
from her2edge_quantize.convert.edge.graph import Rewrites, for_edge

__all__ = ["Rewrites", "check_stem", "for_edge", "make_fast"]
