"""A whole-slide image, a plain image or a folder of tiles as a stream of `Tile`s."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import TracebackType

import numpy as np

from her2edge.errors import Her2EdgeError, MissingInputError, OptionError, SlideError, SlideReadError
from her2edge.processes import OneProcess
from her2edge.slide.fingerprint import (
    Evidence,
    files_of_slide,
    fingerprint_files,
    fingerprint_slide,
    hash_whole,
    look_at,
)
from her2edge.slide.folder import TileFolder
from her2edge.slide.grid import Grid, TileSize, TileSpec, plan_grid
from her2edge.slide.images import without_folder
from her2edge.slide.isolated import HungError, IsolatedImages, IsolatedSource
from her2edge.slide.parts import name_of
from her2edge.slide.sample import check_region, sample
from her2edge.slide.scale import check_mpp, doubts, over_stated, stated_mpp, states_none
from her2edge.slide.sources import SUPPORTED, Source, open_source
from her2edge.slide.thumbnail import draw_thumbnail
from her2edge.tile import Pixels, Tile, UnreadableTile

_log = logging.getLogger("her2edge")


class SlideReader(OneProcess):
    """Reads a slide tile by tile; a context manager. Threads wait in line, `close` among them.

    path: a slide OpenSlide reads, a plain 8-bit RGB image, or a folder of tile images.
    mpp:  um per pixel of level 0, 0.05..20; overrides the file's. Plain images need it. For a folder it is
          the scale of its tiles, and None means: taken to be the model's.
    default_mpp: the same, where the file states none, or none that can be (a TIFF of 72 dpi); used only then.
    isolate: decode in a process of its own, so that a file which crashes a decoder costs its tiles and not
          this program; a crash is a SlideReadError, or an UnreadableTile. Where five regions in a row take
          longer than a minute each, `tiles` raises SlideReadError.
    source: where its pixels come from, in place of the decoders for its file; closed with the reader.

    The frame of all coordinates is level 0 in pixels, origin top left; where the file states the bounds of
    the scanned part (openslide.bounds-*), that rectangle is the slide, as QuPath has it; what of it lies
    outside of level 0 is white, and not `valid` where it is to the right or below.

    Pixels are those stored: colour profiles are not applied, an Orientation is not followed. What cannot be
    read so is refused: grey, more than 8 bits (but 16 of which all are used), several slides in one file.

    Raises MissingInputError, SlideReadError (not readable), SlideError (readable, but no usable scale or
    pixel format), OptionError (mpp), RuntimeUnavailable (`pip install "her2edge[slides]"`).
    """

    advice = "open it in the worker, from the slide's path"

    def __init__(
        self,
        path: str | os.PathLike[str],
        mpp: float | None = None,
        *,
        default_mpp: float | None = None,
        isolate: bool = False,
        source: Source | None = None,
    ) -> None:
        check_mpp(mpp)
        check_mpp(default_mpp)
        self._path = _existing(path)
        self._opened = _stamp(self._path)
        self._mpp = next((float(scale) for scale in (mpp, default_mpp) if scale is not None), None)
        self._lock = threading.Lock()  # a stream reads ahead: nothing is closed while it is read from
        self._source: Source | None = None
        self._over_stated = 1.0
        self._scanner: str | None = None
        self._icc_profile: str | bool | None = None
        self._folder: TileFolder | None = None
        self._images = IsolatedImages() if isolate else None
        self._stops = [self._images.stop] if self._images else []
        if self._path.is_dir():
            self._folder = TileFolder(self._path, self._images.read if self._images else None)
            return
        if source is None:
            source = IsolatedSource(self._path) if isolate else open_source(self._path)
        if isinstance(source, IsolatedSource):
            self._stops.append(source.stop)
        try:
            if mpp is None and default_mpp is not None and states_none(source.mpp):
                mpp = default_mpp
            self._mpp = float(mpp) if mpp is not None else stated_mpp(source, self.name)
            self._over_stated = over_stated(self._mpp, source.mpp)
            for note in (*source.notes, *doubts(self._mpp, mpp, source.mpp)):
                _log.warning("%s: %s", self.name, note)
            self._scanner, self._icc_profile = source.scanner, source.icc_profile
        except BaseException:
            source.close()
            raise
        self._source = source

    def __enter__(self) -> SlideReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back; tiles cannot be read any more. A process that decodes is not waited for."""
        for stop in self._stops:
            stop()
        with self._lock:
            for decoder in (self._source, self._images):
                if decoder is not None:
                    decoder.close()
            self._source = self._folder = self._images = None

    @property
    def name(self) -> str:
        """File or folder name without the folder it lies in; unprintable characters as `?`."""
        return name_of(self._path)

    @property
    def is_folder(self) -> bool:
        """True for a folder of tile images."""
        return self._folder is not None

    @property
    def mpp(self) -> float | None:
        """Um per pixel at level 0; None only for a folder whose tiles are taken to be the model's scale."""
        return self._mpp

    @property
    def mpp_over_stated(self) -> float:
        """`mpp` over what the file states, to two digits; 1 where it states none, and for less than 5 %."""
        return self._over_stated

    @property
    def dimensions(self) -> tuple[int, int] | None:
        """(width, height) of level 0, pixels; None for a folder."""
        return None if self._folder is not None else self._open_source().dimensions

    @property
    def scanner(self) -> str | None:
        """Maker and model of the scanner as the file states them; None where it does not, or for a folder."""
        return self._scanner

    @property
    def icc_profile(self) -> str | bool | None:
        """The name of the colour profile in the file, which is not applied: models are trained on stored
        pixels. True for one without a name, False for none, None for a folder."""
        return self._icc_profile

    @cached_property
    def fingerprint(self) -> str:
        """Hex SHA-256, the identity of the content (not of name or place): size and 64 blocks of each file.
        An .mrxs includes the files beside it; a folder its relative paths. Read once, at the first use."""
        self.evidence  # noqa: B018 - of before: what is written while it is read, is seen then
        return self._fingerprint_now()

    @cached_property
    def evidence(self) -> Evidence:
        """What the file system says of the slide's files; looked at once, at the first use of it or of
        `fingerprint`. Raises SlideReadError, also where the file is another one than when it was opened."""
        evidence = self._evidence_now()
        if not self._path.is_dir() and _stamp(self._path) != self._opened:
            raise self._changed()
        return evidence

    def _files(self) -> tuple[Path, list[Path]]:
        """The folder that names are relative to, and all files."""
        if self._folder is not None:
            return self._folder.root, self._folder.files
        return self._path.parent, files_of_slide(self._path)

    def _evidence_now(self) -> Evidence:
        return look_at(*self._files())

    def hash_whole(self) -> str:
        """Hex SHA-256 of every byte of the slide's files. Raises SlideReadError."""
        return hash_whole(*self._files())

    def _fingerprint_now(self) -> str:
        if self._folder is not None:
            return fingerprint_files(self._folder.root, self._folder.files)
        return fingerprint_slide(self._path)

    def check_unchanged(self) -> None:
        """Raises SlideReadError unless content and looks are still those of `fingerprint` and `evidence`.

        Asked when everything has been read: tiles of two slides are no result, nor are those of a slide
        whose share went away in the middle of it, or that was overwritten and put back."""
        try:
            same = self._evidence_now() == self.evidence and self._fingerprint_now() == self.fingerprint
        except SlideReadError as error:
            raise SlideReadError(f"{error}, it went away while it was read: run again") from error
        if not same:
            raise self._changed()

    def _changed(self) -> SlideReadError:
        return SlideReadError(
            f"{self.name}: found other content than when it was opened, it was written to "
            "while it was read: run again when it is whole"
        )

    def grid(self, spec: TileSpec) -> Grid:
        """Where tiles of `spec` (a Model or a TileSize) lie; `len(grid)` is their number.

        `Grid.upsampled` is set where the slide is more than 5 % coarser than `spec`, so that an ordinary
        0.2527 um/px scan at 0.25 counts as what it is. Raises SlideError above 2.2 times coarser, where one
        tile would need more than 64 Mpx of the slide, and for a folder.
        """
        if self._folder is not None:
            raise SlideError(f"{self.name}: found a folder of tiles, which has no grid: use tile_count()")
        source = self._open_source()
        assert self._mpp is not None  # noqa: S101 - only a folder may lack it
        try:
            grid = plan_grid(source.dimensions, self._mpp, spec)
            check_region(source, grid)
        except SlideError as error:
            raise SlideError(f"{self.name}: {error}") from error
        return grid

    def tile_count(self, spec: TileSpec) -> int:
        """How many tiles `tiles(spec)` yields, readable or not."""
        return len(self._folder.files) if self._folder is not None else len(self.grid(spec))

    def tiles(
        self,
        spec: TileSpec,
        places: Iterable[tuple[int, int]] | None = None,
        *,
        skip: int = 0,
        numbers: Sequence[int] | None = None,
    ) -> Iterator[Tile | UnreadableTile]:
        """Every tile of `spec` (a Model or a TileSize), row by row, each decoded when it is asked for.

        places: (column, row) of the tiles of `grid(spec)` to read, in this order; None means all.
        skip: number of tiles at the beginning that are left out, and not decoded.
        numbers: those tiles only of all that there are, counted from 0; None means all.

        Finer slide: area means from the nearest finer level. Coarser: cubic interpolation; by more than 5 %
        with a warning. Same scale: the stored pixels, untouched. What lies outside the slide is white and not
        `valid`. A region that cannot be decoded becomes an UnreadableTile. A folder yields its files as they
        are; it has no places.
        """
        if self._folder is not None and places is None:
            return self._folder.tiles(self._mpp, skip=skip, numbers=numbers)
        grid = self.grid(spec)
        if numbers is not None:
            places = [(number % grid.columns, number // grid.columns) for number in numbers]
        if grid.upsampled:
            _log.warning(
                "%s: found %.4g um per pixel where the model needs %.4g: tiles are enlarged %.2f times, "
                "which the model was not trained on",
                self.name, self._mpp, grid.mpp, 1 / grid.scale,
            )  # fmt: skip
        return self._walk(grid, islice(grid if places is None else places, skip, None))

    def sample(self, tile_px: int, at_most: int) -> Iterator[Tile | UnreadableTile]:
        """At most `at_most` tiles of `tile_px` pixels spread evenly over the slide, at the slide's own scale.

        Columns and rows at even distances; of a folder every k-th file. For what is to be known of a slide
        before its tiles are read one by one. Raises OptionError for numbers out of range.
        """
        if not (isinstance(at_most, int) and at_most >= 1):
            raise OptionError(f"found at_most={at_most!r}, expected a whole number of tiles, 1 or more")
        if self._folder is not None:
            every = -(-len(self._folder.files) // at_most)
            return self._folder.tiles(self._mpp, every)
        self._open_source()  # a closed slide says so here
        assert self._mpp is not None  # noqa: S101 - only a folder may lack it
        grid = self.grid(TileSize(tile_px, self._mpp))
        return self._walk(grid, grid.spread(at_most))

    def thumbnail(self, max_px: int = 1024) -> Pixels | None:
        """(h, w, 3) uint8 RGB, the longer side at most `max_px`, never enlarged; None for a folder.

        A part that cannot be decoded stays white, with a warning.
        """
        if not (isinstance(max_px, int) and 1 <= max_px <= 8192):
            raise OptionError(f"found max_px={max_px!r}, expected a whole number in 1..8192")
        if self._folder is not None:
            return None
        with self._lock:
            return draw_thumbnail(self._open_source(), max_px, self.name)

    def _walk(self, grid: Grid, places: Iterable[tuple[int, int]]) -> Iterator[Tile | UnreadableTile]:
        span = (grid.step, grid.step)
        source = self._open_source()
        reach = (source.levels[0].width - source.origin[0], source.levels[0].height - source.origin[1])
        for column, row in places:
            x, y = grid.origin(column, row)
            rows, columns = valid = grid.valid(column, row, reach)
            try:
                with self._lock:
                    pixels = sample(self._open_source(), x, y, grid.scale, rows, columns)
            except HungError:
                raise
            except SlideReadError as error:
                yield UnreadableTile(str(error), x, y, span, grid.mpp, self.name)
                continue
            if valid != (grid.tile_px, grid.tile_px):
                inside = pixels
                pixels = np.full((grid.tile_px, grid.tile_px, 3), 255, np.uint8)
                pixels[:rows, :columns] = inside
            yield Tile(pixels, x, y, span, grid.mpp, valid, self.name)

    def _open_source(self) -> Source:
        if self._source is None:
            raise SlideError(f"{self.name}: found a closed slide: read tiles inside the `with` block")
        return self._source


def _existing(path: str | os.PathLike[str]) -> Path:
    """The path, made absolute so that it has a name; raises unless it is a folder or a readable file."""
    if os.fspath(path) == "":
        raise MissingInputError("found an empty path, expected a slide, an image or a folder of tile images")
    place = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute() keeps "..", which is no name
    try:
        if not place.exists():
            raise MissingInputError(f"{place.name}: no such file or folder: check the path")
        if place.is_dir():
            return place
        if not place.is_file():
            raise SlideReadError(
                f"{place.name}: found a device or pipe, expected a file or folder; {SUPPORTED}"
            )
        with place.open("rb") as file:
            empty = not file.read(1)
    except Her2EdgeError:
        raise
    except OSError as error:
        raise SlideReadError(
            f"{place.name}: cannot be read ({without_folder(error, place)}): check its permissions"
        ) from error
    if empty:
        raise SlideReadError(f"{place.name}: found an empty file, expected a slide: copy it again")
    return place


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Size and times of a file, which tell that it was written to; None where it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
