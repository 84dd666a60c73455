"""`make docs-site`: the site is built strictly and without a network, and no page asks one for anything."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest
from shared_data import ROOT

import her2edge

needs_mkdocs = pytest.mark.skipif(
    not all(map(find_spec, ("mkdocs", "material", "mkdocstrings_handlers"))), reason="needs the extra `docs`"
)
LOADING = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """mkdocs without a network, where the system lets us take it away."""
    prefix = ["unshare", "--map-root-user", "--net"]
    alone = shutil.which("unshare") and subprocess.run([*prefix, "true"], check=False).returncode == 0
    command = [*(prefix if alone else []), sys.executable, "-m", "mkdocs", "build", "--strict"]
    command += ["--config-file", str(config), "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=config.parent, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", out)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return out


class Page(HTMLParser):
    """What a page loads by itself, where it leads to, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.leads.append(values["href"])
        loaded = values.get(LOADING.get(tag, ""), "")
        if loaded and values.get("rel") not in ("next", "prev", "canonical"):
            self.loads.append(loaded)


@pytest.mark.slow
@needs_mkdocs
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 50
    for path in pages:
        for target in Page(path).loads:
            assert not re.match(r"[a-z]+:|//", target), (path.name, target)
            if path.name != "404.html":  # served from any folder, it counts from the root
                assert (path.parent / unquote(target.split("?")[0].split("#")[0])).exists(), (path, target)
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


@pytest.mark.slow
@needs_mkdocs
def test_no_link_of_a_page_is_dead(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    for path, page in pages.items():
        for target in page.leads:
            if re.match(r"[a-z]+:", target) or target in ("", "."):
                continue
            name, _, anchor = unquote(target).partition("#")
            place = (path.parent / name).resolve() if name else path
            assert place.exists(), (path.name, target)
            if anchor and place in pages:
                assert anchor in pages[place].anchors, (path.name, target)


@pytest.mark.slow
@needs_mkdocs
def test_arguments_of_docstrings_are_lists_and_every_public_class_and_function_is_on_its_page(
    site: Path,
) -> None:
    text = (site / "reference" / "python" / "feed.html").read_text(encoding="utf-8")
    assert re.search(r"<li>\s*(<p>)?<code>capacity</code>: tiles that may wait for the network", text)
    for room in her2edge._ROOMS:
        anchors = Page(site / "reference" / "python" / f"{room}.html").anchors
        for name in getattr(her2edge, room).__all__:
            value = getattr(getattr(her2edge, room), name)
            ours = (f"her2edge.{room}.{name}", f"her2edge.{room}.{name}.{name}")  # in a module of its name
            named = inspect.isclass(value) or inspect.isfunction(value)
            assert not named or anchors & set(ours), (room, name)


@pytest.mark.slow
@needs_mkdocs
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gone](gone.md)", "gone.md"),
        ("[gone](answer.md#no-such-heading)", "no-such-heading"),
        ("[gone](../no/such/file.py)", "no/such/file.py"),
        ("::: her2edge.NoSuchName", "NoSuchName"),
    ],
)
def test_a_dead_link_ends_the_build(tmp_path: Path, text: str, said: str) -> None:
    """On a copy of what it is made from, with one page more."""
    for name in ("docs", "her2edge", "examples", "quantize", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "data"))
    for path in (*ROOT.glob("*.md"), ROOT / "mkdocs.yml"):
        shutil.copy(path, tmp_path)
    page = tmp_path / "docs" / "releasing.md"
    page.write_text(f"{page.read_text()}\n\n{text}\n")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert said in done.stderr


def docstrings() -> ModuleType:
    """docs/site/docstrings.py, which is no part of a package."""
    pytest.importorskip("griffe", reason="needs the extra `docs`")
    spec = importlib.util.spec_from_file_location("docstrings", ROOT / "docs" / "site" / "docstrings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fields_of_a_docstring_become_a_list_and_nothing_else_does() -> None:
    text = (
        "Head: of it.\n\nx, y:   corner,\n        floats.\nspan: wide.\nNot a field.\n\n"
        "    code: block\n\nEnd."
    )
    wanted = (
        "Head: of it.\n\n* `x`, `y`: corner,\n  floats.\n* `span`: wide.\n\nNot a field.\n\n"
        "    code: block\n\nEnd."
    )
    assert docstrings().with_lists(text) == wanted
