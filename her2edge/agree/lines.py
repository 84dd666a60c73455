"""A kit in a few lines, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from her2edge.agree.kit import Kit
from her2edge.agree.remarks import remarks
from her2edge.agree.words import kappa_cells, share_words


def kit_lines(kit: Kit) -> Iterator[str]:
    """The agreement, what drifted, and what to look at."""
    made = kit.agreement
    if made is None:
        yield f"agreement is not computed: {kit.no_agreement}"
    else:
        _, value, interval = kappa_cells(made.kappa)
        yield f"agreement: {share_words(made.agreed)}; kappa {value} ({interval})"
        yield f"{made.positive}: sensitivity {share_words(made.sensitivity)}"
        yield f"{made.positive}: specificity {share_words(made.specificity)}"
        if made.covered is not None:
            yield f"prediction sets hold the known label: {share_words(made.covered)}"
    if kit.drift is not None:
        flagged = kit.drift.flagged
        yield from (line.words for line in flagged)
        if not flagged:
            yield "beside the baseline: nothing to look at"
    yield from remarks(kit)
