"""The pages of docs/ say what the code says: codes, columns, members, commands; and programs in them run."""

from __future__ import annotations

import ast
import csv
import dataclasses
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import tiny
from pyramids import write_pyramid
from shared_data import ROOT
from small_slide import draw_slide

import her2edge
from her2edge import cohort, errors
from her2edge.answer import ReasonCode, SlideAnswer
from her2edge.answer.reasons import NOT_ASSESSABLE
from her2edge.model.file import OPTIONAL, REQUIRED
from her2edge.model.records import GoldenOrigin
from her2edge.quality import Code
from her2edge.results.summary import Summary
from her2edge.results.table import columns
from her2edge.runtime.machine import architecture
from her2edge.slide import SLIDE_SUFFIXES, encode_png, read_image
from her2edge.stain import StainSource, StainStatus
from her2edge.tile import LABELS, Background, Outcome
from her2edge_cli import exits, memory, stopping
from her2edge_cli.main import cli
from her2edge_training import synthetic
from her2edge_training.cohort import tile_list

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
TROUBLE = DOCS / "how-to" / "troubleshooting.md"
HELD = "<!-- held by tests/documents/test_site_pages.py -->"
PACKAGES = ("her2edge", "cli/her2edge_cli", "quantize/her2edge_quantize", "training/her2edge_training")
MOST_WORDS = 500
NATIVE_ABORT = 134  # of the process, by the C library

Rows = list[list[str]]


def held_tables(page: Path) -> list[Rows]:
    """The cells of each table of a page that says a test holds it; code without its backticks."""
    tables = []
    for part in page.read_text(encoding="utf-8").split(HELD)[1:]:
        lines = part.lstrip("\n").split("\n\n")[0].splitlines()[2:]
        tables.append([[cell.strip() for cell in line.strip("|").split("|")] for line in lines])
    return tables


def words_of(rows: Rows, column: int = 0) -> list[str]:
    return [row[column].strip("`") for row in rows]


def test_exit_codes_are_all_explained_each_once() -> None:
    codes, _ = held_tables(TROUBLE)
    ours = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    ours |= {stopping.INTERRUPTED, stopping.TERMINATED, memory.TRY_AGAIN, NATIVE_ABORT}
    assert ours >= {0, 1, 2, 3, 65, 66, 73, 74, 75, 78, 130, 141, 143}
    assert [int(code) for code in words_of(codes)] == sorted(ours)


def test_each_error_has_the_exit_code_that_the_page_says() -> None:
    text = (REFERENCE / "exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)? *\| (\d+) \|$", text, re.MULTILINE)
    assert [name for name, _, _ in rows] == errors.__all__
    for name, builtin, code in rows:
        kind = getattr(errors, name)
        assert exits.exit_code(kind("x")) == int(code), name
        if builtin:
            assert issubclass(kind, getattr(importlib.import_module("builtins"), builtin)), name


