"""her2edge watch FOLDER --out DIR"""

from __future__ import annotations

from pathlib import Path

import click

from her2edge import SlideRun
from her2edge.cohort import Cohort, CohortSlide
from her2edge.slide import SLIDE_FORMATS
from her2edge.text import shown
from her2edge.watch import (
    AllWait,
    Event,
    FolderGone,
    Looked,
    SlideDone,
    SlideLater,
    SlideLeftAside,
    SlideSetAside,
    Watcher,
    WatchOptions,
)
from her2edge_cli import exits
from her2edge_cli.announce import Announcer
from her2edge_cli.inputs import cohort_option, listed, open_cohort
from her2edge_cli.options import Reading, reading_options
from her2edge_cli.parts import parts
from her2edge_cli.paths import PATH


@click.command(epilog=f"Slides are the files that end in {SLIDE_FORMATS}.")
@click.argument("folder", type=PATH)
@reading_options
@cohort_option
@click.option(
    "--still",
    type=click.FloatRange(min=0),
    default=WatchOptions.still_for,
    show_default=True,
    metavar="SECONDS",
    help="A slide has arrived when its size and modification time have not changed for this long.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=WatchOptions.retries,
    show_default=True,
    help="How often a slide that cannot be read is tried again before it is set aside: first after "
    f"{WatchOptions.wait:g} seconds, then after twice as long each time.",
)
@click.option(
    "--poll",
    type=click.FloatRange(min=0.05),
    default=WatchOptions.poll,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks at the folder.",
)
@click.option(
    "--once", is_flag=True, help="Exit when every slide in the folder is done or set aside, e.g. for cron."
)
def watch(
    folder: Path,
    cohort_path: Path | None,
    still: float,
    retries: int,
    poll: float,
    once: bool,
    reading: Reading,
) -> int:
    """Classify slides as they arrive in a folder.

    Each slide that a scanner puts into FOLDER is classified once, as `classify` does.

    Whole-slide images in FOLDER and the folders in it are read as soon as they have stopped growing, and left
    where they are. You can stop or kill it at any time; it resumes where it left off. A slide that cannot be
    read is tried again later. One that keeps failing is set aside, and a file in DIR/failed/ says why; remove
    that file to have it tried again. Several watchers may share DIR. Each DIR is for one model; a slide that
    has results there is done.

    --mpp is for files that state no scale, so slides of several scanners may arrive in one folder. --cohort
    gives the mpp and patient of slides by their names.
    """
    parts().streams.tolerated = True  # slides are worth more than lines about them
    cohort = open_cohort(cohort_path, must_exist=False)
    listener = Listener(Announcer.of(reading), cohort, shown(folder.name))
    options = WatchOptions(still_for=still, retries=retries, poll=poll)
    out = reading.choices.out
    watcher = Watcher(folder, out, listener.work, listener, options, exit_code=exits.exit_code)
    try:
        watcher.run(once=once)
    finally:
        listener.last_line()
    return exits.PARTLY if listener.unlisted or listener.codes - {exits.DONE} else exits.DONE


class Listener:
    """Says what a watcher tells, and reads slides with what a list tells.

    codes: exit codes of the slides so far; unlisted: as in Looked. folder: of the slides, as it is called.
    """

    def __init__(self, announcer: Announcer, cohort: Cohort | None = None, folder: str = "") -> None:
        self.codes: set[int] = set()
        self.announcer, self._cohort, self._folder = announcer, cohort, folder
        self._known: dict[Path, CohortSlide] = {}
        self._taken: dict[int, Path] = {}
        self._at: CohortSlide | None = None
        self.unlisted = 0
        self._slides: int | None = None  # in the folder; None: it was not looked into yet

    def work(self, path: Path) -> SlideRun:
        """Classify one slide; what the list has of it is looked up once. Raises Her2EdgeError."""
        if path not in self._known:
            self._known[path] = listed(path, self._cohort, self._taken)
        self._at = self._known[path]
        return self.announcer.reading.run(self._at, fill_in=True)

    def __call__(self, event: Event) -> None:
        match event:
            case SlideDone(run):
                self.codes.add(self.announcer.done(run, self._at.patient if self._at else ""))
            case SlideSetAside(record, file):
                _say(f"{record.slide} is set aside: {record.reason}; {_again(file)}")
                self.codes.add(self.announcer.set_aside(record))
            case SlideLeftAside(slide, file):
                _say(f"{slide} was set aside before and is left out; {_again(file)}")
            case SlideLater(reason, wait, attempt, retries):
                which = "" if attempt is None else f" ({attempt} of {retries})"
                _say(f"{reason}; trying again in {wait:.0f} s{which}")
            case AllWait(error, wait):
                _say(f"{error}; everything waits for {wait:.0f} s, no slide is counted as failed")
            case FolderGone(error):
                _say(f"{error}; waiting for it to come back")
            case Looked(waiting, unlisted, slides):
                self.unlisted, self._slides = unlisted, slides
                self.announcer.waiting(waiting)

    def last_line(self) -> None:
        """What all slides came to; nothing where the folder was never looked into."""
        if self.announcer.tally:
            self.announcer.last_line()
        elif self._slides == 0:
            _say(f"{self._folder}: found no slide in the folder, expected files that end in {SLIDE_FORMATS}")
        elif self._slides is not None:
            _say(f"nothing new: {self._slides} slide(s) were done or set aside before")


def _again(file: str) -> str:
    return f"failed/{file} says why: remove that file to have the slide tried again"


def _say(text: str) -> None:
    click.echo(f"her2edge: {text}", err=True)
