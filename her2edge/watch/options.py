"""What the caller of a watcher may choose."""

from __future__ import annotations

import math
from dataclasses import dataclass

from her2edge.errors import OptionError

LONGEST_WAIT = 3600.0  # seconds


@dataclass(frozen=True)
class WatchOptions:
    """When a slide has arrived, when a failed one is tried again; raises OptionError out of range.

    still_for: seconds, 0 or more, that size and time of a slide must stay as they are: it has arrived then.
    retries: how many times a failed slide is tried again, 0 or more. wait: seconds until the first of them,
        above 0; twice as long each time, an hour at most.
    poll: seconds between two looks at the folder, above 0.
    """

    still_for: float = 10.0
    retries: int = 4
    wait: float = 30.0
    poll: float = 2.0

    def __post_init__(self) -> None:
        if not (isinstance(self.retries, int) and self.retries >= 0):
            raise OptionError(f"found retries={self.retries!r}, expected a whole number, 0 or more")
        for name in ("still_for", "wait", "poll"):
            seconds = getattr(self, name)
            number = isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0
            if not number or (seconds == 0 and name != "still_for"):
                raise OptionError(f"found {name}={seconds!r}, expected seconds, {_LEAST[name]}")

    def after(self, attempts: int) -> float:
        """Seconds from the failure of the `attempts`-th try to the next."""
        return min(LONGEST_WAIT, self.wait * 2.0 ** min(attempts - 1, 64))


_LEAST = {"still_for": "0 or more", "wait": "above 0", "poll": "above 0"}
DEFAULT = WatchOptions()
