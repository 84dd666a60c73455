"""A slide's tiles in words: how many vote, and what became of the others."""

from __future__ import annotations

from collections.abc import Mapping

from her2edge.answer.answer import SlideAnswer
from her2edge.text import percent
from her2edge.tile import Outcome

_SAID = (Outcome.CLASSIFIED, Outcome.BACKGROUND)  # in words of their own


def counted(answer: SlideAnswer) -> list[str]:
    """A phrase for each kind of tile: "20 pooled (2+ 75 %, 3+ 25 %)", "5 left out (blurred 3, pen 2)"."""
    tiles = answer.tiles
    out, background = sum(tiles.left_out.values()), tiles.outcomes[Outcome.BACKGROUND]
    shares = ", ".join(f"{label} {percent(one.share)}" for label, one in answer.shares.items() if one.share)
    phrases = [f"{tiles.pooled} pooled" + (f" ({shares})" if shares else "")]
    if out:
        phrases.append(f"{out} left out ({_listed(tiles.left_out)})")
    if background:
        kinds = _listed(tiles.background)
        phrases.append(f"{background} background" + (f" ({kinds})" if kinds else ""))
    phrases += [
        f"{count} {outcome}" for outcome, count in tiles.outcomes.items() if count and outcome not in _SAID
    ]
    if tiles.unread:
        phrases.append(f"{tiles.unread} not read")
    return phrases


def share_word(answer: SlideAnswer, label: str) -> str:
    """A label's share of the pooled tiles, "75 %"; "-" where none is pooled."""
    return percent(answer.shares[label].share) if answer.tiles.pooled else "-"


def tissue_words(answer: SlideAnswer) -> str:
    """How much of the tissue was classified; empty where there is none."""
    share = answer.tissue_classified
    return "" if share is None else f"classified {percent(share)} of the tissue"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count)
