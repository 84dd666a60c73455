"""A page as HTML, one file without a script or a request. Needs the extra `report` (Jinja2)."""

from __future__ import annotations

from her2edge.agree.blocks import Link, Page
from her2edge.extras import needs_extra

TEMPLATE = "agree.html.j2"


def page_html(page: Page) -> str:
    """The page; every text is escaped. Raises RuntimeUnavailable without the extra `report`."""
    with needs_extra("report"):
        from jinja2 import Environment, PackageLoader, StrictUndefined
    environment = Environment(
        loader=PackageLoader("her2edge.agree"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.tests["link"] = lambda cell: isinstance(cell, Link)
    return environment.get_template(TEMPLATE).render(page=page)