@cache
def said() -> tuple[str, ...]:
    """Every text in the code; what an f-string puts in is `{}`."""
    nodes = (
        node
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
    return tuple(filter(None, map(_text, nodes)))


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "{}" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def test_messages_that_are_explained_are_messages_of_ours() -> None:
    _, messages = held_tables(TROUBLE)
    assert len(messages) >= 10
    for text in words_of(messages):
        assert any(text in one for one in said()), text


def test_columns_of_the_table_of_tiles_are_all_there_with_their_words() -> None:
    (rows,) = held_tables(REFERENCE / "tiles-csv.md")
    assert tuple(words_of(rows)) == columns(LABELS)
    meaning = {name: row[1] for name, row in zip(words_of(rows), rows, strict=True)}
    kinds: dict[str, type[StrEnum]] = {
        "outcome": Outcome, "background": Background, "stain_status": StainStatus,
        "stain_source": StainSource, "quality": Code,
    }  # fmt: skip
    for column, kind in kinds.items():
        words = list(dict.fromkeys(re.findall(r"`(\w+)`", meaning[column])))
        assert words == [one.value for one in kind], column


def test_the_formats_that_the_page_of_slides_names_are_those_that_are_read() -> None:
    row = next(
        one for one in (REFERENCE / "slides.md").read_text().splitlines() if one.startswith("| slides |")
    )
    assert set(re.findall(r"`(\.\w+)`", row)) == SLIDE_SUFFIXES


def test_reason_codes_are_all_there_in_their_order_and_say_what_they_do() -> None:
    (rows,) = held_tables(REFERENCE / "reason-codes.md")
    assert words_of(rows) == [code.value for code in ReasonCode]
    assert [row[0].strip("`") for row in rows if row[2] == "yes"] == list(NOT_ASSESSABLE)


def test_members_of_the_summary_are_all_there_in_their_order() -> None:
    summary, answer = held_tables(REFERENCE / "summary-json.md")
    assert tuple(words_of(summary)) == Summary.__struct_encode_fields__
    assert words_of(answer) == [field.name for field in dataclasses.fields(SlideAnswer)]


def test_columns_of_lists_are_all_there_and_which_are_needed() -> None:
    slides, tiles = held_tables(REFERENCE / "lists.md")
    assert tuple(words_of(slides)) == cohort.COLUMNS
    assert tuple(words_of(tiles)) == tile_list.COLUMNS
    for rows, needed in ((slides, ("slide",)), (tiles, tile_list.NEEDED)):
        assert tuple(row[0].strip("`") for row in rows if row[2] == "yes") == needed


def test_members_of_the_model_file_are_all_there() -> None:
    (rows,) = held_tables(REFERENCE / "model-file.md")
    assert tuple(words_of(rows)) == REQUIRED + OPTIONAL
    assert tuple(row[0].strip("`") for row in rows if row[2] == "yes") == REQUIRED


def test_every_room_has_its_page_of_the_python_interface() -> None:
    rooms = {path.stem for path in (REFERENCE / "python").glob("*.md")} - {"index"}
    assert rooms == set(her2edge._ROOMS)
    index = (REFERENCE / "python" / "index.md").read_text()
    for name in her2edge.__all__:
        assert re.search(rf"\b{name}\b", index), name


def test_a_page_that_only_the_site_can_show_says_so_and_links_to_the_programs_it_shows() -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md")}
    filled = {page: text for page, text in pages.items() if re.search(r"^(::: |--8<-- )", text, re.MULTILINE)}
    assert len(filled) == len(her2edge._ROOMS) + 3  # index, examples, the scanner's tutorial
    for page, text in filled.items():
        assert "`make docs-site`" in text, page.name
        for program in re.findall(r'^--8<-- "(.+)"$', text, re.MULTILINE):
            assert f"[`{program}`](../../{program})" in text, (page.name, program)


SHORT = [
    *sorted((DOCS / "how-to").glob("*.md")),
    *(
        DOCS / name
        for name in (
            "agree.md",
            "cohort.md",
            "dicom.md",
            "qupath.md",
            "report.md",
            "student.md",
            "deploy/README.md",
        )
    ),
]


@pytest.mark.parametrize("page", SHORT, ids=lambda page: page.name)
def test_a_how_to_page_has_five_hundred_words_at_most(page: Path) -> None:
    words = [word for word in page.read_text(encoding="utf-8").split() if re.search(r"\w", word)]
    assert len(words) <= MOST_WORDS


README = ROOT / "README.md"
READ_IN_THREE_MINUTES = 600


def test_the_readme_is_short_and_leads_to_pages_and_pictures_that_are_there() -> None:
    text = README.read_text(encoding="utf-8")
    assert len([word for word in text.split() if re.search(r"\w", word)]) <= READ_IN_THREE_MINUTES
    assert "Not for diagnosis" in text
    targets = [*re.findall(r"\]\(([^)#]+)", text), *re.findall(r'src="([^"]+)"', text)]
    assert len([name for name in targets if name.endswith(".png")]) == 2
    assert [name for name in targets if not (ROOT / name).is_file()] == []


def test_the_output_of_the_demo_is_the_same_in_readme_and_tutorial() -> None:
    """The tutorial's is held to the command by the test of its steps."""
    blocks = re.findall(r"^    Made a synthetic slide.*\n(?:    .*\n)+", README.read_text(), re.MULTILINE)
    lines = [line for line in blocks[0].splitlines() if line.strip() != "..."]
    assert len(lines) >= 9
    tutorial = (DOCS / "tutorials" / "first-slide.md").read_text(encoding="utf-8")
    assert "\n".join(lines) in tutorial


def test_every_extra_is_in_the_table_of_extras() -> None:
    (rows,) = held_tables(DOCS / "how-to" / "install.md")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(words_of(rows)) == set(project["optional-dependencies"])


def _commands(text: str) -> Iterable[tuple[str, list[str]]]:
    """(verb, options) of each line of code that calls her2edge."""
    for line in re.findall(r"^ {4,}(?:\S*/)?her2edge (.*(?:\\\n.*)*)$", text, re.MULTILINE):
        words = re.sub(r"#.*", "", line).replace("\\\n", " ").split()
        if words and not words[0].startswith(("-", "...")):
            yield words[0], [word for word in words[1:] if word.startswith("--")]


PAGES = [*sorted(DOCS.rglob("*.md")), README, ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_in_documents_are_verbs_and_options_that_exist(page: Path) -> None:
    for verb, options in _commands(page.read_text(encoding="utf-8")):
        assert verb in cli.commands, verb
        parameters = [one for one in cli.commands[verb].params if isinstance(one, click.Option)]
        known = {word for one in parameters for word in (*one.opts, *one.secondary_opts)}
        assert set(options) <= known, (verb, options)


def test_the_programs_of_the_page_on_embedding_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first as it stands; the others on a small model and slide, with names of the reader's."""
    page = (DOCS / "how-to" / "embed.md").read_text(encoding="utf-8")
    first, *programs = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("her2edge-demo").mkdir()
    drawn = synthetic.make_demo_slide("3+", 5)  # of `her2edge demo`
    Path("her2edge-demo/synthetic-3p-5.png").write_bytes(encode_png(drawn.pixels))
    names: dict[str, Any] = {}
    exec(first, names)  # noqa: S102 - our own page
    assert names["result"].outcome == Outcome.CLASSIFIED
    model = her2edge.Model.load(tiny.INT8)
    write_pyramid(Path("case.svs"), read_image(draw_slide(Path("slide.png"), 10, 8)), mpp=tiny.MPP)
    (tile,) = tiny.tissue(1)
    results: list[her2edge.TileResult] = []
    scanner = [(tile.pixels, tiny.SIZE * float(number), 0.0) for number in range(3)]
    names |= {"scanner": scanner, "show": results.append}
    names |= {"model": model, "classifier": her2edge.TileClassifier(model)}
    for program in programs:
        exec(program, names)  # noqa: S102 - our own page
    assert len(results) == 3
    assert "submitted=3" in capsys.readouterr().out


@pytest.mark.slow
def test_the_programs_of_the_scanner_tutorial_run_one_after_the_other(tmp_path: Path) -> None:
    """On the demo's slide, as the page says; the last is examples/scanner_push.py, which has its own test."""
    page = (DOCS / "tutorials" / "first-scanner-program.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(programs) == 3
    assert '--8<-- "examples/scanner_push.py"' in page
    run(tmp_path, "-m", "her2edge_cli", "demo")
    cut, pushed, burst = (run(tmp_path, "-c", program) for program in programs)
    tiles = int(cut.split()[0])
    assert len(pushed.splitlines()) == tiles + 1
    assert f"submitted={tiles}" in pushed
    assert " classified " in pushed
    assert "200 submitted" in burst
    assert int(burst.split()[2]) > 0


@pytest.mark.slow
def test_the_steps_of_the_first_slide_make_the_files_that_it_names(tmp_path: Path) -> None:
    page = (DOCS / "tutorials" / "first-slide.md").read_text(encoding="utf-8")
    steps = re.findall(r"^    \.venv/bin/her2edge (.*)$", page, re.MULTILINE)
    assert [step.split()[0] for step in steps] == ["doctor", "demo", "report"]
    printed = [run(tmp_path, "-m", "her2edge_cli", *step.split()) for step in steps]
    assert "healthy" in printed[0].splitlines()[-1]
    lines = printed[1].splitlines()
    origin = her2edge.Model.demo().manifest.golden_origin
    same = isinstance(origin, GoldenOrigin) and architecture() == origin.architecture
    assert "".join(f"    {line}\n" for line in (lines if same else lines[:2])) in page
    (folder,) = (path for path in (tmp_path / "her2edge-demo").iterdir() if path.is_dir())
    names = {path.name for path in folder.iterdir()}
    assert {"heatmap.png", "tiles.csv", "tiles.geojson", "report.html"} <= names
    with (folder / "tiles.csv").open(encoding="utf-8", newline="") as file:
        words = {word for row in csv.DictReader(file) for word in row["quality"].split()}
    assert {"blurred", "pen"} <= words


def run(folder: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
