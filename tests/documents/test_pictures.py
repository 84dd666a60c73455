"""Pictures of the documents are those that their scripts draw from the code of today."""

from __future__ import annotations

import subprocess
import sys

from shared_data import ROOT

PICTURES = ROOT / "docs" / "pictures"


def test_the_picture_of_the_rooms_is_that_of_the_contracts() -> None:
    command = [sys.executable, str(PICTURES / "house.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `make docs`: {done.stderr}"


def test_each_picture_is_shown_on_a_page_and_drawn_by_a_script_that_is_there() -> None:
    pages = "".join(
        path.read_text(encoding="utf-8") for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    )
    scripts = "".join(path.read_text(encoding="utf-8") for path in PICTURES.glob("*.py"))
    scripts += "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    pictures = sorted(path.name for path in PICTURES.iterdir() if path.suffix in (".png", ".svg"))
    assert len(pictures) >= 9
    assert [name for name in pictures if f"pictures/{name}" not in pages] == []
    assert [name for name in pictures if name not in scripts] == []
