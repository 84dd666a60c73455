"""What is said where an optional dependency is not installed, and how loud those are that are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from importlib.util import find_spec

from her2edge.errors import RuntimeUnavailable
from her2edge.memory import told


def missing_extra(extra: str, error: ImportError | OSError, instead: str = "") -> RuntimeUnavailable:
    """The error that names the extra to install; instead: what one can do without it."""
    name = getattr(error, "name", None) or error
    return _missing(f"{name}, expected the extra `{extra}`", f'"her2edge[{extra}]"', instead)


def missing_package(package: str, requirements: str, instead: str = "") -> RuntimeUnavailable:
    """The error that names a package that is in no extra; requirements: what follows `pip install`."""
    return _missing(f"{package}, expected it to be installed", requirements, instead)


def _missing(what: str, requirements: str, instead: str) -> RuntimeUnavailable:
    otherwise = instead and f", or {instead}"
    return RuntimeUnavailable(f"found no {what}: install it with `pip install {requirements}`{otherwise}")


@contextlib.contextmanager
def needs_extra(extra: str, instead: str = "") -> Iterator[None]:
    """Imports inside it that fail mean that the extra is missing: RuntimeUnavailable says so. Where memory is
    short, it is that: MemoryError."""
    try:
        with told(f"the extra `{extra}`"):
            yield
    except RuntimeUnavailable:
        raise
    except (ImportError, OSError) as error:
        raise missing_extra(extra, error, instead) from error


def quiet_tensorflow() -> None:
    """Let TensorFlow log only what ends it; called before its import. A level that the user set stays."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def require_modules(extra: str, *modules: str) -> None:
    """RuntimeUnavailable where a top-level module of an extra is not installed; imports none of them."""
    with needs_extra(extra):
        for name in modules:
            if find_spec(name) is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
