"""Writes a kit: agree.csv, agree.md, agree.html where Jinja2 is installed, and agree.json last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from her2edge.agree.html import page_html
from her2edge.agree.kit import CSV, FILES, HTML, JSON, MARKDOWN, Kit, kit_bytes
from her2edge.agree.markdown import page_markdown
from her2edge.agree.sections import kit_page
from her2edge.errors import NotOursError, RuntimeUnavailable
from her2edge.files import forget, look, write_bytes
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

    Each is whole or as it was; agree.json goes first and comes last, so that a folder that has one is whole.
    Raises OutputError.
    """
    page = kit_page(kit)
    html, missing = None, None
    try:
        html = page_html(page)
    except RuntimeUnavailable as error:
        missing = error
    forget(out, *FILES)
    write_csv(out / CSV, COLUMNS, _rows(kit), {"novelty": ".6f"})
    write_bytes(out / MARKDOWN, page_markdown(page).encode())
    files = [out / CSV, out / MARKDOWN]
    if html is not None:
        write_bytes(out / HTML, html.encode())
        files.append(out / HTML)
    write_bytes(out / JSON, kit_bytes(kit))
    return [*files, out / JSON], missing


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
