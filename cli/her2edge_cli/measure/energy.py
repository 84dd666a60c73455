"""Energy of the processor, where the kernel counts it: RAPL's counters under /sys/class/powercap."""

from __future__ import annotations

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class Meter:
    """Counts from now on, over all processor packages.

    powercap: the folder of the kernel's counters. reason: why it cannot count, one line; None where it can.
    """

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self.reason: str | None = None
        # intel-rapl:0 is a package (AMD's too); intel-rapl:0:0 a part of it, which would count twice
        self._zones = sorted(zone for zone in powercap.glob("intel-rapl:*") if zone.name.count(":") == 1)
        if not self._zones:
            self.reason = "the kernel shows no counter in /sys/class/powercap"
            return
        try:
            self._began = self._read()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            self.reason = f"the kernel's counters cannot be read ({reason}): root may read them"

    def joules(self) -> float | None:
        """Since the meter was made, up to one overflow of each counter (some minutes at least)."""
        if self.reason is not None:
            return None
        now = self._read()
        spent = (
            after - before if after >= before else after - before + _number(zone / "max_energy_range_uj")
            for zone, before, after in zip(self._zones, self._began, now, strict=True)
        )
        return sum(spent) / 1e6

    def _read(self) -> list[int]:
        return [_number(zone / "energy_uj") for zone in self._zones]


def _number(path: Path) -> int:
    return int(path.read_text())
