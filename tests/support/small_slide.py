"""A small synthetic slide, the command on it, and its files: what tests of interrupted runs share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest
import tiny

from her2edge import SlideReader, SlideRun, TileClassifier, classify_slide
from her2edge.errors import SlideReadError
from her2edge.results.classify_slide import run_slide
from her2edge.results.slide_run import Progress, SlideOptions
from her2edge.slide.sources import ImageSource
from her2edge_cli.main import main
from her2edge_cli.parts import Parts
from her2edge_training import synthetic


def draw_slide(path: Path, columns: int = 6, rows: int = 4, seed: int = 7) -> Path:
    """A synthetic slide as PNG, of columns x rows tiles of the tiny models."""
    model = synthetic.make_slide_model("3+", synthetic.SITES[1], seed)
    pixels = synthetic.make_slide_image(model, tiny.SIZE * columns, tiny.SIZE * rows, tiny.MPP).pixels
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


def draw_folder(path: Path, count: int = 24) -> Path:
    """A folder of tissue tiles as PNG."""
    path.mkdir()
    for number, tile in enumerate(tiny.tissue(count)):
        cv2.imwrite(str(path / f"{number:03}.png"), cv2.cvtColor(tile.pixels, cv2.COLOR_RGB2BGR))
    return path


def arguments(slide: Path, out: Path, *more: str) -> list[str]:
    """Of `her2edge`, to classify with the tiny int8 model on one thread."""
    scale = [] if slide.is_dir() else ["--mpp", str(tiny.MPP)]
    fixed = ["--model", str(tiny.INT8), "--threads", "1"]
    return ["classify", str(slide), "--out", str(out), *fixed, *scale, *more]


ClassifySlide = Callable[..., SlideRun]


def classify(slide: Path, out: Path, *more: str, by: ClassifySlide = classify_slide) -> int:
    """The exit code; by: what classifies."""
    return main(arguments(slide, out, *more), Parts(classify_slide=by))


def with_options(watched: Progress | None = None, **chosen: Any) -> ClassifySlide:
    """A classify_slide with options that it has not, such as `batch`; watched: called as `progress` too."""

    def run(
        path: Path, out: Path, classifier: TileClassifier, *, progress: Progress, **options: Any
    ) -> SlideRun:
        def advance(done: int, total: int) -> None:
            progress(done, total)
            if watched is not None:
                watched(done, total)

        return run_slide(path, out, classifier, None, SlideOptions(**options | chosen), advance)

    return run


def interrupted_at(tiles: int, **chosen: Any) -> ClassifySlide:
    """A classify_slide that meets Ctrl-C when it has kept so many tiles more."""
    calls = iter(range(tiles))

    def stop(_done: int, _total: int) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt

    return with_options(stop, **chosen)


@contextmanager
def unreadable(numbers: tuple[int, ...], *, in_sample: bool = False, columns: int = 6) -> Iterator[None]:
    """These tiles of the slide cannot be read; in_sample: nor what of the stain's sample covers them."""
    places = {(number % columns * tiny.SIZE, number // columns * tiny.SIZE) for number in numbers}
    real = ImageSource.read

    def read(self: Any, level: int, x: int, y: int, width: int, height: int) -> Any:
        covers = any(x <= left < x + width and y <= top < y + height for left, top in places)
        if ((x, y) in places and width == tiny.SIZE) or (in_sample and width > tiny.SIZE and covers):
            raise SlideReadError("slide.png: region cannot be read")
        return real(self, level, x, y, width, height)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageSource, "read", read)
        yield


def folder_of(out: Path) -> Path:
    """The only slide's folder."""
    (folder,) = out.iterdir()
    return folder


def results_of(out: Path) -> dict[str, bytes]:
    """`files_of`, without the journal that a slide with failed tiles keeps: times are in it."""
    return {name: data for name, data in files_of(out).items() if not name.startswith(".")}


def files_of(out: Path) -> dict[str, bytes]:
    """Everything in the slide's folder but run.json, hidden files too."""
    return {path.name: path.read_bytes() for path in folder_of(out).iterdir() if path.name != "run.json"}


def contents(out: Path) -> dict[Path, bytes]:
    """Every file below a folder, by its path."""
    return {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def fingerprint(path: Path) -> str:
    """Of a slide of the tiny models' scale."""
    with SlideReader(path, mpp=tiny.MPP) as reader:
        return reader.fingerprint
