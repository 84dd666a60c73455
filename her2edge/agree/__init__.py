"""A lab's own check: answers beside known scores, and each month beside a baseline. Research use only."""

from her2edge.agree.compare import Agreement, compare
from her2edge.agree.drift import Drift, DriftLine, drift_lines
from her2edge.agree.errors import AgreeError
from her2edge.agree.kit import Kit, read_kit
from her2edge.agree.lines import kit_lines
from her2edge.agree.make import make_kit
from her2edge.agree.write import check_free, write_kit

__all__ = [
    "AgreeError",
    "Agreement",
    "Drift",
    "DriftLine",
    "Kit",
    "check_free",
    "compare",
    "drift_lines",
    "kit_lines",
    "make_kit",
    "read_kit",
    "write_kit",
]
