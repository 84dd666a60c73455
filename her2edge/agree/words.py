"""Figures of a kit as people read them."""

from __future__ import annotations

from her2edge.agree.kappa import Kappa
from her2edge.agree.shares import Interval, Share
from her2edge.text import percent


def share_cells(share: Share) -> tuple[str, str, str]:
    """Count, share and 95 % interval: `24 of 30`, `80 %`, `61 to 92 %`."""
    if share.share is None:
        return f"{share.count} of {share.of}", "-", "-"
    return f"{share.count} of {share.of}", percent(share.share), interval_words(share.interval)


def share_words(share: Share) -> str:
    """`24 of 30 (80 %, 95 % interval 61 to 92 %)`."""
    count, part, interval = share_cells(share)
    return count if share.share is None else f"{count} ({part}, 95 % interval {interval})"


def interval_words(interval: Interval | None) -> str:
    """Of shares: `61 to 92 %`."""
    return "-" if interval is None else f"{100 * interval.low:.0f} to {percent(interval.high)}"


def kappa_cells(kappa: Kappa) -> tuple[str, str, str]:
    """As `share_cells`: patients, kappa, interval."""
    if kappa.value is None or kappa.interval is None:
        return f"{kappa.patients}", "-", "-"
    return f"{kappa.patients}", f"{kappa.value:.2f}", f"{kappa.interval.low:.2f} to {kappa.interval.high:.2f}"


def counted_words(count: int, one: str, more: str | None = None) -> str:
    """`1 slide`, `2 slides`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def days(first: str, last: str) -> str:
    """`2026-11-01 to 2026-11-03`, or the one day."""
    return first if first == last else f"{first} to {last}"
