"""What the caller of a feed may choose."""

from __future__ import annotations

import math
from dataclasses import dataclass

from her2edge.errors import OptionError

BLOCK, DROP_OLDEST, REJECT = "block", "drop_oldest", "reject"
POLICIES = (BLOCK, DROP_OLDEST, REJECT)


@dataclass(frozen=True)
class FeedOptions:
    """Options of a `TileFeed`; raises OptionError where one is out of range.

    capacity: tiles that may wait for the network, 1 or more. A 512 px tile takes 0.8 MB.
    policy:   what happens to a tile submitted when so many wait. "block": `submit` waits for room, nothing
        is dropped. "drop_oldest": the tile that has waited longest is dropped. "reject": the new one is.
    max_wait: seconds from `submit` to the network, above 0; a tile that has waited longer when its turn
        comes is dropped. None: for ever.
    remember: answered tiles, 0 or more, that are known when submitted again; about 1 kB each.
    """

    capacity: int = 64
    policy: str = BLOCK
    max_wait: float | None = None
    remember: int = 4096

    def __post_init__(self) -> None:
        for name, least in (("capacity", 1), ("remember", 0)):
            count = getattr(self, name)
            if not (isinstance(count, int) and count >= least):
                raise OptionError(f"found {name}={count!r}, expected a whole number, {least} or more")
        if self.policy not in POLICIES:
            raise OptionError(f"found policy={self.policy!r}, expected {', '.join(POLICIES)}")
        check_seconds("max_wait", self.max_wait)
        if self.max_wait == 0:
            raise OptionError("found max_wait=0, expected more than 0 seconds or None")


def check_seconds(name: str, seconds: float | None) -> None:
    """Raises OptionError where `seconds` is not None and no number from 0 on."""
    if seconds is not None and not (
        isinstance(seconds, int | float) and seconds >= 0 and math.isfinite(seconds)
    ):
        raise OptionError(f"found {name}={seconds!r}, expected seconds, 0 or more, or None")
