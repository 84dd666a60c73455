"""A slide's files: tiles.csv, tiles.geojson, heatmap.png, summary.json, and run.json beside them.

Everything but run.json is the same bytes for the same slide, model and options: no time, duration,
host or absolute path is in it.
"""

from her2edge.outputs.folder import slide_folder
from her2edge.outputs.report import RunInfo, SlideInfo, notice, write_run
from her2edge.outputs.write import write_outputs

__all__ = [
    "RunInfo",
    "SlideInfo",
    "notice",
    "slide_folder",
    "write_outputs",
    "write_run",
]
