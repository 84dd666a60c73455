"""`kernel`: Numba's njit, GIL-free, with machine code cached in a private folder or not at all.

Numba's cache is pickle: whoever can write to it runs code here. So the folder must be the user's own, no
link, and closed to group and others; where it is not, kernels are compiled again in each process. Nothing is
looked at before the first call, and a read-only installation makes no difference.
"""

# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false
# (Numba states half of its types.)

from __future__ import annotations

import contextlib
import functools
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from her2edge.files import open_to_others
from her2edge.memory import told

with told("Numba"):  # 150 MiB of libraries, the most of what an import loads
    from numba import config, njit
    from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache, UserProvidedCacheLocator
    from numba.core.runtime.nrt import rtsys

_log = logging.getLogger("her2edge")


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Decorate a loop over arrays: no GIL, no exception for a division by zero; options as for njit."""
    if function is None:
        return functools.partial(kernel, **options)
    compiled = njit(nogil=True, error_model="numpy", **options)(function)
    if not config.DISABLE_JIT:
        compiled._cache = _PrivateCache(function)
    return compiled


@functools.cache
def cache_folder() -> Path | None:
    """The private cache folder, made if need be; None, with a line in the log, where it would not be private.

    NUMBA_CACHE_DIR moves it; else it is the user's cache folder of this system.
    """
    folder: Path | None = None
    try:
        folder = Path(
            config.CACHE_DIR or platformdirs.user_cache_path("her2edge", appauthor=False) / "kernels"
        ).absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        wrong = _why_not_private(folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        wrong = str(getattr(error, "strerror", None) or error)
    if wrong is None:
        return folder
    _log.warning(
        "kernels are compiled again in each process: found a cache folder where %s, expected one that only "
        "this user can write to: remove it, or set NUMBA_CACHE_DIR to another (%s)", wrong, folder,
    )  # fmt: skip
    return None


def _why_not_private(folder: Path) -> str | None:
    """What is wrong with the folder, with what lies in it or with the way to it; None where nothing is."""
    if folder.is_symlink():
        return "a symbolic link stands for it"
    if not os.access(folder, os.W_OK):
        return "nothing can be written"
    if os.name != "posix":  # a Windows user's cache folder is closed by its access list
        return None
    for inside in (folder, *folder.rglob("*")):
        try:
            status = inside.lstat()
        except FileNotFoundError:  # another process's half, which has its name now
            continue
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"another user owns or may write to {inside.name}"
    return open_to_others(folder)


class _PrivateCache(NullCache):
    """Numba's function cache, opened at the first call; does nothing where there is no private folder.

    Whatever goes wrong with the cache costs a compilation and a line in the log, never the call.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @functools.cached_property
    def _cache(self) -> FunctionCache | None:
        if cache_folder() is None:
            return None
        try:
            return _FolderCache(self._function)
        except Exception as error:  # noqa: BLE001 - code without a source file: a frozen program, a zip
            _log.warning("kernels cannot be cached here and are compiled again (%s)", error)
            return None

    def load_overload(self, signature: Any, context: Any) -> Any:
        if self._cache is None:
            return None
        try:
            return self._cache.load_overload(signature, context)
        except Exception as error:  # noqa: BLE001 - a torn pickle raises anything; compiling mends it
            _log.warning("a cached kernel cannot be read and is compiled again (%s)", error)
            with contextlib.suppress(OSError):
                self._cache.flush()  # a torn index would stop the save as well
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        if self._cache is None:
            return
        try:
            self._cache.save_overload(signature, data)
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("a compiled kernel cannot be saved for the next start (%s)", error)


class _Locator(UserProvidedCacheLocator):
    def __init__(self, function: Any, file: str) -> None:
        super().__init__(function, file)
        self._cache_path = str(cache_folder())

    @classmethod
    def from_function(cls, function: Any, file: str) -> _Locator:
        return cls(function, file)


class _FolderCacheImpl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 - as Numba has it


class _FolderCache(FunctionCache):
    """As Numba's, but machine code that is there does not wait for what only a compilation needs, and loads
    by itself: all that Numba knows of Python and NumPy (benchmarks/start.py)."""

    _impl_class = _FolderCacheImpl

    def load_overload(self, signature: Any, context: Any) -> Any:
        rtsys.initialize(context)  # the functions of Numba's own that machine code of arrays calls
        with self._guard_against_spurious_io_errors():
            return self._load_overload(signature, context)
