"""`explain` for a finished run, or for a network that was taken out of one."""

from __future__ import annotations

import os
from pathlib import Path

from her2edge.errors import MissingInputError
from her2edge.tissue import TissueFilter
from her2edge_training.network.explain import NetworkExplainer
from her2edge_training.network.networks import load_trained
from her2edge_training.run.folder import RunFolder
from her2edge_training.synthetic import SITES


def load_explainer(path: str | Path) -> NetworkExplainer:
    """The network of a run folder, or of a .keras file; where no recipe.json is with it, the paper's scale,
    stain and tissue rule hold.

    Raises MissingInputError, ModelError; RunFolderError for the run's other files.
    """
    path = Path(path)
    folder = RunFolder(path if os.path.isdir(path) else path.parent)  # noqa: PTH112 - Path's raises for a name too long
    network = folder.network if os.path.isdir(path) else path  # noqa: PTH112 - Path's raises for a name too long
    if os.path.isdir(path) and not os.path.isfile(network):  # noqa: PTH112, PTH113 - Path's raises for a name too long
        raise MissingInputError(
            f"{path.name}: found no model.keras, expected the folder of a finished training run"
        )
    model = load_trained(network)
    if not folder.holds("recipe.json"):
        return NetworkExplainer(model)
    recipe = folder.recipe()
    return NetworkExplainer(
        model,
        labels=recipe.labels,
        mpp=recipe.mpp,
        stain=recipe.stain,
        tissue=TissueFilter(share=recipe.max_background_share),
        demo=_is_synthetic(folder),
    )


def _is_synthetic(folder: RunFolder) -> bool:
    """Whether a run learnt from drawn slides: their names end on a site's invented name."""
    names = tuple(f"-{site.name}" for site in SITES)
    return folder.holds("split.csv") and any(row.slide.endswith(names) for row in folder.split())
