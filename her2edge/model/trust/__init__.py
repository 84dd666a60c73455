"""Whose models may run: a signature over the manifest, and the oldest epoch accepted.

Where a machine trusts a key, a model loads only if that key signed it and its epoch is not too old. Where
it trusts none, every whole model loads, signed or not, and cryptography is not needed.
"""

from her2edge.model.trust.configured import configured_trust, read_trust, trust_at, trust_bytes, trust_files
from her2edge.model.trust.key import Trust, short
from her2edge.model.trust.signature import (
    Signer,
    TrustChoice,
    admit,
    check_signature,
    require_ed25519,
    signed_bytes,
)

__all__ = [
    "Signer",
    "Trust",
    "TrustChoice",
    "admit",
    "check_signature",
    "configured_trust",
    "read_trust",
    "require_ed25519",
    "short",
    "signed_bytes",
    "trust_at",
    "trust_bytes",
    "trust_files",
]
