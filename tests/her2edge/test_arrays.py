"""Arrays of others: what NumPy wrote is read as NumPy reads it, anything else is one typed error."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from her2edge.arrays import read_array, read_arrays
from her2edge.errors import MissingInputError, ModelError

LIMIT = 1 << 20
KINDS = st.sampled_from(["u1", "i1", "<u2", ">i4", "<i8", "<f2", "<f4", ">f8", "?"]).map(np.dtype)
ARRAYS = KINDS.flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive(data: bytes, compression: int = zipfile.ZIP_STORED, name: str = "a.npy") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        zipped.writestr(name, data)
    return file.getvalue()


def header(text: bytes, version: bytes = b"\1\0") -> bytes:
    size = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text


def form(kind: str = "<f4", shape: str = "(2,)") -> bytes:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()


def read(data: bytes | Path, names: tuple[str, ...] | None = ("a",), limit: int = LIMIT) -> dict[str, Any]:
    return read_arrays(data, names, name="head.npz", limit=limit, wrong=ModelError)


@given(st.dictionaries(st.sampled_from("abcd"), ARRAYS, max_size=3), st.booleans(), st.booleans())
def test_what_numpy_wrote_is_read_as_numpy_reads_it(
    arrays: dict[str, Any], compressed: bool, turned: bool
) -> None:
    arrays = {name: np.asfortranarray(array) if turned else array for name, array in arrays.items()}
    data = npz(compressed, **arrays)
    found = read(data, None)
    with np.load(io.BytesIO(data), allow_pickle=False) as expected:
        assert list(found) == expected.files
        for name, array in found.items():
            np.testing.assert_array_equal(array, expected[name], strict=True)
            assert array.flags.writeable
    for array in arrays.values():
        one = read_array(npy(array), name="a.npy", limit=LIMIT, wrong=ModelError)
        np.testing.assert_array_equal(one, array, strict=True)


HOSTILE = {
    "no archive": b"PK no",
    "nothing": b"",
    "a compression nobody knows": archive(npy([1.0])).replace(b"\x14\0\0\0\0\0", b"\x14\0\0\0\x63\0"),
    "bzip2, whose unpacking has no bound": archive(npy([1.0]), zipfile.ZIP_BZIP2),
    "lzma": archive(npy([1.0]), zipfile.ZIP_LZMA),
    "another name": npz(b=[1.0]),
    "no array": archive(b"text"),
    "half an array": archive(npy(np.zeros(100))[:-1]),
    "an array and more": archive(npy(np.zeros(100)) + b"\0"),
    "only the header's beginning": archive(b"\x93NUMPY\1\0"),
    "a header of 4 GB": archive(b"\x93NUMPY\2\0\xff\xff\xff\xff{}"),
    "open brackets": archive(header(b"{'descr': '<f4', 'shape': " + b"(" * 3000 + b"\n")),
    "open brackets of version 2": archive(header(b"[" * 4000, b"\2\0")),
    "an expression": archive(header(form(shape="(10**9,)"))),
    "objects": archive(header(form("|O")) + b"\x80\x04K\x01."),
    "a record": archive(npy(np.zeros(2, [("x", "f4")]))),
    "text": archive(npy(["text"])),
    "time": archive(npy(np.zeros(2, "M8[s]"))),
    "a kind that is none": archive(header(form("<f1")) + bytes(2)),
    "too many dimensions": archive(header(form(shape=f"({'1, ' * 200})")) + bytes(4)),
    "nothing, by a size beyond all memory": archive(header(form(shape="(0, 999999999999999, 99999999)"))),
    "a million gigabytes": archive(header(form(shape="(999999999999999,)"))),
    "a name of no UTF-8": archive(npy([1.0]), name="a\u00fc.npy").replace("\u00fc".encode(), b"\xff\xff"),
    "a list beyond the file": npz(a=[1.0])[:-6] + struct.pack("<I", 2**31 - 1) + b"\0\0",
    "a damaged checksum": npz(a=np.zeros(9)).replace(bytes(72), bytes(71) + b"\1"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_anything_else_is_one_typed_error_that_names_the_file(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"head\.npz"):
        read(data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("a.npy", npy([1.0]))
        zipped.writestr("a.npy", npy([2.0]))
    with pytest.raises(ModelError, match="twice"):
        read(file.getvalue())


def test_the_limit_is_of_all_arrays_together_and_of_those_asked_for() -> None:
    data = npz(True, a=np.zeros(100, np.uint8), b=np.zeros(100, np.uint8), c=np.zeros(10**6, np.uint8))
    assert set(read(data, ("a", "b"), limit=len(data))) == {"a", "b"}
    small = npz(True, a=np.zeros(2000, np.uint8), b=np.zeros(2000, np.uint8))
    assert len(small) < 3999
    assert set(read(small, None, limit=4000)) == {"a", "b"}
    with pytest.raises(ModelError, match="found an array of 2000 bytes, expected 1999 at most"):
        read(small, None, limit=3999)
    with pytest.raises(ModelError, match="more than"):
        read(data, limit=len(data) - 1)


BOMB = """
import resource, sys
from pathlib import Path
from her2edge.arrays import read_arrays
from her2edge.errors import ModelError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_arrays(Path(sys.argv[1]), ("a",), name="a.npz", limit=64 << 20, wrong=ModelError)
except ModelError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


def deflated(size: int, stated: bytes) -> bytes:
    """An .npz of zeros after any header, packed a thousandfold."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped, zipped.open("a.npy", "w") as member:
        member.write(stated)
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return file.getvalue()


def many_members() -> bytes:
    """A list of 400,000 names that all are one member."""
    one = archive(npy([1.0]))
    start, end = one.index(b"PK\1\2"), one.index(b"PK\5\6")
    entries = one[start:end] * 400_000
    return one[:start] + entries + one[end : end + 12] + struct.pack("<II", len(entries), start) + b"\0\0"


@pytest.mark.parametrize(
    "make",
    [
        lambda: deflated(256 << 20, header(form("|u1", f"({256 << 20},)"))),
        lambda: deflated(256 << 20, header(form("|u1", "(8,)"))),
        many_members,
    ],
    ids=["states 256 MiB", "states eight bytes", "a list of names"],
)
def test_what_unpacks_to_much_is_refused_before_it_is_unpacked(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(make())
    assert path.stat().st_size < 32 << 20
    run = subprocess.run([sys.executable, "-c", BOMB, str(path)], capture_output=True, text=True, check=True)
    grown, found = run.stdout.split(" ", 1)
    assert found.startswith("a.npz")
    assert int(grown) * (1 if sys.platform != "darwin" else 1 / 1024) < 64 << 10  # KiB


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        read(tmp_path / "none.npz")
    with pytest.raises(ModelError, match="folder"):
        read(tmp_path)
