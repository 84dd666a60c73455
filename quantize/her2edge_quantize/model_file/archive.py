"""The bytes of a model file: FlatBuffer, then a ZIP whose comment is the SHA-256 of all before it.

The same input gives the same bytes: members are stored (not deflated), sorted, with fixed dates and
permissions.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.model.whole import HASH_CHARS

DATE = (1980, 1, 1, 0, 0, 0)  # the oldest a ZIP can say
PERMISSIONS = 0o100644 << 16  # an ordinary file, rw-r--r--
UNIX = 3


def assemble(flatbuffer: bytes, members: Mapping[str, bytes]) -> bytes:
    """A model file's bytes from its FlatBuffer and its members by name; nothing is verified here."""
    file = io.BytesIO()
    file.write(flatbuffer)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.comment = b"0" * HASH_CHARS
        _store(archive, members)
    body = file.getvalue()[:-HASH_CHARS]
    return body + hashlib.sha256(body).hexdigest().encode()


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """What numpy.savez writes, with fixed dates."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        members = {}
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
            members[f"{name}.npy"] = stream.getvalue()
        _store(archive, members)
    return file.getvalue()


def _store(archive: zipfile.ZipFile, members: Mapping[str, bytes]) -> None:
    for name in sorted(members):
        info = zipfile.ZipInfo(name, DATE)
        info.create_system, info.external_attr = UNIX, PERMISSIONS
        archive.writestr(info, members[name])
