"""Results, stains and bases as bytes and back: MessagePack, in which every float keeps all its bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from her2edge.results.provenance import Provenance
from her2edge.slide import Evidence
from her2edge.stain import StainFit
from her2edge.tile import TileResult


@dataclass(frozen=True)
class SlideStain:
    """The fit of a whole slide, or the reason why it has none. Exactly one of them is given.

    unreadable: tiles of the sample that could not be read; with them it might be another fit.
    """

    fit: StainFit | None = None
    reason: str | None = None
    unreadable: int = 0

    def agrees(self, other: SlideStain) -> bool:
        """Whether the two give the same tiles, bit for bit, and the same answer."""
        return pack_stain(replace(self, unreadable=0)) == pack_stain(replace(other, unreadable=0))


class _Stain(msgspec.Struct, array_like=True):
    """A SlideStain as an array; the first journals had two places."""

    fit: dict[str, Any] | None
    reason: str | None
    unreadable: int = 0


def _chances(value: Any) -> bytes:
    assert isinstance(value, np.ndarray)  # noqa: S101 - the one field that MessagePack does not know
    return value.astype("<f4", casting="equiv", copy=False).tobytes()


def _array(_: type, value: Any) -> NDArray[np.float32]:
    return np.frombuffer(value, "<f4").astype(np.float32)  # a copy: a view of bytes is read-only


_encoder = msgspec.msgpack.Encoder(enc_hook=_chances)
_results = msgspec.msgpack.Decoder(TileResult, dec_hook=_array)
_bases = msgspec.msgpack.Decoder(Provenance)
_stains = msgspec.msgpack.Decoder(_Stain)
_evidence = msgspec.msgpack.Decoder(Evidence)


def pack_result(result: TileResult) -> bytes:
    """About 240 bytes; probabilities as float32, little-endian."""
    return _encoder.encode(result)


def unpack_result(data: bytes) -> TileResult:
    """The inverse of `pack_result`; raises ValueError for other bytes."""
    return _results.decode(data)


def pack_basis(basis: Provenance) -> bytes:
    return _encoder.encode(basis)


def unpack_basis(data: bytes) -> Provenance:
    """The inverse of `pack_basis`; raises ValueError for other bytes."""
    return _bases.decode(data)


def pack_stain(stain: SlideStain) -> bytes:
    fit = None if stain.fit is None else stain.fit.to_dict()
    return _encoder.encode(_Stain(fit, stain.reason, stain.unreadable))


def unpack_stain(data: bytes) -> SlideStain:
    """The inverse of `pack_stain`; raises ValueError for other bytes."""
    kept = _stains.decode(data)
    fit = None if kept.fit is None else StainFit.from_dict(kept.fit)
    return SlideStain(fit, kept.reason, kept.unreadable)


def pack_evidence(evidence: Evidence) -> bytes:
    return _encoder.encode(evidence)


def unpack_evidence(data: bytes) -> Evidence:
    """The inverse of `pack_evidence`; raises ValueError for other bytes."""
    return _evidence.decode(data)
