"""What ends a stage and what it leaves: the clock, and the best result so far."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field


@dataclass
class Best:
    """The best validation result of the stage; `rank` orders by accuracy, then by lower loss.

    last: the newest result takes the place of every other, as a schedule that ends at 0 wants it.
    """

    rank: tuple[float, float] = (-1.0, 0.0)
    epoch: int = 0
    last: bool = False

    def offer(self, accuracy: float, loss: float, epoch: int) -> bool:
        """True where this result is the best so far; it is then remembered. A loss that is no finite number
        is the worst: a checkpoint keeps the rank, and numbers only."""
        rank = (accuracy, -loss if math.isfinite(loss) else -sys.float_info.max)
        if rank <= self.rank and not self.last:
            return False
        self.rank, self.epoch = rank, epoch
        return True


@dataclass
class Clock:
    """Time left, seconds on the monotonic clock; None never runs out."""

    minutes: float | None
    spent: float = 0.0  # seconds, before this process
    start: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Spent so far, in all processes of the run."""
        return self.spent + time.monotonic() - self.start

    @property
    def share(self) -> float:
        """Of the time that is spent, 0 and up; 0 where there is no limit."""
        return 0.0 if self.minutes is None else self.seconds / (60 * self.minutes)

    def is_up(self) -> bool:
        """Whether no time is left."""
        return self.minutes is not None and self.seconds >= 60 * self.minutes
