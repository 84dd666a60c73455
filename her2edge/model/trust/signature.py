"""The signature of a model file: Ed25519 (RFC 8032) over manifest.json.

The manifest holds size and SHA-256 of the FlatBuffer and of every other member, so its signature stands
for them. The member `signature` is the signer's public key, 32 bytes, and the signature of `signed_bytes`,
64 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from her2edge.errors import ModelError, OptionError
from her2edge.extras import needs_extra
from her2edge.model.manifest import Manifest, parse_manifest
from her2edge.model.trust.configured import configured_trust
from her2edge.model.trust.key import KEY_BYTES, Trust, short

DOMAIN = b"her2edge model manifest, signature version 1\n"
MEMBER_BYTES = KEY_BYTES + 64
TrustChoice = Trust | Literal["anyone"] | None


@dataclass(frozen=True)
class Signer:
    """Whose signature a model carries: the public key, hexadecimal; verified: it is the trusted one's."""

    key: str
    verified: bool


def admit(
    manifest: bytes, signature: bytes | None, trust: TrustChoice = None
) -> tuple[Manifest, Signer | None]:
    """The manifest of a model that `trust` lets in, parsed after its signature was checked, and its signer.

    trust: a Trust; None: what this machine is configured to trust; "anyone": for those who make model files.

    Raises ModelError, and RuntimeUnavailable where a key is trusted and cryptography is not installed.
    """
    trusted = _asked(trust)
    if signature is not None and len(signature) != MEMBER_BYTES:
        raise ModelError(
            f"found a signature of {len(signature)} bytes, expected {MEMBER_BYTES}: sign the model again"
        )
    for one in trusted:
        check_signature(manifest, signature, one)
    parsed = parse_manifest(manifest)
    for one in trusted:
        if parsed.epoch < one.minimum_epoch:
            raise ModelError(
                f"found epoch {parsed.epoch}, expected {one.minimum_epoch} or newer: the model is older than "
                f"this machine accepts; get the current one"
            )
    signer = None if signature is None else Signer(signature[:KEY_BYTES].hex(), verified=bool(trusted))
    return parsed, signer


def check_signature(manifest: bytes, signature: bytes | None, trust: Trust) -> None:
    """Hold manifest.json and the `signature` member against a trusted key; raises as `admit`."""
    if signature is None:
        raise ModelError(
            f"found no signature, expected one made with the trusted key {short(trust.key)}: "
            "have the model signed (`her2edge sign`), or use one that is"
        )
    key, value = signature[:KEY_BYTES], signature[KEY_BYTES:]
    if key != trust.key:
        raise ModelError(
            f"found a signature made with another key, {short(key)}, expected the trusted key "
            f"{short(trust.key)}: use a model of the signer this machine trusts"
        )
    ed25519 = require_ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(trust.key).verify(value, signed_bytes(manifest))
    except InvalidSignature as error:
        raise ModelError(
            f"found a damaged signature, or one of another model, expected one made with {short(trust.key)} "
            "over this manifest: get the file again from its signer"
        ) from error


def signed_bytes(manifest: bytes) -> bytes:
    """What is signed for a manifest.json: its prefix keeps a signature from standing for anything else."""
    return DOMAIN + manifest


def require_ed25519() -> ModuleType:
    """cryptography's Ed25519; raises RuntimeUnavailable where it is not installed."""
    with needs_extra("sign"):
        from cryptography.hazmat.primitives.asymmetric import ed25519
    return ed25519


def _asked(trust: TrustChoice) -> tuple[Trust, ...]:
    if trust is None:
        return configured_trust()
    if trust == "anyone":
        return ()
    if not isinstance(trust, Trust):
        raise OptionError(f'found trust={trust!r}, expected a Trust, None or "anyone"')
    return (trust,)
