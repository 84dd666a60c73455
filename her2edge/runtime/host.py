"""Host: the machine as a plan sees it. Who wants another one passes it in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from her2edge.runtime.choose import RUNTIMES, Kind
from her2edge.runtime.machine import usable_cores

USUAL_READERS = 16  # 2,500 tiles/s at 6.5 ms each; a network of 45 ms takes 1,400 on 64 cores


def state_folder() -> Path:
    """Where her2edge keeps what it measured of this machine: in the user's state folder."""
    return platformdirs.user_state_path("her2edge", appauthor=False)


def system_load() -> float:
    """Threads that want a core, on average of the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


@dataclass(frozen=True)
class Host:
    """What a plan is made for; by default this machine, as it is now.

    cores: those this process may use. state: the folder of profiles. load: as `system_load` gives it.
    runtimes: by name, as `RUNTIMES` has them.
    """

    cores: int = field(default_factory=usable_cores)
    state: Path = field(default_factory=state_folder)
    load: float = field(default_factory=system_load)
    runtimes: Mapping[str, Kind] = field(default_factory=lambda: RUNTIMES)

    @property
    def readers(self) -> int:
        """Threads that read a slide's tiles: one a core, since glass needs no network, but no more than keep
        64 cores busy. They wait while enough has been read."""
        return min(self.cores, USUAL_READERS)

    @property
    def busy(self) -> bool:
        """Whether other programs leave no core free, so that what is measured says little."""
        return self.load > self.cores
