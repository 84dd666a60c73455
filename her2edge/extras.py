"""What is said where an optional dependency is not installed, and how loud those are that are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from importlib.util import find_spec

from her2edge.errors import RuntimeUnavailable


def missing_extra(extra: str, error: ImportError, instead: str = "") -> RuntimeUnavailable:
    """The error that names the extra to install; instead: what one can do without it."""
    return RuntimeUnavailable(
        f"found no {error.name or error}, expected the extra `{extra}`: "
        f'install it with `pip install "her2edge[{extra}]"`{instead and f", or {instead}"}'
    )


@contextlib.contextmanager
def needs_extra(extra: str, instead: str = "") -> Iterator[None]:
    """Imports inside it that fail are the extra's that is missing: RuntimeUnavailable says so."""
    try:
        yield
    except RuntimeUnavailable:
        raise
    except ImportError as error:
        raise missing_extra(extra, error, instead) from error


def quiet_tensorflow() -> None:
    """Let TensorFlow log its errors only; to be called before it is imported, the user's own level stays."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def require_modules(extra: str, *modules: str) -> None:
    """RuntimeUnavailable where a top-level module of an extra is not installed; imports none of them."""
    with needs_extra(extra):
        for name in modules:
            if find_spec(name) is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
