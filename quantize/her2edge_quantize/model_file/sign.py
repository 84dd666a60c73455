"""Sign a model file: the same file with the member `signature`, and, where asked, a newer epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from her2edge.errors import ModelError, OptionError
from her2edge.model.file import Model, read_members
from her2edge.model.manifest import with_epoch
from her2edge.model.trust import Trust, short, signed_bytes
from her2edge_quantize.model_file.archive import assemble
from her2edge_quantize.model_file.keys import public_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LAST_EPOCH = (1 << 53) - 1  # what every JSON reader holds exactly


def sign(data: bytes, key: Ed25519PrivateKey, epoch: int | None = None, *, replace: bool = False) -> bytes:
    """Return the bytes of the signed model file; every other member and the FlatBuffer stay as they are.

    data:    a model file.
    epoch:   written into the manifest before it is signed; never below the model's. None: the model's.
    replace: take the place of a signature that is there.

    The same input gives the same bytes (Ed25519 has no random part).

    Raises ModelError for bytes that are no model or signed already, OptionError for an older epoch.
    """
    model = Model.from_bytes(data, trust="anyone")
    if model.signer is not None and not replace:
        raise ModelError(
            f"found a model signed by {short(bytes.fromhex(model.signer.key))}, expected an unsigned one: "
            f"--replace removes that signature"
        )
    members, _ = read_members(data)
    now = model.manifest.epoch
    if epoch is not None and not now <= epoch <= LAST_EPOCH:
        raise OptionError(
            f"found epoch {epoch}, expected {now} or newer: the model has {now}, it can only grow"
        )
    if epoch is not None and epoch != now:
        members["manifest.json"] = with_epoch(members["manifest.json"], epoch)
    public = public_key(key)
    members["signature"] = public + key.sign(signed_bytes(members["manifest.json"]))
    signed = assemble(model.flatbuffer, members)
    Model.from_bytes(signed, trust=Trust(public, now if epoch is None else epoch))
    return signed
