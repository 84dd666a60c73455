"""`explain` for Keras networks: what `TileClassifier.explain` does for model files, by gradient."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

from her2edge.errors import MissingInputError, ModelError
from her2edge.explain import Explanation, background_error, label_index
from her2edge.prepare import Preparation, answered
from her2edge.stain import MacenkoNormalizer, StainMode
from her2edge.tile import LABELS, Pixels, Tile
from her2edge.tissue import TissueFilter
from her2edge_training.network.gradcam import GradCam
from her2edge_training.network.networks import load_trained
from her2edge_training.recipe import Recipe, Stain, read_recipe
from her2edge_training.synthetic import SITES

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
        self.labels, self.demo = labels, demo

    @classmethod
    def load(cls, path: str | Path) -> NetworkExplainer:
        """The network of a run folder, or of a .keras file; where no recipe.json is with it, the paper's
        scale, stain and tissue rule hold.

        Raises MissingInputError, ModelError, OptionError for the recipe.
        """
        path = Path(path)
        folder = path if path.is_dir() else path.parent
        network = folder / "model.keras" if path.is_dir() else path
        if path.is_dir() and not network.is_file():
            raise MissingInputError(
                f"{path.name}: found no model.keras, expected the folder of a finished training run"
            )
        model = load_trained(network)
        if not (folder / "recipe.json").is_file():
            return cls(model)
        return cls._of_run(model, read_recipe(folder / "recipe.json"), folder)

    @classmethod
    def _of_run(cls, model: Any, recipe: Recipe, folder: Path) -> NetworkExplainer:
        return cls(
            model,
            labels=recipe.labels,
            mpp=recipe.mpp,
            stain=recipe.stain,
            tissue=TissueFilter(share=recipe.max_background_share),
            demo=_is_synthetic(folder / "split.csv"),
        )

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


def _is_synthetic(split: Path) -> bool:
    """Whether a run learnt from drawn slides: their names end on a site's invented name."""
    if not split.is_file():
        return False
    names = tuple(f"-{site.name}" for site in SITES)
    with split.open(newline="", encoding="utf-8") as file:
        return any((row.get("slide") or "").endswith(names) for row in csv.DictReader(file))
