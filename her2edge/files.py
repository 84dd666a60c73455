"""Files that appear whole or not at all; files of the user's, read once into memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

import msgspec

from her2edge.claim import claim, unclaim
from her2edge.errors import Her2EdgeError, MissingInputError, OutputError, OutputWriteError
from her2edge.memory import told
from her2edge.text import first_line
from her2edge.wording import plain

T = TypeVar("T")
_MOST_LINKS = 40  # as Linux has it

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def open_input(path: Path, limit: int, expected: str, wrong: type[Her2EdgeError]) -> Iterator[BinaryIO]:
    """A file of the user's to read from, `limit` bytes at most; expected: what it should be, for the message.

    Raises MissingInputError where there is none; `wrong` for what is no file, too large or unreadable, also
    in the block.
    """
    try:
        kind = look(path, expected, wrong)
        if kind in ("folder", "other"):
            found = "folder" if kind == "folder" else "device or pipe"
            raise wrong(f"{path.name}: found a {found}, expected {expected}; name a file")
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > limit:
                raise wrong(f"{path.name}: found more than {limit >> 10} KiB, expected {expected}")
            yield file
    except (FileNotFoundError, NotADirectoryError) as error:
        if isinstance(error, Her2EdgeError):
            raise
        raise MissingInputError(
            f"{path.name}: found no such file, expected {expected}; check the path"
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, Her2EdgeError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise wrong(f"{path.name!r} cannot be read ({reason}), expected {expected}") from error


def read_input(path: Path, limit: int, expected: str, wrong: type[Her2EdgeError]) -> bytes:
    """All bytes of a file; arguments and errors as in `open_input`."""
    with open_input(path, limit, expected, wrong) as file:
        data = file.read(limit + 1)
        if len(data) > limit:  # it grew, or is a file that states no size
            raise wrong(f"{path.name}: found more than {limit >> 10} KiB, expected {expected}")
        return data


def look(path: Path, expected: str, wrong: type[Her2EdgeError]) -> Literal["file", "folder", "other"] | None:
    """What there is under a name of the user's, None where nothing is. Raises `wrong` where that cannot be
    asked: a name too long, a folder that is closed, a share that is gone.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise wrong(f"{path.name}: cannot be looked for ({reason}), expected {expected}") from error
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


@contextlib.contextmanager
def foreign(name: str, expected: str, wrong: type[Her2EdgeError]) -> Iterator[None]:
    """The one boundary around a parser of others': what it raises in the block is `wrong`, and says why.

    No list of exceptions: a parser raises what it likes of a damaged file. What is no fault of the file goes
    through: our own errors, and memory that is short.
    """
    try:
        with told(name):
            yield
    except (Her2EdgeError, MemoryError):
        raise
    except Exception as error:
        raise wrong(f"{name}: cannot be read ({first_line(error)}), expected {expected}") from error


def parse_json(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """JSON as a value of `kind`; raises ValueError for whatever is wrong with it, also nested too deep."""
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError as error:
        raise ValueError("found JSON nested too deep") from error
    except msgspec.ValidationError as error:
        raise ValueError(plain(error, bytes(data))) from error


def read_json(path: Path, kind: type[T], *, limit: int, expected: str, wrong: type[Her2EdgeError]) -> T:
    """A JSON file as a value of `kind`, a byte order mark or none; errors as in `open_input`."""
    data = read_input(path, limit, expected, wrong)
    with foreign(path.name, expected, wrong):
        return parse_json(data.removeprefix(b"\xef\xbb\xbf"), kind)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_to_others(path: Path) -> str | None:
    """What on the way to a file or folder, itself included, another user may change; None for nothing.

    POSIX only: a Windows user's folders are closed by their access lists. Each folder and link on the way
    must belong to root or to this user, and no folder may be written to by group or others, but where only
    owners may rename (the sticky bit of /tmp). Raises OSError where the way does not lead to anything.
    """
    if os.name != "posix":
        return None
    for place in _way(path):
        status = place.lstat()
        if status.st_uid not in (0, os.geteuid()):
            return f"another user owns {place}"
        shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if shared and not stat.S_ISLNK(status.st_mode) and not status.st_mode & stat.S_ISVTX:
            return f"another user may write to {place}"
    return None


def _way(path: Path) -> Iterator[Path]:
    """Each folder and link that is passed on the way to `path`, as the system walks it."""
    here, links = Path("/"), 0
    ahead = list(reversed(path.absolute().parts[1:]))
    yield here
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = here.parent  # no link is left in it
            continue
        place = here / name
        yield place
        if not place.is_symlink():
            here = place
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = place.readlink()
        if target.is_absolute():
            here = Path("/")
        ahead += [part for part in reversed(target.parts) if part != target.anchor]


def refuse_link(path: Path) -> None:
    """Raise OutputError where a link stands where results go: what is written there could go anywhere."""
    if os.path.islink(path):  # noqa: PTH114 - Path's raises for a name too long
        raise OutputError(
            f"{path.name}: found a link in place of the results, which could lead anywhere: remove it, or "
            "choose another --out"
        )


def ensure_folder(folder: Path, mode: int = 0o777, *, inside: Path | None = None) -> None:
    """Create the folder and its parents; mode: their permissions, less the umask. Raises OutputError.

    inside: an output folder above it, which may be a link of the user's; between the two none is followed.
    """
    if inside is not None:
        for name in (folder, *folder.parents)[: len(folder.relative_to(inside).parts)]:
            refuse_link(name)
    try:
        for place in (*reversed(folder.parents), folder):
            place.mkdir(mode, exist_ok=True)
    except OSError as error:
        if isinstance(error, FileExistsError | NotADirectoryError):
            check_folder(folder)  # says what is in its place
        raise write_error(error)(
            f"{folder.name or folder}: the output folder cannot be created ({error.strerror}); "
            "choose another --out"
        ) from error
    _check_writable(folder)


def check_folder(folder: Path) -> None:
    """Raise OutputError where `ensure_folder` would, as far as can be told without making anything.

    For whoever computes long before there is something to write.
    """
    places = (folder.absolute(), *folder.absolute().parents)
    there = next(place for place in places if _lexists(place, folder))
    if not os.path.isdir(there):  # noqa: PTH112 - Path's raises for a name too long
        raise OutputError(
            f"{folder.name or folder}: found {there.name}, which is no folder, in place of the output "
            f"folder; choose another --out"
        )
    _check_writable(there)


def check_file(path: Path) -> None:
    """Raise OutputError where a file of this name could not be written: like `check_folder`, beforehand.

    Its folder must be there. What has the name may be a file, which will be replaced; a link is refused.
    """
    folder = path.parent
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):  # noqa: PTH112 - Path's raises for a name too long
        raise OutputError(
            f"found no folder {folder} to write {path.name} into: create it or choose another --out"
        )
    if _lexists(path, path) and (os.path.islink(path) or not os.path.isfile(path)):  # noqa: PTH113, PTH114 - Path's raises for a name too long
        kind = "a link" if os.path.islink(path) else "a folder" if os.path.isdir(path) else "a device"  # noqa: PTH112, PTH114 - Path's raises for a name too long
        raise OutputError(f"{path.name}: found {kind}, expected a file or nothing: choose another --out")


