"""Signing keys: Ed25519 private keys as PEM (PKCS#8), with a passphrase or without.

A private key belongs to whoever releases models; the machines that run them get its trust file.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from her2edge.alone import alone_with
from her2edge.errors import Her2EdgeError, OutputError
from her2edge.files import atomic, foreign, read_input
from her2edge.model.trust import Trust, require_ed25519, trust_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_KEY_BYTES = 1 << 16
PRIVATE, PUBLIC = 0o600, 0o644


class KeyFileError(Her2EdgeError, ValueError):
    """A file is no signing key, or one that others can read."""


def write_new_key(path: Path, passphrase: str | None = None) -> tuple[Trust, Path]:
    """Write a new private key to `path` and its trust file beside it, `<stem>.trust.json`; return both.

    The private key can be read by this user only. Nothing is overwritten; both files are there, or none.

    Raises OutputError where either file is there or cannot be written, RuntimeUnavailable.
    """
    require_ed25519()
    beside = path.with_name(f"{path.stem}.trust.json")
    with alone_with(path):
        return _write_new_key(path, beside, passphrase)


def _write_new_key(path: Path, beside: Path, passphrase: str | None) -> tuple[Trust, Path]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    for place in (path, beside):
        if os.path.lexists(place):
            raise OutputError(
                f"{place.name} is there already, expected a new name: a key is never overwritten; "
                "choose another --out"
            )
    key = ed25519.Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    trust = Trust(public_key(key))
    files = {path: pem, beside: trust_bytes(trust)}
    try:
        with atomic(beside, PUBLIC) as public, atomic(path, PRIVATE) as private:
            private.write(files[path])
            public.write(files[beside])
    except BaseException:  # one may have its name already where the other fails
        for place, data in files.items():
            with contextlib.suppress(OSError):
                if place.read_bytes() == data:
                    place.unlink()
        raise
    return trust, beside


def read_key(path: Path, ask: Callable[[], str]) -> Ed25519PrivateKey:
    """Read a private key; ask: called for the passphrase where the key has one.

    Raises MissingInputError, KeyFileError, RuntimeUnavailable.
    """
    require_ed25519()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read_private(path)
    expected = "the PEM file of `her2edge keygen` and, where it has one, its passphrase"
    key: object = None
    with foreign(path.name, expected, KeyFileError), contextlib.suppress(TypeError):  # it has a passphrase
        key = load_pem_private_key(data, None)
    if key is None:
        passphrase = ask().encode()
        with foreign(path.name, expected, KeyFileError):
            key = load_pem_private_key(data, passphrase)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path.name}: this key is of another kind, expected an Ed25519 private key")
    return key


def public_key(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of a private key's public one."""
    return key.public_key().public_bytes_raw()


def _read_private(path: Path) -> bytes:
    data = read_input(path, MAX_KEY_BYTES, "a private key as `her2edge keygen` writes it", KeyFileError)
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f"{path.name}: other users can read this private key: chmod 600")
    return data
