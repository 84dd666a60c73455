"""SetAside: why a slide is not tried again."""

from __future__ import annotations

from dataclasses import dataclass

from her2edge.tile import RESEARCH_USE


@dataclass(frozen=True)
class SetAside:
    """Why a slide is not tried again, as failed/<slide>.json keeps it.

    exit_code: what `her2edge classify` would have ended with; None where nobody gave the codes.
    looks: as in Evidence, where the fingerprint may be of a sample: written again, the slide is tried again.
    """

    slide: str
    fingerprint: str
    reason: str
    exit_code: int | None
    attempts: int
    notice: str = RESEARCH_USE
    looks: str | None = None
