"""The end of a run: the network, what it says of each held-out tile, the scores. metrics.json comes last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from her2edge.files import whole, write_bytes
from her2edge_training.cohort.dataset import TileSequence
from her2edge_training.evaluation.probe import write_features
from her2edge_training.recipe import Recipe
from her2edge_training.run.checkpoint import forget_checkpoint
from her2edge_training.run.metrics import Score, score
from her2edge_training.run.predictions import predict, prediction_rows, predictions_csv, with_features


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
    run: Path,
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
    with whole(run / "model.keras") as temporary:
        model.save(str(temporary))
    both = with_features(model)
    scores, rows = {}, []
    for part in ("validation", "test"):
        sequence = held_out(part)
        logits, features = predict(both, sequence)
        if part == "test":
            write_features(run, features)
        rows += prediction_rows(part, sequence.records, logits)
        scores[part] = score(sequence, logits, len(recipe.labels))
        say(
            f"{part}: {scores[part].accuracy:.4f} of {scores[part].tiles} tiles from "
            f"{scores[part].slides} slides ({recipe.split.protocol} split)"
        )
    write_bytes(run / "predictions.csv", predictions_csv(rows, recipe.labels))
    metrics = {
        "recipe": recipe.name,
        "protocol": recipe.split.protocol,
        "labels": recipe.labels,
        "tile_px": recipe.tile_px,
        "epochs": epochs,
        "left_out_as_background": background,
        **{part: asdict(result) for part, result in scores.items()},
    }
    write_bytes(run / "metrics.json", msgspec.json.format(msgspec.json.encode(metrics), indent=2) + b"\n")
    forget_checkpoint(run)
    return RunResult(
        run, run / "model.keras", epochs, recipe.split.protocol, scores["validation"], scores["test"]
    )
