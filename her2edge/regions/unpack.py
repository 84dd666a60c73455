"""The bytes of an exported file, also where it is packed: plain, gzip, zip, or one in the other.

What it is, its first bytes say, not its name. Nothing is unpacked further than its limit.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path, PurePosixPath

from her2edge.errors import Her2EdgeError
from her2edge.files import read_input

LIMIT = 256 << 20  # bytes, packed or unpacked: a million vertices are 22 MB
_LAYERS = 3  # of packing: a gzip in a zip in a zip
_ENTRIES = 1000  # of a zip
_EXPECTED = "annotations exported from QuPath as GeoJSON, plain or packed as .gz or .zip"


def read_export(path: Path, wrong: type[Her2EdgeError], limit: int = LIMIT) -> bytes:
    """All bytes of the one file in `path`, unpacked, `limit` at most; without a byte order mark.

    Raises MissingInputError where there is none; `wrong`, by name, for what is too large, damaged, encrypted
    or a zip of several files.
    """
    data = read_input(path, limit, _EXPECTED, wrong)
    for _ in range(_LAYERS):
        if data.startswith(b"\x1f\x8b"):
            unpack = _gunzipped
        elif data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            unpack = _unzipped
        else:
            return data.removeprefix(b"\xef\xbb\xbf")
        try:
            data = unpack(data, limit)
        except MemoryError:
            raise
        except Exception as error:  # the archives' parsers raise what they like
            raise wrong(
                f"{path.name}: cannot be unpacked ({error}), expected {_EXPECTED}: export it again"
            ) from error
        if len(data) > limit:
            raise wrong(
                f"{path.name}: found more than {limit >> 20} MiB when unpacked, expected {_EXPECTED}: export "
                "annotations only, without detections and cells"
            )
    raise wrong(f"{path.name}: found a file packed more than {_LAYERS - 1} times: unpack it first")


def _gunzipped(data: bytes, limit: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        return file.read(limit + 1)


def _unzipped(data: bytes, limit: int) -> bytes:
    if data.count(b"PK\x01\x02") > _ENTRIES:
        raise ValueError(f"found more than {_ENTRIES} files in the archive")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [entry for entry in archive.infolist() if not (entry.is_dir() or _litter(entry.filename))]
        if len(entries) != 1:
            raise ValueError(
                f"found {len(entries)} files in the archive, expected one: export one for each slide"
            )
        if entries[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("found a rare kind of compression")
        with archive.open(entries[0]) as file:
            return file.read(limit + 1)


def _litter(name: str) -> bool:
    """What macOS and Windows put beside the files of an archive."""
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or parts[-1:] in ((".DS_Store",), ("Thumbs.db",), ("desktop.ini",))
