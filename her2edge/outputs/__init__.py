"""A slide's files: tiles.csv, tiles.geojson, heatmap.png, summary.json, and run.json beside them.

Everything but run.json is the same bytes for the same slide, model and options: no time, duration,
host or absolute path is in it.
"""

from her2edge.outputs.files import atomic, ensure_folder, slide_folder, whole, write_bytes
from her2edge.outputs.report import RunInfo, SlideInfo, notice, write_run
from her2edge.outputs.write import write_outputs

__all__ = [
    "RunInfo",
    "SlideInfo",
    "atomic",
    "ensure_folder",
    "notice",
    "slide_folder",
    "whole",
    "write_bytes",
    "write_outputs",
    "write_run",
]
