"""The end of a run: the network, what it says of each held-out tile, the scores. metrics.json comes last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2edge_training.network.predict import predict, with_features
from her2edge_training.network.sequence import TileSequence
from her2edge_training.recipe import Recipe
from her2edge_training.run.metrics import score
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.predictions import PartLogits
from her2edge_training.run.records import Metrics, Score


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder, the epochs it took, tile-level scores at the recipe's full tile size."""

    run: Path
    model: Path
    epochs: int
    protocol: str
    validation: Score
    test: Score


def finish(
    folder: NewRun,
    recipe: Recipe,
    model: Any,
    held_out: Callable[[str], TileSequence],
    epochs: int,
    background: int,
    say: Callable[[str], None],
) -> RunResult:
    """Write model.keras, predictions.csv, features.npz and metrics.json; the test part is read here, once.

    held_out: the tiles of the part "validation" or "test". background: tiles left out for it.
    """
    folder.write_network(model.save)
    both = with_features(model)
    parts: list[PartLogits] = []
    scores: dict[str, Score] = {}
    for part in ("validation", "test"):
        sequence = held_out(part)
        logits, features = predict(both, sequence)
        if part == "test":
            folder.write_features(features)
        parts.append(PartLogits(part, sequence.records, logits))
        scores[part] = score(sequence.records, logits, recipe.labels)
        say(
            f"{part}: {scores[part].accuracy:.4f} of {scores[part].tiles} tiles from "
            f"{scores[part].slides} slides ({recipe.split.protocol} split)"
        )
    folder.write_predictions(parts, recipe.labels)
    folder.end(
        Metrics(
            recipe=recipe.name,
            protocol=recipe.split.protocol,
            labels=recipe.labels,
            tile_px=recipe.tile_px,
            epochs=epochs,
            left_out_as_background=background,
            **scores,
        )
    )
    return RunResult(
        folder.path, folder.network, epochs, recipe.split.protocol, scores["validation"], scores["test"]
    )
