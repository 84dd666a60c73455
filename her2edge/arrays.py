"""Arrays from .npz and .npy files that may come from elsewhere: nothing is unpacked that was not measured.

Read is what NumPy writes: members stored or deflated, plain numbers, a header of fixed form. What an array
takes in memory is known from its header and held against the limit before any of it is read, so a small file
cannot unpack to a large one. No pickle, no expression is evaluated, and no parser's own error gets out.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import Her2EdgeError
from her2edge.files import foreign, open_input

_EXPECTED = "arrays as NumPy writes them"
_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{'descr': '(?P<kind>[<>|][biuf][1248])', 'fortran_order': (?P<turned>True|False), "
    rb"'shape': \((?P<shape>(?:\d{1,15}, ?)*(?:\d{1,15})?)\), ?\} *\n"
)
_MOST_MEMBERS = 10_000
_CENTRAL = b"PK\x01\x02"  # leads each member's entry in a ZIP's list
_LARGEST_HEADER = 4096  # bytes; NumPy's have 118
_PIECE = 1 << 20


def read_arrays(
    source: Path | bytes,
    names: Collection[str] | None = None,
    *,
    name: str,
    limit: int,
    wrong: type[Her2EdgeError],
) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz, writable, of any kind of number that the file states: check dtype and shape.

    source: the file, or its bytes.
    names: the arrays to read, each of which must be there; others are not looked at. None: all of them.
    name: what messages call it, head.npz say.
    limit: bytes that the arrays, and the packed file, may take each.

    Raises `wrong` for whatever is the matter with it, MissingInputError where there is no such file.
    """
    with _opened(source, name, limit, wrong) as file, foreign(name, _EXPECTED, wrong):
        _check_count(file)
        with zipfile.ZipFile(file) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if len(members) != len(archive.infolist()):
                raise ValueError("found a name twice in it")
            wanted = [member.removesuffix(".npy") for member in members] if names is None else list(names)
            arrays: dict[str, NDArray[Any]] = {}
            for one in wanted:
                if f"{one}.npy" not in members:
                    raise ValueError(f"found no array {one!r} in it")
                room = limit - sum(array.nbytes for array in arrays.values())
                arrays[one] = _member(archive, members[f"{one}.npy"], room)
            return arrays


def read_array(source: Path | bytes, *, name: str, limit: int, wrong: type[Her2EdgeError]) -> NDArray[Any]:
    """The array of an .npy; arguments and errors as in `read_arrays`."""
    with _opened(source, name, limit + _LARGEST_HEADER, wrong) as file, foreign(name, _EXPECTED, wrong):
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        return _array(file, size, limit)


@contextmanager
def _opened(source: Path | bytes, name: str, limit: int, wrong: type[Her2EdgeError]) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes):
        if len(source) > limit:
            raise wrong(f"{name}: found more than {limit >> 10} KiB, expected {_EXPECTED}")
        yield io.BytesIO(source)
    else:
        with open_input(source, limit, _EXPECTED, wrong) as file:
            yield file


def _check_count(file: IO[bytes]) -> None:
    """Refuse an archive whose list of members alone would fill the memory."""
    count, before = 0, b""
    file.seek(0)
    while piece := file.read(_PIECE):
        joined = before + piece
        count += joined.count(_CENTRAL)
        before = joined[1 - len(_CENTRAL) :]
    if count > _MOST_MEMBERS:
        raise ValueError(f"found more than {_MOST_MEMBERS} arrays in it")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, room: int) -> NDArray[Any]:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise ValueError(f"found {info.filename} packed in a way that NumPy does not use")
    with archive.open(info) as file:
        return _array(file, info.file_size, room)


def _array(file: IO[bytes], size: int, room: int) -> NDArray[Any]:
    """The array of a stream of `size` bytes, header and all."""
    start = file.read(8)
    if start[:6] != _MAGIC or start[6:] not in (b"\1\0", b"\2\0"):
        raise ValueError("found something that is not a NumPy array")
    wide = 2 * start[6]
    length = int.from_bytes(file.read(wide), "little")
    header = _HEADER.fullmatch(file.read(min(length, _LARGEST_HEADER)))
    if header is None:
        raise ValueError("found an array of another form, expected plain numbers with NumPy's header")
    kind = np.dtype(header["kind"].decode())
    shape = tuple(int(part) for part in header["shape"].split(b",") if part.strip())
    needed = math.prod(shape) * kind.itemsize
    if needed > room:
        raise ValueError(f"found an array of {needed} bytes, expected {room} at most")
    if size != 8 + wide + length + needed:
        raise ValueError(f"found {size} bytes for an array {shape} of {kind}")
    flat = np.frombuffer(_exactly(file, needed), kind) if needed else np.zeros(0, kind)
    return flat.reshape(shape[::-1]).T if header["turned"] == b"True" else flat.reshape(shape)


def _exactly(file: IO[bytes], size: int) -> bytearray:
    """So many bytes, read in pieces: a torn file takes no more memory than it has bytes."""
    data = bytearray()
    while len(data) < size:
        piece = file.read(min(_PIECE, size - len(data)))
        if not piece:
            raise ValueError("found an array that is cut off")
        data += piece
    if file.read(1):  # at its end a ZIP member is held against its checksum
        raise ValueError("found more bytes than the array has")
    return data
