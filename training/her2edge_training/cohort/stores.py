"""One store of tiles for several trainings, and the tile cache behind it."""

from __future__ import annotations

import logging
from pathlib import Path

from her2edge.slide.images import decode_image
from her2edge_training.cohort.cache_folder import Say
from her2edge_training.cohort.stains import stain_normalizer
from her2edge_training.cohort.store import Decode, TileStore
from her2edge_training.cohort.tile_cache import open_cache
from her2edge_training.recipe import Stain

_log = logging.getLogger("her2edge")


class Stores:
    """One store for trainings that come one after the other on the same tiles; another stain has another.

    cache: folder of a tile cache, or None. say: receives a line at a time about it. `close` lets go of it.
    """

    def __init__(
        self, memory_mib: int, decode: Decode = decode_image, cache: Path | None = None, say: Say = _log.info
    ) -> None:
        self._memory_mib, self._decode, self._folder, self._say = memory_mib, decode, cache, say
        self._last: tuple[Stain, TileStore] | None = None

    def of(self, stain: Stain) -> TileStore:
        """The store of tiles so normalised; the memory of the one before is given back.

        Raises OutputError where the cache folder cannot be made, or holds anything else.
        """
        if self._last is None or self._last[0] != stain:
            self.close()
            normalize = stain_normalizer(stain)
            cache = open_cache(self._folder, stain, normalize, self._say) if self._folder else None
            self._last = stain, TileStore(normalize, self._memory_mib, self._decode, cache)
        return self._last[1]

    def close(self) -> None:
        """Let other processes add to the cache, and forget the store."""
        if self._last is not None:
            self._last[1].close()
        self._last = None
