"""Hook of mkdocs: pages that lie beside docs/, and links to files that are no page.

A few documents of the repository lie where a reader of the source looks for them. They become pages too,
with the pictures that they show. A link to another file outside of docs/ becomes plain text, since the site
has no such file; a link to a file that is not there is a warning, which ends a strict build.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "index.md",
    "quantize/README.md": "project/quantize.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changes.md",
    "examples": "how-to/examples.md",
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
CODE = re.compile(r"^(```.*?^```|(?:(?: {4}|\t)[^\n]*\n?)+)", re.MULTILINE | re.DOTALL)
_log = logging.getLogger("mkdocs.hooks.links")


def on_files(files: Files, config: Any) -> Files:
    """Add the documents that lie outside of docs/, and their pictures."""
    for source, uri in PAGES.items():
        if files.get_file_from_path(uri) is not None:
            continue
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / source)))
        for picture, _, target, _ in LINK.findall((ROOT / source).read_text(encoding="utf-8")):
            place = (ROOT / source).parent / target
            if picture and place.is_file():
                files.append(File.generated(config, f"project/{target}", abs_src_path=str(place)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The page with links that the site can follow; code stays as it is."""
    source = Path(page.file.abs_src_path)
    parts = CODE.split(markdown)
    return "".join(
        part if CODE.match(part) else LINK.sub(lambda link: _link(link, source, page.file.src_uri), part)
        for part in parts
    )


def _link(link: re.Match[str], source: Path, uri: str) -> str:
    """One link, as it stands on the page `uri`, which was read from the file `source`."""
    picture, text, target, anchor = link.groups()
    if re.match(r"[a-z]+:", target):
        return link[0]
    place = Path(os.path.normpath(source.parent / target))
    if place.relative_to(ROOT).as_posix().removeprefix("docs/") in PAGES.values():
        return link[0]
    if not place.exists():
        _log.warning("%s: found a link to %s, which is not there", uri, target)
        return link[0]
    name = place.relative_to(ROOT).as_posix()
    if name == "README.md":
        to, anchor = PAGES[name], ""  # the front page has parts of its own
    elif name in PAGES:
        to = PAGES[name]
    elif picture and uri.startswith("project/"):
        return link[0]  # it was added beside the page
    elif name.startswith("docs/"):
        to = name.removeprefix("docs/")
    else:
        return text
    here = os.path.relpath(to, Path(uri).parent).replace(os.sep, "/")
    return f"{picture}[{text}]({here}{anchor or ''})"
