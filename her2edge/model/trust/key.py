"""Trust: a signer's public key and the oldest epoch accepted."""

from __future__ import annotations

from dataclasses import dataclass

from her2edge.errors import OptionError

KEY_BYTES = 32
FIELD = 2**255 - 19
_EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
# y of the points of order 1, 2, 4 and 8: such a "key" (zeros are one) has signatures that nobody made
SMALL_ORDER = {1, FIELD - 1, 0, _EIGHTH, FIELD - _EIGHTH}


@dataclass(frozen=True)
class Trust:
    """A signer's Ed25519 public key, 32 bytes (RFC 8032), and the oldest epoch accepted, 0 or more.

    Raises OptionError.
    """

    key: bytes
    minimum_epoch: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.key, bytes) and len(self.key) == KEY_BYTES):
            raise OptionError(f"found a trusted key {self.key!r}, expected {KEY_BYTES} bytes")
        if int.from_bytes(self.key, "little") % (1 << 255) % FIELD in SMALL_ORDER:
            raise OptionError(
                f"found the trusted key {self.key.hex()}, with which anybody can sign, expected a key of "
                f"`her2edge keygen`"
            )
        if type(self.minimum_epoch) is not int or self.minimum_epoch < 0:
            raise OptionError(
                f"found minimum_epoch={self.minimum_epoch!r}, expected a whole number, 0 or more"
            )


def short(key: bytes) -> str:
    """A public key as messages name it."""
    return f"{key.hex()[:16]}..."
