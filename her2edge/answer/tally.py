"""Results read once, and what the slide answer needs of them: counts, and 20 bytes of a tile that votes."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from her2edge.answer.votes import far_from_training, is_classified, kept_out
from her2edge.tile import Background, Outcome, TileResult

_FARTHEST = (1 << 16) - 1
_OFF_GRID = 0.01  # of a tile's side: tiles of a grid lie at whole steps


class Tally:
    """Counts of all tiles; place and probabilities of those that vote.

    judged: classified tiles that no quality code keeps out and whose novelty was measured, their stains
    fitted or not; novel: those of them that are far from training.
    tissue_area, classified_area: in tiles, of those whose glass was measured.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.outcomes: Counter[Outcome] = Counter()
        self.background: Counter[Background] = Counter()
        self.codes: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.judged = self.novel = 0
        self.measured = False
        self.tissue_area = self.classified_area = 0.0
        self.on_grid = True
        self._frame: tuple[str, tuple[float, float]] | None = None
        self._places = array("H")
        self._probabilities = array("f")

    @classmethod
    def of(cls, results: Iterable[TileResult], labels: tuple[str, ...]) -> Tally:
        """Read results once. Raises OptionError where one is of other labels."""
        tally = cls(labels)
        for result in results:
            tally.add(result)
        return tally

    def add(self, result: TileResult) -> None:
        """Count one tile."""
        self.outcomes[result.outcome] += 1
        if result.background is not None:
            self.background[result.background] += 1
        classified = is_classified(result, self.labels)
        self._measure(result, classified)
        if not classified:
            return
        self.codes.update(map(str, result.quality))
        why, far = kept_out(result), far_from_training(result)
        self.judged += far is not None
        self.novel += far is True
        if why is not None:
            self.left_out[why] += 1
        elif result.probabilities is not None:
            self._place(result)
            self._probabilities.extend(result.probabilities.tolist())

    @property
    def pooled(self) -> int:
        """Tiles that vote."""
        return len(self._places) // 2

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(pooled, labels) float32."""
        return np.asarray(self._probabilities, np.float32).reshape(-1, len(self.labels))

    @property
    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Column and row in the tile grid of the tiles that vote, (pooled,) each."""
        both = np.asarray(self._places, np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def _measure(self, result: TileResult, classified: bool) -> None:
        if result.glass_fraction is None:
            return
        self.measured = True
        area = 0.0 if result.background is Background.GLASS else 1 - result.glass_fraction
        self.tissue_area += area
        self.classified_area += area if classified else 0.0

    def _place(self, result: TileResult) -> None:
        """Where a voting tile lies; a tile of another slide, size or step has no place in this grid."""
        frame = result.slide, result.span
        if self._frame is None:
            self._frame = frame
        column = row = 0
        width, height = result.span
        if self.on_grid and frame == self._frame and width > 0 and height > 0:
            across, down = result.x / width, result.y / height
            column, row = round(across), round(down)
            whole = abs(across - column) <= _OFF_GRID and abs(down - row) <= _OFF_GRID
            self.on_grid = whole and 0 <= column <= _FARTHEST and 0 <= row <= _FARTHEST
        else:
            self.on_grid = False
        self._places.extend((column, row) if self.on_grid else (0, 0))
