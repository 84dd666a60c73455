"""A folder that slides arrive in: each is done once, none is lost, none is tried for ever.

from her2edge import classify_slide
from her2edge.watch import Watcher

watcher = Watcher("slides", "results", lambda path: classify_slide(path, "results", classifier), print)
watcher.run()  # for ever: you can stop or kill it at any time; it resumes where it left off
"""

from her2edge.attempts import SetAside
from her2edge.watch.events import (
    AllWait,
    Event,
    FolderGone,
    Looked,
    SlideDone,
    SlideLater,
    SlideLeftAside,
    SlideSetAside,
)
from her2edge.watch.options import WatchOptions
from her2edge.watch.watcher import Watcher

__all__ = [
    "AllWait",
    "Event",
    "FolderGone",
    "Looked",
    "SetAside",
    "SlideDone",
    "SlideLater",
    "SlideLeftAside",
    "SlideSetAside",
    "WatchOptions",
    "Watcher",
]
