"""What is said where a verb needs an extra that is not installed."""

from __future__ import annotations

from her2edge.errors import RuntimeUnavailable


def missing_extra(extra: str, error: ImportError) -> RuntimeUnavailable:
    """The error that names the extra to install."""
    return RuntimeUnavailable(
        f"found no {error.name or error}, expected the extra `{extra}`: "
        f'install it with `pip install "her2edge[{extra}]"`'
    )
