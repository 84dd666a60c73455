"""The order in which the places of a grid are read, where an answer is to be given before the last one."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from her2edge.answer.martingale import EXACT
from her2edge.errors import OptionError

MOST_PLACES = EXACT  # else what is settled would hang on how sums are rounded


class RandomOrder:
    """Places of a grid in a random order that the slide's fingerprint fixes: the same at every run.

    A place is row * columns + column. It comes in the order of BLAKE2b (RFC 7693; 8 bytes of digest, no key)
    of the fingerprint's bytes followed by the place as 8 bytes, least significant first; digests are compared
    byte by byte, equal ones by place. Nothing else decides, so that another program can redo it.

    There is no other way to make one: tiles as a scanner delivers them are no random order, and `Settling`
    takes none but this.
    """

    __slots__ = ("columns", "fingerprint", "places", "rows")

    def __init__(
        self, fingerprint: str, columns: int, rows: int, among: NDArray[np.int64] | None = None
    ) -> None:
        """fingerprint: hexadecimal digits, as SlideReader gives it. among: the places that are to be read,
        fixed before the first tile; None: all. Raises OptionError.
        """
        for name, count in (("columns", columns), ("rows", rows)):
            if not (isinstance(count, int | np.integer) and not isinstance(count, bool) and count >= 1):
                raise OptionError(f"found {name}={count!r}, expected a whole number, 1 or more")
        if columns * rows > MOST_PLACES:
            raise OptionError(f"found a grid of {columns} x {rows} places, expected at most {MOST_PLACES}")
        self.fingerprint = fingerprint
        self.columns, self.rows = int(columns), int(rows)
        if among is not None and not _are_places(among, columns * rows):
            raise OptionError(f"found places outside the grid of {columns} x {rows}, or twice the same")
        self.places: NDArray[np.int64] = order_of_places(fingerprint, self.columns, self.rows, among)

    def __len__(self) -> int:
        return len(self.places)


def _are_places(among: NDArray[np.int64], count: int) -> bool:
    return bool(len(among)) and bool(
        among.min() >= 0 and among.max() < count and len(np.unique(among)) == len(among)
    )


def order_of_places(
    fingerprint: str, columns: int, rows: int, among: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """(n,) int64, read-only: the places of `RandomOrder`. Raises OptionError."""
    try:
        start = hashlib.blake2b(bytes.fromhex(fingerprint), digest_size=8)
    except (TypeError, ValueError) as error:
        raise OptionError(f"found fingerprint={fingerprint!r}, expected hexadecimal digits") from error
    if not fingerprint:
        raise OptionError("found an empty fingerprint, expected hexadecimal digits")
    digests = bytearray()
    places = np.arange(columns * rows) if among is None else np.sort(among)
    for place in places.tolist():
        own = start.copy()
        own.update(place.to_bytes(8, "little"))
        digests += own.digest()
    order = places[np.argsort(np.frombuffer(digests, ">u8").astype(np.uint64), kind="stable")]
    order.flags.writeable = False
    return order
