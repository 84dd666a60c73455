"""Writes a kit: agree.csv, agree.md, agree.html where Jinja2 is installed, and agree.json last."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from her2edge.agree.html import page_html
from her2edge.agree.kit import CSV, FILES, HTML, JSON, MARKDOWN, Kit, kit_bytes
from her2edge.agree.markdown import page_markdown
from her2edge.agree.sections import kit_page
from her2edge.errors import Her2EdgeError, NotOursError, RuntimeUnavailable
from her2edge.files import ensure_folder, forget, look, write_bytes, write_error
from her2edge.tables import Cell, write_csv

COLUMNS = (
    "row", "slide", "patient", "site", "scanner", "score", "label", "counts", "answer", "labels", "agrees",
    "covered", "novelty", "reasons", "why", "results", "notice",
)  # fmt: skip


def check_free(out: Path, *, force: bool) -> None:
    """Raises NotOursError where the folder holds a kit, which may be signed, or anything else.

    force: a kit's own files may be there; they are replaced.
    """
    if look(out, "a folder for the kit, or nothing", NotOursError) != "folder":
        return
    there = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    kit = [name for name in there if name in FILES]
    if kit and not force:
        raise NotOursError(
            f"{out.name}: found a kit there ({', '.join(kit)}), which may be signed: choose another --out, "
            "or replace it with --force"
        )
    if len(there) > len(kit):
        other = next(name for name in there if name not in FILES)
        raise NotOursError(
            f"{out.name}: found {other} there, expected an empty folder or none: choose another --out"
        )


def write_kit(kit: Kit, out: Path) -> tuple[list[Path], RuntimeUnavailable | None]:
    """Write the files into the folder, which is there; and why there is no HTML page, where there is none.

    All are written before one takes the place of a former kit's; agree.json goes first and comes last, so
    that a folder that has one is whole. Raises OutputError; until all are
    written a former kit is as it was.
    """
    page = kit_page(kit)
    html, missing = None, None
    try:
        html = page_html(page)
    except RuntimeUnavailable as error:
        missing = error
    names = [CSV, MARKDOWN, *([] if html is None else [HTML]), JSON]
    with _aside(out) as aside:
        write_csv(aside / CSV, COLUMNS, _rows(kit), {"novelty": ".6f"})
        write_bytes(aside / MARKDOWN, page_markdown(page).encode())
        if html is not None:
            write_bytes(aside / HTML, html.encode())
        write_bytes(aside / JSON, kit_bytes(kit))
        forget(out, JSON, HTML)
        for name in names:
            (aside / name).replace(out / name)
    return [out / name for name in names], missing


@contextlib.contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """A folder in `out`, which is held, that goes at the end whatever happens."""
    aside = out / ".partial-kit"
    shutil.rmtree(aside, ignore_errors=True)  # of one that was killed
    ensure_folder(aside, inside=out)
    try:
        yield aside
    except OSError as error:
        if isinstance(error, Her2EdgeError):
            raise
        raise write_error(error)(
            f"{out.name}: writing failed ({error.strerror}); choose another --out, and run again"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _rows(kit: Kit) -> Iterator[tuple[Cell, ...]]:
    for one in kit.slides:
        named = one.named(kit.read_by.demo)
        yield (
            one.row, one.slide, one.patient, one.site, one.scanner, one.score, one.label, _word(one.counts),
            named.answer, "; ".join(named.labels) or None, _word(one.agrees), _word(one.covered), one.novelty,
            " ".join(one.reasons) or None, one.why, one.page, kit.notice,
        )  # fmt: skip


def _word(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()
