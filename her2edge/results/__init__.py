"""A slide's files: tiles.csv, tiles.geojson, heatmap.png, summary.json, and run.json beside them.

Everything but run.json is the same bytes for the same slide, model and options: no time, duration,
host or absolute path is in it.
"""

from her2edge.results.finished import Finished, find_finished, hash_files
from her2edge.results.fit_slide import fit_slide
from her2edge.results.folder import slide_folder
from her2edge.results.record import RunInfo, SlideInfo, notice, write_run
from her2edge.results.write import write_outputs

__all__ = [
    "Finished",
    "RunInfo",
    "SlideInfo",
    "find_finished",
    "fit_slide",
    "hash_files",
    "notice",
    "slide_folder",
    "write_outputs",
    "write_run",
]
