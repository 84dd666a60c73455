"""Extension of griffe: what a docstring of ours says of arguments and fields becomes a list.

We write `name: what it is`, at the beginning of a line, the next lines of it indented. Markdown would make
one paragraph of them.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

FIELD = re.compile(r"(?P<names>[a-z_]\w*(?:, [a-z_]\w*)*): +(?P<text>\S.*)")


class Docstrings(griffe.Extension):
    """Rewrites each docstring, but those of modules, when its object was read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None and not obj.is_module:
            obj.docstring.value = with_lists(obj.docstring.value)


def with_lists(text: str) -> str:
    """The docstring with a list in place of each run of fields."""
    return "\n\n".join(_paragraph(part) for part in re.split(r"\n\s*\n", text))


def _paragraph(text: str) -> str:
    lines = text.splitlines()
    if not any(FIELD.fullmatch(line) for line in lines):
        return text
    out: list[str] = []
    inside = False
    for line in lines:
        field = FIELD.fullmatch(line)
        if field:
            if out and not inside:
                out.append("")
            names = ", ".join(f"`{name}`" for name in field["names"].split(", "))
            out.append(f"* {names}: {field['text']}")
        elif inside and line.startswith(" "):
            out.append(f"  {line.strip()}")
        else:
            if inside:
                out.append("")
            out.append(line)
        inside = field is not None or (inside and line.startswith(" "))
    return "\n".join(out)
