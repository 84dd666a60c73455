"""A file that is one process's alone while it has it open; a process that dies lets go of it.

flock (msvcrt.locking on Windows) on the file itself, and a look whether that file still has its name: where
it was removed meanwhile, a new one is made. So its holder may remove it, or give it its final name; the
package filelock does neither, and every verb that writes would depend on it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import stat
import sys
from pathlib import Path

from her2edge.errors import NotOursError, TakenError

_log = logging.getLogger("her2edge")
_without_locks: set[Path] = set()  # folders, the first of which was told

_ROUNDS = 100  # of two that remove each other's new files
_FAR = 0x7FFF_FFF0  # a byte that no content reaches: Windows' locks keep others from reading
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK, errno.EBADF)  # EBADF: NFS, of another user's file
_FLAGS = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_CREAT | os.O_EXCL
_CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def claim(path: Path, mode: int = 0o644, *, name: str = "", remove_links: bool = False) -> io.FileIO:
    """A new, empty file at `path`, this process's alone until it is closed; what a dead one left goes first.

    mode: its permissions, less the umask. name: what messages call it. remove_links: a link is removed, too.

    Raises TakenError where another has it; NotOursError for a link, another user's file, or no file; OSError
    where it cannot be created. A file object: one that is lost to an interrupt closes itself.
    """
    name = name or path.name
    for _ in range(_ROUNDS):
        try:
            file = io.FileIO(path, "x+", opener=lambda one, _: os.open(one, _FLAGS | _NEW, mode))
        except FileExistsError:
            _remove_left(path, name, remove_links)
            continue
        if _locked(file, path, name, new=True) and is_at(file, path):
            return file
        file.close()  # another took it for one that was left
    raise TakenError(_taken(name))


def unclaim(file: io.FileIO, path: Path) -> None:
    """Remove a claimed file, and let go of it; raises nothing."""
    with contextlib.suppress(OSError):
        if os.name == "nt":  # an open file has to stay
            file.close()
        if file.closed or is_at(file, path):
            path.unlink(missing_ok=True)
    file.close()


def is_at(file: io.FileIO, path: Path) -> bool:
    """Whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def is_link(look: os.stat_result) -> bool:
    """Whether it is a symbolic link, or a file of several names: what is written there may lead elsewhere."""
    return stat.S_ISLNK(look.st_mode) or (stat.S_ISREG(look.st_mode) and look.st_nlink > 1)


def _remove_left(path: Path, name: str, remove_links: bool) -> None:
    """Remove what a dead process left there."""
    try:
        look = path.lstat()
        if is_link(look):
            if not remove_links:
                raise NotOursError(
                    f"{path.name}: found a link, which could lead anywhere, expected a lock: remove it"
                )
            path.unlink()
            return
        if not stat.S_ISREG(look.st_mode):
            raise OSError(errno.EEXIST, f"found {path.name} to be a folder or device")
        file = _open_left(path)
    except FileNotFoundError:  # it is gone
        return
    except PermissionError as error:
        raise NotOursError(_others(path, name)) from error
    with file:
        if not _locked(file, path, name, new=False):
            raise TakenError(_taken(name))
        if sys.platform != "win32" and os.fstat(file.fileno()).st_uid != os.geteuid():
            raise NotOursError(_others(path, name))
        unclaim(file, path)


def _open_left(path: Path) -> io.FileIO:
    """To write to, which NFS wants for a lock, or to read where it is another user's."""
    try:
        return io.FileIO(path, "r+", opener=lambda one, _: os.open(one, _FLAGS | _CAREFULLY))
    except PermissionError:
        return io.FileIO(path, "r", opener=lambda one, flags: os.open(one, flags | _CAREFULLY))


def _locked(file: io.FileIO, path: Path, name: str, *, new: bool) -> bool:
    """Whether the file is ours alone from now on; new: we made it.

    Raises TakenError where the file system has no locks and another made it: he may be at work.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file.fileno(), _FAR, os.SEEK_SET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            os.lseek(file.fileno(), 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            if not new:
                raise TakenError(
                    f"{name}: found a lock, on a file system that cannot tell whether its holder lives: "
                    f"remove {path} if no her2edge is at work, or choose another place"
                ) from error
            _say_no_locks(path.parent)
            return True
        if error.errno in _HELD:
            return False
        raise
    return True


def _say_no_locks(folder: Path) -> None:
    """Once in a process: a run writes hundreds of files."""
    if not _without_locks:
        _log.warning(
            "%s: this file system has no locks: remove by hand what a killed command leaves",
            folder,
        )
    _without_locks.add(folder)


def _taken(name: str) -> str:
    return (
        f"{name}: found another her2edge at work there: wait until it ends, then run the same command again, "
        f"or choose another place"
    )


def _others(path: Path, name: str) -> str:
    return f"{name}: found {path.name} to be another user's: remove it, or choose another place"
