"""A share is written in one form wherever people read it: `82 %`, by `her2edge.text.percent`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from shared_data import ROOT

from her2edge.text import percent

PACKAGES = ("her2edge", "cli", "quantize", "training", "benchmarks", "examples")
DOCUMENTS = (
    *("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "quantize/README.md", "benchmarks/README.md"),
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))),
)


def test_a_share_has_a_space_and_the_decimals_asked_for() -> None:
    assert percent(0.824) == "82 %"
    assert percent(0.895, 1) == "89.5 %"
    assert percent(0.005, None) == "0.5 %"
    assert percent(1.0, None) == "100 %"


def test_no_other_code_puts_a_percent_sign_behind_a_number() -> None:
    sources = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    assert len(sources) > 200
    assert [place for path in sources if path.name != "text.py" for place in _others(path)] == []


def _others(path: Path) -> list[str]:
    places = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, after in zip(node.values, [*node.values[1:], None], strict=True):
            spec = ast.unparse(value.format_spec) if getattr(value, "format_spec", None) else ""
            behind = after.value if isinstance(after, ast.Constant) else ""
            number = isinstance(value, ast.FormattedValue)
            if number and (spec.rstrip("'\"").endswith("%") or re.match(r" ?%(\W|$)", str(behind))):
                places.append(f"{path.name}:{node.lineno}")
    return places


def test_documents_have_the_space_too() -> None:
    for name in DOCUMENTS:
        text = re.sub(r"`[^`]*`|\([^)]*\)", "", (ROOT / name).read_text())
        assert re.findall(r"\d%", text) == [], name
