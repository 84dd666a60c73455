"""A slide's results: classify_slide, which makes them, and what their files hold.

tiles.csv, tiles.geojson (on request tiles.geojson.gz), heatmap.png, summary.json, stain.json and run.json.
All but run.json are the same bytes for the same slide, model and options: no time, duration, host or absolute
path is in them.
"""

from her2edge.results.classify_slide import classify_slide
from her2edge.results.fit_slide import fit_slide
from her2edge.results.folder import slide_folder
from her2edge.results.notices import notice
from her2edge.results.run_record import RunInfo
from her2edge.results.slide_info import SlideInfo
from her2edge.results.slide_run import SlideRun
from her2edge.results.tiles_read import tiles_read
from her2edge.results.write import write_outputs

__all__ = [
    "RunInfo",
    "SlideInfo",
    "SlideRun",
    "classify_slide",
    "fit_slide",
    "notice",
    "slide_folder",
    "tiles_read",
    "write_outputs",
]
