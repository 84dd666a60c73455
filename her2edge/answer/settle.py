"""Settle: read a slide's tiles in random order, and stop when the rest could hardly change the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from her2edge.answer.answer import ReasonCode, Settled
from her2edge.answer.at_most import at_most
from her2edge.answer.martingale import Bets, in_grain
from her2edge.answer.order import RandomOrder
from her2edge.answer.pooling import MIN_TISSUE_TILES, check_fewest
from her2edge.answer.votes import NOVEL, far_from_training, is_classified, kept_out
from her2edge.errors import OptionError
from her2edge.model.protocol import StoppingRule
from her2edge.model.slide_records import AnswerLimits
from her2edge.tile import TileResult

FEWEST = 30  # tissue tiles: on fewer, quality and novelty say nothing of a slide
_NO_VOTE = 255


@dataclass(frozen=True)
class Settle:
    """Stop as soon as the answer is settled.

    error:     at most the chance, 0.0001..0.5, that reading every tile would have given another label. That
               is agreement with the full reading, not with the truth.
    minimum:   tissue tiles that are read anyway, 30 or more.
    max_tiles: stop after this number of places in any case, `minimum` or more; None: only when settled.
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
    Two more pairs of bets decide whether the tiles far from the training, and those that quality or stains
    keep out, are more than the model's limits. All share `error`: each needs a wealth of
    (labels + 1) / error.
    """

    def __init__(
        self,
        rule: Settle,
        order: RandomOrder,
        labels: tuple[str, ...],
        *,
        min_tissue_tiles: int = MIN_TISSUE_TILES,
        limits: AnswerLimits | None = None,
    ) -> None:
        """labels: the model's. min_tissue_tiles: tiles that vote, without which there is no label anyway.

        limits: of the model file; None: the usual ones. Raises OptionError for a minimum out of range.
        """
        check_fewest(min_tissue_tiles)
        if not isinstance(order, RandomOrder):
            raise OptionError(
                f"found a {type(order).__name__} for the order, expected a RandomOrder: an answer may settle "
                "only on tiles that were read in random order"
            )
        self._rule, self._order, self._labels = rule, order, labels
        self._pooled_fewest, self._limits = min_tissue_tiles, limits or AnswerLimits()
        self._pairs = list(permutations(range(len(labels)), 2))
        each = len(labels) - 1
        self._wins = [slice(k * each, (k + 1) * each) for k in range(len(labels))]  # of the pairs, in order
        self._far, self._poor = (
            (_against(0, limit), _against(1, limit))
            for limit in (self._limits.far_from_training, self._limits.kept_out)
        )
        self._no_vote = [0.5] * len(self._pairs)
        self._idle = np.full(len(self._pairs) + 4, 0.5)  # of a place without tissue
        self._bets = Bets(len(order), len(self._pairs) + 4)
        self._needed = math.log((len(labels) + 1) / rule.error)
        self._classified = self._pooled = self._left_out = self._judged = self._novel = 0
        self._sums = [0.0] * len(labels)  # of the probabilities of tiles that vote, exact
        self._decided = False
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
        values, vote = self._idle, _NO_VOTE
        if is_classified(result, self._labels) and result.probabilities is not None:
            self._classified += 1
            why, between = kept_out(result), self._no_vote
            if why is None:
                self._pooled += 1
                chances = result.probabilities.tolist()
                p = [in_grain(chance) for chance in chances]
                between = [(1 + p[a] - p[b]) / 2 for a, b in self._pairs]
                vote = chances.index(max(chances))
                self._counts[vote] += 1
                self._sums = [one + more for one, more in zip(self._sums, p, strict=True)]
            values = np.array([*between, *self._rule_values(result, why)])
        self._votes.append(vote)
        self._bets.read_one(values)
        self._decided = self._classified >= self._rule.minimum and self._decide()

    def verdict(self) -> Settled:
        """What the tiles read so far are good for; it takes some seconds for 400,000 of them."""
        votes = np.frombuffer(bytes(self._votes), np.uint8)
        bounds = {
            label: at_most(len(self._order), votes == index, votes != _NO_VOTE)
            for index, label in enumerate(self._labels)
        }
        whole = self.seen == len(self._order)
        refused, winner = self._known() if whole else self._inferred()
        rule = self._rule
        return Settled(
            settled=self.settled,
            label=None if winner is None else self._labels[winner],
            error=0.0 if whole else rule.error,
            minimum=rule.minimum,
            tiles_seen=self.seen,
            tiles_total=len(self._order),
            at_most=bounds,
            refused=refused,
            rule=StoppingRule(error=rule.error, minimum=rule.minimum, max_tiles=rule.max_tiles),
        )

    def _inferred(self) -> tuple[ReasonCode | None, int | None]:
        """What the bets have decided: the slide rule that refuses, or the label."""
        if not self.decided:
            return None, None
        won = self._won()
        if self._refused(won):
            return ReasonCode.FAR_FROM_TRAINING if won[-4] else ReasonCode.LOW_QUALITY, None
        return None, self._winner(won)

    def _known(self) -> tuple[ReasonCode | None, int | None]:
        """The same where every place was read: counted, not inferred."""
        judged = self._judged >= self._pooled_fewest
        if judged and self._novel > self._limits.far_from_training * self._judged:
            return ReasonCode.FAR_FROM_TRAINING, None
        if self._left_out > self._limits.kept_out * self._classified:
            return ReasonCode.LOW_QUALITY, None
        enough = self._pooled >= self._pooled_fewest
        return None, self._sums.index(max(self._sums)) if enough else None

    def _won(self) -> list[bool]:
        """Of each pair of labels, then of the slide rules: far, near, poor, good."""
        won: list[bool] = (self._bets.peaks >= self._needed).tolist()
        return won

    def _refused(self, won: list[bool]) -> bool:
        return won[-4] or won[-2]

    def _decide(self) -> bool:
        won = self._won()
        if self._refused(won):
            return True
        _, near, _, good = won[-4:]
        if not good or (self._judged and not near) or self._pooled < self._pooled_fewest:
            return False
        return self._winner(won) is not None

    def _winner(self, won: list[bool]) -> int | None:
        """The label that has won against every other."""
        for label, pairs in enumerate(self._wins):
            if all(won[pairs]):
                return label
        return None

    def _rule_values(self, result: TileResult, why: str | None) -> tuple[float, float, float, float]:
        """The slide rules' values of a classified tile, each on either side of its limit."""
        left_out, novel = why not in (None, NOVEL), far_from_training(result)
        self._left_out += left_out
        far, poor = 0.5, self._poor[left_out]
        if novel is not None:  # else the model has no limit, and there is nothing to decide
            self._judged += 1
            self._novel += novel
            far = self._far[novel]
        return far, 1 - far, poor, 1 - poor

    def _check_place(self, result: TileResult, place: int) -> None:
        row, column = divmod(place, self._order.columns)
        width, height = result.span
        if not (abs(result.x - column * width) < width / 4 and abs(result.y - row * height) < height / 4):
            raise OptionError(
                f"found a tile at x={result.x:g}, y={result.y:g} as number {self.seen}, expected column "
                f"{column}, row {row}: results must come in the random order of the slide's places"
            )


def _against(hit: int, limit: float) -> float:
    """A tile's value for the bet that the share of hits is above `limit`; its mean is 1/2 at the limit."""
    return in_grain((1 + (hit - limit) / max(limit, 1 - limit)) / 2)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
