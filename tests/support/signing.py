"""Keys, a signed tiny model, and a configuration folder of its own, for the tests of signing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import tiny
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from her2edge import Trust
from her2edge.model.file import Model, read_members
from her2edge_quantize.model_file.archive import assemble
from her2edge_quantize.model_file.keys import public_key
from her2edge_quantize.model_file.sign import sign

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i in (1, 2))
UNSIGNED = tiny.INT8.read_bytes()
EPOCH = 5
SIGNED = sign(UNSIGNED, KEY, EPOCH)


def trust(key: Ed25519PrivateKey = KEY, minimum_epoch: int = 0) -> Trust:
    return Trust(public_key(key), minimum_epoch)


def trust_json(key: Ed25519PrivateKey = KEY, minimum_epoch: int = 0) -> bytes:
    return json.dumps({"key": public_key(key).hex(), "minimum_epoch": minimum_epoch}).encode()


def parts(data: bytes = SIGNED) -> dict[str, bytes]:
    """Members by name."""
    return read_members(data)[0]


def rebuilt(members: Mapping[str, bytes], data: bytes = SIGNED) -> bytes:
    """The file with these members, its own hash right."""
    flatbuffer = Model.from_bytes(data, trust="anyone").flatbuffer
    return assemble(flatbuffer, members)


def configure(folder: Path, content: bytes | None = None) -> Path:
    """Write trust.json into a configuration folder, closed to others; return its path."""
    folder = folder / "her2edge"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = folder / "trust.json"
    path.write_bytes(trust_json() if content is None else content)
    path.chmod(0o644)
    return path
