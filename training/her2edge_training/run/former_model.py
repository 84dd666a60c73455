"""Training that begins with the weights of a model file: read back, held against the file, recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from msgspec import UNSET, UnsetType

from her2edge.errors import ModelError, OptionError
from her2edge.model.file import Model
from her2edge.model.patients import TrainingPatients, spellings
from her2edge.probability import softmax
from her2edge.text import shown
from her2edge_training.cohort.split import SplitAssignment
from her2edge_training.cohort.tile_list import TileRecord, group_of
from her2edge_training.recipe import Architecture, Recipe
from her2edge_training.run.records import GATE, FormerFile, StartedFrom

if TYPE_CHECKING:
    from her2edge_training.network.sequence import TileSequence  # Keras; a run is read without it

READABLE: tuple[Architecture, ...] = ("se_resnet50", "resnet50")
CLOSE = 0.25  # of a golden tile's probability: rounding moves it less, a weight in a wrong place more


@dataclass(frozen=True, eq=False)
class FormerModel:
    """A verified model file: its weights, how they came to be, and whom they have seen.

    name: the file's. squeezed: see `StoredNetwork`.
    """

    name: str
    model: Model
    squeezed: tuple[int, int] | None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Verify and read a model file, whoever has signed it: it is run on no slide, and training ends in
        a file that must be signed itself.

        Raises MissingInputError, ModelError as `Model.load`; ModelError for a network that is no ResNet.
        """
        from her2edge_training.network.read_back import StoredNetwork

        model = Model.load(path, trust="anyone")
        architecture = model.manifest.architecture
        if architecture not in READABLE:
            raise ModelError(
                f"{path.name}: found a model of the network {shown(architecture)}, expected "
                f"{' or '.join(READABLE)}: weights of others cannot be read back from a model file; start "
                "from its run, `--from RUN`"
            )
        return cls(path.name, model, StoredNetwork.read(model.flatbuffer).squeezed)

    @property
    def source(self) -> StartedFrom:
        """As `Start` has it; the hash is the whole file's."""
        manifest = self.model.manifest
        return StartedFrom(
            manifest.training.recipe,
            manifest.metrics.get("training_seconds", 0.0),
            self.model.sha256,
            FormerFile(
                name=manifest.name,
                version=manifest.version,
                scheme=manifest.scheme,
                patients=manifest.training_patients,
            ),
        )

    def refuse_other_network(self, recipe: Recipe) -> None:
        """As `Start` has it."""
        manifest, head, squeezed = self.model.manifest, self.model.head, self.squeezed
        paper = recipe.architecture == "se_resnet50"
        units = None if squeezed is None else max(1, squeezed[1] // recipe.se_ratio)
        same = {
            "architecture": manifest.architecture == recipe.architecture,
            "se_ratio": not paper or squeezed is None or squeezed[0] == units,
            "separable_filters": not paper or manifest.features.shape[-1] == recipe.separable_filters,
            "dense_units": head.b1.size == recipe.dense_units,
            "labels": manifest.labels == recipe.labels,
        }
        other = [name for name, equal in same.items() if not equal]
        if other:
            raise OptionError(
                f"found {self.name} with another {', '.join(other)} ({shown(manifest.architecture)}, labels "
                f"{', '.join(map(shown, manifest.labels))}), expected the recipe's: start from a model of "
                "the same network"
            )

    def refuse_leak(self, assignment: SplitAssignment) -> None:
        """As `Start` has it; the file does not tell those it was trained on from those it was chosen by."""
        scored = [one for part in ("validation", "test", GATE) for one in assignment.select(part)]
        crossing = learnt_from(scored, self.model.manifest.training_patients)
        if crossing:
            raise OptionError(
                f"found {len(crossing)} patients to score whom {self.name} was trained on or chosen by "
                f"(first {crossing[0]}), expected none: use other slides, or start from its run, which tells "
                f"trained from chosen; if it is another patient of that name, change the name"
            )

    def words(self) -> list[str]:
        """What it is, and a warning where it does not say whom it learnt from."""
        manifest = self.model.manifest
        which = f"{shown(manifest.name)} {shown(manifest.version)}, {manifest.scheme}"
        lines = [f"starting from {self.name}: {which}, SHA-256 {self.model.sha256[:12]}"]
        if not self.source.states_patients:
            lines.append(
                f"warning: {self.name} does not say, or not in full, which patients it learnt from: that "
                "none of them is scored here could not be checked; the run's record and its model's card say "
                "so"
            )
        return lines

    def fill(self, network: Any, tiles: TileSequence, sized: Callable[[int], Any]) -> str:
        """As `Start` has it; raises ModelError where the network then answers otherwise than the file."""
        from her2edge_training.network.read_back import StoredNetwork, settle_norms

        StoredNetwork.read(self.model.flatbuffer).fill(network)
        settle_norms(network, tiles)
        golden = self.model.golden
        logits = np.asarray(sized(self.model.tile_px)(golden.tiles.astype(np.float32), training=False))
        apart = float(np.abs(softmax(logits, 1.0) - softmax(golden.logits, 1.0)).max())
        if not apart <= CLOSE:
            raise ModelError(
                f"{self.name}: the weights read back answer its golden tiles differently than the file "
                f"(probabilities {apart:.2f} apart), expected at most {CLOSE:g}: start from its run"
            )
        return (
            f"weights read back from {self.name}: probabilities of its golden tiles within {apart:.4f}; "
            f"norms have the statistics of {len(tiles) * tiles.batch} training crops"
        )


def learnt_from(tiles: Iterable[TileRecord], known: TrainingPatients | UnsetType) -> list[str]:
    """Groups of the tiles' patients that are among those of a model file, sorted; none where it is silent."""
    if known is UNSET:
        return []
    each = {who: spellings(*who) for who in {(tile.patient, tile.slide) for tile in tiles}}
    learnt = {group for group in set().union(*each.values()) if known.hold(group)}
    return sorted({group_of(*who) for who, groups in each.items() if groups & learnt})
