"""The page in a real browser: it renders, asks nobody, prints; and its text can be read."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import made_results
import pictures
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from small_slide import draw_slide

from her2edge import Model
from her2edge.report import write_report
from her2edge.report.inks import ink_on, luminance

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
STYLE = resources.files("her2edge.report").joinpath("templates/style.css").read_text("utf-8")


def browse(folder: Path, page: Path, *more: str) -> None:
    command = [str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder / 'profile'}", "--disable-background-networking", "--no-first-run"]
    subprocess.run([*command, *more, page.as_uri()], check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    slide = draw_slide(folder / "slide.png", 8, 6)
    results = made_results.write(folder / "out", made_results.mixed(8, 6), 8, 6, slide=slide)
    return write_report(results, slide=slide, model=Model.load(tiny.INT8)).path


@needs_browser
def test_it_renders_and_asks_for_nothing_but_itself(page, tmp_path):
    shot, log = tmp_path / "shot.png", tmp_path / "net.json"
    browse(tmp_path, page, f"--screenshot={shot}", "--window-size=1200,3000", f"--log-net-log={log}")
    pixels = pictures.read(shot)
    assert pixels.shape[:2] == (3000, 1200)
    assert len({tuple(one) for one in pixels[::7, ::7].reshape(-1, 3)}) > 1000, "it is not blank"
    assert tuple(pixels[10, 1000]) == (0x7A, 0x10, 0x10), "the band"
    assert not asked(log)


@needs_browser
def test_what_a_page_asks_for_would_be_seen(tmp_path):
    url = "http://127.0.0.1:9/x.png"
    assert url in asked_by(tmp_path, f'<img src="{url}">')


def asked_by(folder: Path, text: str) -> set[str]:
    """What the browser asks for where a page holds this text."""
    page, log = folder / "other.html", folder / "other.json"
    page.write_text(text)
    browse(folder, page, f"--screenshot={folder / 'other.png'}", f"--log-net-log={log}")
    return asked(log)


def asked(log: Path) -> set[str]:
    """Addresses in a log of the browser's network that are on no disk, but for those of its own maker."""
    found = set(re.findall(r'"url": ?"([a-z]+:[^"]+)"', log.read_text(errors="replace")))
    own = re.compile(r"(file|data|chrome):|https?://[\w.-]+\.(google|googleapis|gvt1|gstatic)\.com/")
    return {one for one in found if not own.match(one)}


@needs_browser
def test_it_prints_to_pages_of_a4(page, tmp_path):
    pdf = tmp_path / "page.pdf"
    browse(tmp_path, page, "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    data = pdf.read_bytes()
    assert data.startswith(b"%PDF-")
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", data)
    assert 1 <= len(boxes) <= 4, "A4 is no small screen: what stands side by side there took 7 pages"
    assert {(round(float(w)), round(float(h))) for w, h in boxes} <= {(595, 842), (596, 842)}


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, of two `#rgb` or `#rrggbb`."""
    lights = []
    for text in (one, other):
        digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_every_text_can_be_read_on_every_ground_it_may_stand_on():
    colours = dict(re.findall(r"--(\w+): (#\w+);", STYLE))
    grounds = [colours["paper"], colours["warn"], "#fdeceb", "#f6f0df", "#eee"]
    for text in ("ink", "soft", "edge"):
        for ground in grounds:
            assert contrast(colours[text], ground) >= 4.5, (text, ground)
    links = re.search(r"^a \{ color: (#\w+);", STYLE, re.M)
    assert links
    assert all(contrast(links[1], ground) >= 4.5 for ground in grounds)
    assert contrast("#fff", colours["band"]) >= 4.5
    assert contrast("#fff", "#7a1010") >= 4.5
    used = set(re.findall(r"(?<![-\w])color: (#\w+|var\(--\w+\))", STYLE))
    assert used <= {"#fff", links[1], "var(--ink)", "var(--soft)", "var(--edge)"}, "no other ink is used"


@given(st.tuples(*3 * [st.integers(0, 255)]))
def test_the_ink_on_a_class_can_be_read_whatever_its_colour(colour):
    ground = "#{:02x}{:02x}{:02x}".format(*colour)
    assert contrast(ink_on(colour), ground) >= 4.5
    assert 0 <= luminance(colour) <= 1
