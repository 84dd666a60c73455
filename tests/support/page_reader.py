"""A page as a browser would take it apart: tags, attributes, words; nothing of her2edge."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np

from her2edge.tile import Pixels

_VOID = {"meta", "img", "br", "link", "input", "hr"}


@dataclass(eq=False)
class Node:
    tag: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All words below it, each run of white space as one space."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> list[str]:
        return [one if isinstance(one, str) else one.text + " " for one in self.children]

    def all(self, tag: str, **wanted: str) -> list[Node]:
        """Every node below of this tag whose attributes are these; `kind` stands for class."""
        found: list[Node] = []
        for one in self.children:
            if isinstance(one, str):
                continue
            if tag in ("*", one.tag) and all(
                one.attributes.get("class" if name == "kind" else name) == value
                for name, value in wanted.items()
            ):
                found.append(one)
            found += one.all(tag, **wanted)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in _VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def read_page(path: Path) -> Node:
    """The page's tree; every tag must be closed."""
    reader = _Reader()
    reader.feed(path.read_text("utf-8"))
    reader.close()
    assert [node.tag for node in reader._open] == [""]
    return reader.root


def picture(uri: str) -> Pixels:
    """(h, w, 3) uint8 RGB of a data URI."""
    match = re.fullmatch(r"data:image/(?:jpeg|png);base64,(.*)", uri)
    assert match, uri[:60]
    data = np.frombuffer(base64.b64decode(match[1]), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def number(text: str) -> int:
    """`1,234` as a number."""
    return int(text.replace(",", ""))
