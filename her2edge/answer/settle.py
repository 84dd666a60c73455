"""Settle: read a slide's tiles in random order, and stop when the rest could hardly change the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from her2edge.answer.answer import Settled
from her2edge.answer.at_most import at_most
from her2edge.answer.limits import DEFAULT_LIMITS, MIN_TISSUE_TILES, Limits
from her2edge.answer.martingale import Bets, Floats, in_grains
from her2edge.answer.order import RandomOrder
from her2edge.answer.votes import NOVEL, is_classified, kept_out
from her2edge.errors import OptionError
from her2edge.tile import TileResult

FEWEST = 30  # tissue tiles: on fewer, quality and novelty say nothing of a slide
_NO_VOTE = 255


@dataclass(frozen=True)
class Settle:
    """Stop as soon as the answer is settled.

    error:     at most the chance, 0.0001..0.5, that reading every tile would have given another label. That
               is agreement with the full reading, not with the truth.
    minimum:   tissue tiles that are read anyway, 30 or more.
    max_tiles: stop after so many places in any case, `minimum` or more; None: only when settled.
    Raises OptionError where one is out of range.
    """

    error: float = 0.05
    minimum: int = FEWEST
    max_tiles: int | None = None

    def __post_init__(self) -> None:
        if not (_is_number(self.error) and 0.0001 <= self.error <= 0.5):
            raise OptionError(f"found error={self.error!r}, expected a number in 0.0001..0.5, e.g. 0.05")
        if not (_is_whole(self.minimum) and self.minimum >= FEWEST):
            raise OptionError(f"found minimum={self.minimum!r}, expected a whole number, {FEWEST} or more")
        if self.max_tiles is not None and not (_is_whole(self.max_tiles) and self.max_tiles >= self.minimum):
            raise OptionError(
                f"found max_tiles={self.max_tiles!r}, expected a whole number, {self.minimum} or more"
            )


class Settling:
    """A slide that is being read in random order: fed with one result after the other, until `stopped`.

    Whether a tile votes may depend on its own pixels, on the model file and on what was fixed before the
    first tile, never on other tiles read: then the proof holds for every slide, however its tissue lies.

    Each pair of labels is a bet that the mean of (1 + p_a - p_b) / 2 over all places of the grid is above one
    half; places that do not vote count as one half. A label is decided when it has won against every other.
    Two more pairs of bets decide whether the tiles far from the training, and those that quality keeps out,
    are more than the model's limits. All share `error`: each needs a wealth of (labels + 1) / error.
    """

    def __init__(
        self,
        rule: Settle,
        order: RandomOrder,
        labels: tuple[str, ...],
        *,
        min_tissue_tiles: int = MIN_TISSUE_TILES,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """labels: the model's. min_tissue_tiles: tiles that vote, without which there is no label anyway."""
        if not isinstance(order, RandomOrder):
            raise OptionError(
                f"found a {type(order).__name__} for the order, expected a RandomOrder: an answer may settle "
                "only on tiles that were read in random order"
            )
        self._rule, self._order, self._labels, self._limits = rule, order, labels, limits
        self._pooled_fewest = min_tissue_tiles
        self._pairs = list(permutations(range(len(labels)), 2))
        self._bets = Bets(len(order), len(self._pairs) + 4)
        self._needed = math.log((len(labels) + 1) / rule.error)
        self._classified = self._pooled = 0
        self._has_novelty = self._decided = False
        self._votes = bytearray()
        self._counts = [0] * len(labels)

    @property
    def seen(self) -> int:
        """Places read so far: the next result must be that of `order.places[seen]`."""
        return len(self._votes)

    @property
    def stopped(self) -> bool:
        """Nothing more is to be read: settled, or `max_tiles` reached."""
        limit = self._rule.max_tiles
        return self.settled or (limit is not None and self.seen >= limit)

    @property
    def settled(self) -> bool:
        """The answer is decided, or every place was read."""
        return self.decided or self.seen == len(self._order)

    @property
    def decided(self) -> bool:
        """The slide is certainly not assessable, or it certainly is and its label is decided."""
        return self._decided

    @property
    def shares(self) -> dict[str, float]:
        """Of the tiles that voted so far, by their most probable class; all 0 before the first."""
        counts = zip(self._labels, self._counts, strict=True)
        return {label: count / max(1, self._pooled) for label, count in counts}

    def add(self, result: TileResult) -> None:
        """Take the result of the next place.

        Raises OptionError where it is that of another place, where nothing more is to be read, or where the
        result is of another model.
        """
        if self.stopped:
            raise OptionError(f"found one more tile after the reading ended at tile {self.seen}")
        place = int(self._order.places[self.seen])
        self._check_place(result, place)
        values = np.full(self._bets.count, 0.5)
        vote = _NO_VOTE
        if is_classified(result, self._labels):
            self._classified += 1
            why = kept_out(result)
            values[-4:] = self._rule_values(result, why)
            if why is None and result.probabilities is not None:
                self._pooled += 1
                p = in_grains(result.probabilities)
                values[:-4] = [(1 + p[a] - p[b]) / 2 for a, b in self._pairs]
                vote = int(np.argmax(result.probabilities))
                self._counts[vote] += 1
        self._votes.append(vote)
        self._bets.read(values[np.newaxis])
        self._decided = self._classified >= self._rule.minimum and self._decide()

    def verdict(self) -> Settled:
        """What the tiles read so far are good for; it takes some seconds for 400,000 of them."""
        votes = np.frombuffer(bytes(self._votes), np.uint8)
        bounds = {
            label: at_most(len(self._order), votes == index, votes != _NO_VOTE)
            for index, label in enumerate(self._labels)
        }
        winner = self._winner() if self.decided and not self._refused() else None
        return Settled(
            settled=self.settled,
            label=None if winner is None else self._labels[winner],
            error=self._rule.error,
            minimum=self._rule.minimum,
            tiles_seen=self.seen,
            tiles_total=len(self._order),
            at_most=bounds,
        )

    def _won(self) -> NDArray[np.bool_]:
        return np.asarray(self._bets.peaks >= self._needed)

    def _refused(self) -> bool:
        far, _, poor, _ = self._won()[-4:]
        return bool(poor or far)

    def _decide(self) -> bool:
        if self._refused():
            return True
        _, near, _, good = self._won()[-4:]
        if not good or (self._has_novelty and not near) or self._pooled < self._pooled_fewest:
            return False
        return self._winner() is not None

    def _winner(self) -> int | None:
        """The label that has won against every other."""
        lost = {a for (a, _), won in zip(self._pairs, self._won()[:-4], strict=True) if not won}
        winners = set(range(len(self._labels))) - lost
        return min(winners) if winners else None

    def _rule_values(self, result: TileResult, why: str | None) -> Floats:
        """The slide rules' values of a classified tile, each on either side of its limit."""
        far, poor = 0.5, _against(why not in (None, NOVEL), self._limits.kept_out)
        if result.novelty is not None and why in (None, NOVEL):
            self._has_novelty = True  # else the model has no limit, and there is nothing to decide
            far = _against(why == NOVEL, self._limits.far_from_training)
        return np.array([far, 1 - far, poor, 1 - poor])

    def _check_place(self, result: TileResult, place: int) -> None:
        row, column = divmod(place, self._order.columns)
        width, height = result.span
        if not (abs(result.x - column * width) < width / 4 and abs(result.y - row * height) < height / 4):
            raise OptionError(
                f"found a tile at x={result.x:g}, y={result.y:g} as number {self.seen}, expected column "
                f"{column}, row {row}: results must come in the random order of the slide's places"
            )


def _against(hit: bool, limit: float) -> float:
    """A tile's value for the bet that the share of hits is above `limit`; its mean is 1/2 at the limit."""
    value = (1 + (hit - limit) / max(limit, 1 - limit)) / 2
    return float(in_grains(np.array([value]))[0])


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
