"""Templates of this room as HTML, by jinja2: text is always escaped, a name that is missing is an error."""

from __future__ import annotations

from importlib import resources
from typing import Any

from her2edge.extras import needs_extra

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render(template: str, **values: Any) -> bytes:
    """A template of `templates/` as UTF-8. Raises RuntimeUnavailable where jinja2 is not installed."""
    with needs_extra("report"):
        from jinja2 import DictLoader, Environment, StrictUndefined
    folder = resources.files("her2edge.report").joinpath("templates")
    texts = {
        one.name: one.read_text("utf-8") for one in folder.iterdir() if one.name.endswith((".html", ".css"))
    }
    environment = Environment(
        loader=DictLoader(texts),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(policy=POLICY, **values)
    return page.encode("utf-8", "replace")  # a name on disk may hold bytes that are no text
