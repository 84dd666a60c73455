"""A whole-slide image, a plain image or a folder of tiles as a stream of `Tile`s."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from types import TracebackType

import numpy as np

from her2edge.errors import OptionError, SlideError, SlideReadError
from her2edge.ordered import Deferred
from her2edge.processes import OneProcess
from her2edge.slide.existing import existing, stamp
from her2edge.slide.fingerprint import (
    Evidence,
    files_of_slide,
    fingerprint_files,
    fingerprint_slide,
    hash_whole,
    look_at,
)
from her2edge.slide.folder import TileFolder
from her2edge.slide.glass import GlassMap, find_glass, glass_level
from her2edge.slide.grid import Grid, TileSize, TileSpec, plan_grid
from her2edge.slide.isolated import HungError, IsolatedImages, IsolatedSource
from her2edge.slide.lent import Lent
from her2edge.slide.parts import name_of
from her2edge.slide.sample import check_region, sample
from her2edge.slide.scale import check_mpp, doubts, over_stated, stated_mpp, states_none
from her2edge.slide.sources import Source, open_source
from her2edge.slide.thumbnail import draw_thumbnail
from her2edge.tile import GlassPlace, Pixels, Tile, UnreadableTile

_log = logging.getLogger("her2edge")


class SlideReader(OneProcess):
    """Reads a slide tile by tile; a context manager. May be shared by threads: OpenSlide and plain images are
    read by any number at the same time, what is isolated in a process each (4 at most), the rest in line.

    path: a slide OpenSlide reads, a plain 8-bit RGB image, or a folder of tile images.
    mpp:  um per pixel of level 0, 0.05..20; overrides the file's. Plain images need it. For a folder it is
          the scale of its tiles, and None means: taken to be the model's.
    default_mpp: the same, where the file states none, or none that can be (a TIFF of 72 dpi); used only then.
    isolate: decode in processes of their own, so that a file which crashes a decoder costs its tiles and not
          this program; a crash is a SlideReadError, or an UnreadableTile. Where five regions in a row take
          longer than a minute each, `tiles` raises SlideReadError.
    source: where its pixels come from, in place of the decoders for its file; closed with the reader.
    quiet: log no warning of the slide, for whoever reads again what was warned of before.

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
        quiet: bool = False,
    ) -> None:
        check_mpp(mpp)
        check_mpp(default_mpp)
        self._path = existing(path)
        self._opened = stamp(self._path)
        self._mpp = next((float(scale) for scale in (mpp, default_mpp) if scale is not None), None)
        self._source: Lent[Source] | None = None
        self._over_stated = 1.0
        self._coarseness_said = quiet
        self._scanner: str | None = None
        self._icc_profile: str | bool | None = None
        self._folder: TileFolder | None = None
        self._images: Lent[IsolatedImages] | None = None
        if self._path.is_dir():
            if isolate:
                images = IsolatedImages()
                self._images = Lent(images, shared=False, twin=images.twin)
            self._folder = TileFolder(self._path, self._images)
            return
        if source is None:
            source = IsolatedSource(self._path) if isolate else open_source(self._path)
        try:
            if mpp is None and default_mpp is not None and states_none(source.mpp):
                mpp = default_mpp
            self._mpp = float(mpp) if mpp is not None else stated_mpp(source, self.name)
            self._over_stated = over_stated(self._mpp, source.mpp)
            for note in () if quiet else (*source.notes, *doubts(self._mpp, mpp, source.mpp)):
                _log.warning("%s: %s", self.name, note)
            self._scanner, self._icc_profile = source.scanner, source.icc_profile
        except BaseException:
            source.close()
            raise
        twin = source.twin if isinstance(source, IsolatedSource) else None
        self._source = Lent[Source](source, shared=source.shared, twin=twin)

    def __enter__(self) -> SlideReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back; tiles cannot be read any more. Not waited for are a process that decodes, and
        who reads from OpenSlide, whose file is closed after him."""
        for lent in (self._source, self._images):
            if lent is not None:
                lent.stop()
                lent.close()
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
        if not self._path.is_dir() and stamp(self._path) != self._opened:
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
            raise SlideReadError(
                f"{error}, the slide disappeared while it was being read: run again"
            ) from error
        if not same:
            raise self._changed()

    def _changed(self) -> SlideReadError:
        return SlideReadError(
            f"{self.name}: the file changed while it was being read: run again when it is complete"
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
        glass: GlassMap | None = None,
    ) -> Iterator[Tile | UnreadableTile]:
        """Every tile of `spec` (a Model or a TileSize), row by row, each decoded when it is asked for. A
        classifier's `stream` decodes several at a time.

        places: (column, row) of the tiles of `grid(spec)` to read, in this order; None means all.
        skip: number of tiles at the beginning that are left out, and not decoded.
        numbers: those tiles only of all that there are, counted from 0; None means all.
        glass: as `glass(spec)` gives it: its places are not decoded, each is a GlassPlace. None means none.

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
        if grid.upsampled and not self._coarseness_said:
            self._coarseness_said = True  # once is enough, however often tiles are asked for
            _log.warning(
                "%s: found %.4g um per pixel where the model needs %.4g: tiles are enlarged %.2f times, "
                "which the model was not trained on",
                self.name, self._mpp, grid.mpp, 1 / grid.scale,
            )  # fmt: skip
        return self._walk(grid, islice(grid if places is None else places, skip, None), glass)

    def shows_glass(self, spec: TileSpec) -> bool:
        """Whether there is a level in which `glass` can look; nothing is read."""
        return self._folder is None and glass_level(self._open_source().levels, self.grid(spec)) is not None

    def glass(self, spec: TileSpec, brightest_tissue: float, readers: int = 1) -> GlassMap | None:
        """The places of `grid(spec)` that a coarse level shows to be glass; see her2edge.slide.glass.

        brightest_tissue: mean grey above which no tile is tissue, as TissueFilter has it. readers: threads
        that read. A level that does not show what level 0 does is warned of, and then no place is glass. None
        where no level is fit, as in a folder.
        """
        if not self.shows_glass(spec) or brightest_tissue == math.inf:
            return None
        grid, whole = self.grid(spec), (spec.tile_px, spec.tile_px)
        reach = self._reach()
        rows = sum(grid.valid(0, row, reach)[0] == whole[0] for row in range(grid.rows))
        columns = sum(grid.valid(column, 0, reach)[1] == whole[1] for column in range(grid.columns))
        return find_glass(
            self._lent(),
            grid,
            (rows, columns),
            brightest_tissue,
            readers,
            partial(self._walk, grid),
            self.name,
        )

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
        return self._lent().use(lambda source: draw_thumbnail(source, max_px, self.name))

    def _walk(
        self, grid: Grid, places: Iterable[tuple[int, int]], glass: GlassMap | None = None
    ) -> Deferred[Tile | UnreadableTile]:
        reach = self._reach()
        calls = (
            partial(self._place, grid, *place)
            if glass is not None and place in glass
            else partial(self._tile, grid, reach, *place)
            for place in places
        )
        return Deferred(calls, self._lent().at_once)

    def _reach(self) -> tuple[int, int]:
        """(width, height) of the frame to which there are pixels."""
        source = self._open_source()
        return source.levels[0].width - source.origin[0], source.levels[0].height - source.origin[1]

    def _place(self, grid: Grid, column: int, row: int) -> GlassPlace:
        x, y = grid.origin(column, row)
        return GlassPlace("", x, y, (grid.step, grid.step), grid.mpp, self.name)

    def _tile(self, grid: Grid, reach: tuple[int, int], column: int, row: int) -> Tile | UnreadableTile:
        x, y = grid.origin(column, row)
        rows, columns = valid = grid.valid(column, row, reach)
        span = (grid.step, grid.step)
        try:
            pixels = self._lent().use(lambda source: sample(source, x, y, grid.scale, rows, columns))
        except HungError:
            raise
        except SlideReadError as error:
            return UnreadableTile(str(error), x, y, span, grid.mpp, self.name)
        if valid != (grid.tile_px, grid.tile_px):
            inside = pixels
            pixels = np.full((grid.tile_px, grid.tile_px, 3), 255, np.uint8)
            pixels[:rows, :columns] = inside
        return Tile(pixels, x, y, span, grid.mpp, valid, self.name)

    def _open_source(self) -> Source:
        return self._lent().first

    def _lent(self) -> Lent[Source]:
        if self._source is None:
            raise SlideError(f"{self.name}: found a closed slide: read tiles inside the `with` block")
        return self._source