def _lexists(place: Path, output: Path) -> bool:
    """Whether anything has this name; raises OutputError where that cannot be asked: a name too long."""
    try:
        place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise OutputError(
            f"{output.name or output}: cannot be created ({error.strerror}); choose another --out"
        ) from error
    return True


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"{folder.name or folder}: the output folder cannot be written to; choose another --out"
        )


def write_error(error: OSError) -> type[OutputError]:
    """What to raise where a file cannot be created: OutputWriteError for a full or broken disk."""
    return OutputWriteError if error.errno in (*_FULL, errno.EIO) else OutputError


def forget(folder: Path, *names: str) -> None:
    """Remove what a former run left under these names; raises OutputError where that cannot be."""
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{name}: the old one cannot be removed ({error.strerror}); choose another --out"
            ) from error


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path of the same suffix to write to; it takes its name when everything is on the disk.

    Raises TakenError where another process writes this file, OutputError where nothing can be created,
    OutputWriteError where writing fails; the file that was there before stays then, and nothing partial is
    left. For what opens files by name and locks them, as HDF5 does; `atomic` needs no lock beside its file.
    """
    temporary = _temporary(path)
    with _claimed(temporary.with_name(f"{temporary.name}.lock"), path), _our_errors(path):
        try:
            temporary.unlink(missing_ok=True)  # a link under that name would lead elsewhere
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextlib.contextmanager
def atomic(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """`whole`, as a binary file to write to; mode: its permissions from the first byte on, less the umask."""
    temporary = _temporary(path)
    with _claimed(temporary, path, mode) as claimed, _our_errors(path):
        with open(claimed.fileno(), "wb", closefd=False) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.name == "nt":  # an open file keeps its name
            claimed.close()
        temporary.replace(path)
        _sync_folder(path.parent)


def _temporary(path: Path) -> Path:
    return path.with_name(f".partial-{path.name}")


@contextlib.contextmanager
def _claimed(place: Path, path: Path, mode: int = 0o644) -> Iterator[io.FileIO]:
    """A file of this process's alone, on the way to `path`; removed where it has its name in the end."""
    try:
        claimed = claim(place, mode, name=path.name, remove_links=True)
    except OSError as error:
        if isinstance(error, Her2EdgeError):
            raise
        raise write_error(error)(
            f"{path.name}: cannot be created ({error.strerror}); choose another place"
        ) from error
    try:
        yield claimed
    finally:
        unclaim(claimed, place)


@contextlib.contextmanager
def _our_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, Her2EdgeError):
            raise
        advice = "free some space" if error.errno in _FULL else "check the disk"
        raise OutputWriteError(
            f"{path.name}: writing failed ({error.strerror or error}); {advice} or choose another place, and "
            "run again"
        ) from error


def write_bytes(path: Path, data: bytes) -> None:
    """`atomic` for bytes at hand."""
    with atomic(path) as file:
        file.write(data)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where the operating system can (Windows cannot)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_bytes(record: object, *, ordered: bool = False) -> bytes:
    """A record as JSON that people can read: two spaces a level, a line end last; ordered: keys sorted."""
    data = msgspec.json.encode(record, order="sorted" if ordered else None)
    return msgspec.json.format(data, indent=2) + b"\n"


def write_json(path: Path, record: object) -> None:
    """`json_bytes` into a file, whole or not at all. Raises OutputError."""
    write_bytes(path, json_bytes(record))
