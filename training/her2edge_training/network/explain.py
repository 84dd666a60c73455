"""`explain` for Keras networks: what `TileClassifier.explain` does for model files, by gradient."""

from __future__ import annotations

import time
from typing import Any

from her2edge.errors import ModelError
from her2edge.explain import Explanation, background_error, label_index
from her2edge.prepare import Preparation, answered
from her2edge.stain import MacenkoNormalizer, StainMode
from her2edge.tile import LABELS, Pixels, Tile
from her2edge.tissue import TissueFilter
from her2edge_training.network.gradcam import GradCam
from her2edge_training.recipe import Stain

PAPER_MPP = 0.25


class NetworkExplainer:
    """Explains tiles as a keras.Model sees them: checked, filtered and stain-normalised as in training.

    labels: names of the logits, in order. stain, tissue: None means the paper's.
    demo:   the network knows synthetic tissue only.

    Raises ModelError where the network has no feature map or another number of classes.
    """

    def __init__(
        self,
        network: Any,
        *,
        labels: tuple[str, ...] = LABELS,
        mpp: float = PAPER_MPP,
        stain: Stain | None = None,
        tissue: TissueFilter | None = None,
        demo: bool = False,
    ) -> None:
        self._gradcam = GradCam(network)
        if self._gradcam.classes != len(labels):
            raise ModelError(
                f"found a network of {self._gradcam.classes} classes, expected {len(labels)} "
                f"({', '.join(labels)}): name the labels it was trained with"
            )
        stain, tissue = stain or Stain(), tissue or TissueFilter()
        normalizer = None if stain.mode == StainMode.OFF else MacenkoNormalizer(stain.profile)
        self._preparation = Preparation(self._gradcam.tile_px, mpp, tissue, normalizer)
        self.labels, self.demo, self.mpp = labels, demo, mpp

    def explain(self, tile: Tile | Pixels, label: str | None = None) -> Explanation:
        """As `her2edge.TileClassifier.explain`; raises the same errors."""
        chosen = None if label is None else label_index(label, self.labels)
        result, pixels = self._preparation.prepare(
            self._preparation.check(tile if isinstance(tile, Tile) else Tile(tile))
        )
        if pixels is None:
            raise background_error(result)
        started = time.perf_counter()
        logits, features = self._gradcam.logits_and_features(pixels)
        result = answered(result, logits, self.labels, 1.0, time.perf_counter() - started)
        index = self.labels.index(str(result.label)) if chosen is None else chosen
        return Explanation(self._gradcam.class_map(features, index), self.labels[index], result)
