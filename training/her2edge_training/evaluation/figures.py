"""The pictures of an evaluation: curves as in the paper's Fig. 6, confusion as in Fig. 7, reliability."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

from her2edge.probability import softmax
from her2edge.text import percent
from her2edge.tile import RESEARCH_USE
from her2edge_training.evaluation.collate import Result
from her2edge_training.evaluation.report import PROTOCOLS
from her2edge_training.evaluation.scores import calibration_bins

DPI = 240
AXES = {"accuracy": "accuracy, share of tiles, 0 to 1", "loss": "loss, mean cross-entropy of a tile, nats"}
TRAIN, HELD_OUT = "#4477aa", "#ee6677"  # Paul Tol's bright scheme: told apart without colour vision, too


def draw_curves(result: Result) -> bytes:
    """PNG: accuracy and loss over the epochs of the first fold, on training and validation tiles."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (name, curve) in zip(figure.subplots(1, 2), result.curves.items(), strict=True):
        epochs = range(1, len(curve.train) + 1)
        axes.plot(epochs, curve.train, color=TRAIN, marker=".", label="training tiles")
        axes.plot(
            epochs, curve.validation, color=HELD_OUT, marker="x", linestyle="--", label="validation tiles"
        )
        axes.set(xlabel="epoch, times all training tiles were seen", ylabel=AXES.get(name, name), title=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return _png(figure, result)


def draw_confusion(result: Result) -> bytes:
    """PNG: tiles of each actual class (rows) by predicted class (columns), with the share of the row."""
    labels, matrix = result.test.labels, result.evaluation.confusion
    figure = Figure(figsize=(5, 4.6), layout="constrained")
    axes = figure.subplots()
    shares = [[n / max(1, sum(row)) for n in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(matrix):
        for j, n in enumerate(row):
            ink = "white" if shares[i][j] > 0.55 else "black"
            axes.text(j, i, f"{n}\n{percent(shares[i][j], 1)}", ha="center", va="center", color=ink)
    axes.set(
        xlabel="predicted class", ylabel="actual class", xticks=range(len(labels)), yticks=range(len(labels))
    )
    axes.set(xticklabels=labels, yticklabels=labels, title="number of tiles, and share of its row")
    axes.title.set_fontsize(9)
    return _png(figure, result)


def draw_reliability(result: Result) -> bytes:
    """PNG: accuracy of tiles by the confidence stated, before and after the temperature."""
    figure = Figure(figsize=(5, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="confidence = accuracy")
    scores = result.evaluation
    for name, temperature, error, color, marker in (
        ("as trained", 1.0, scores.ece, HELD_OUT, "x"),
        (f"temperature {scores.temperature:.2f}", result.temperatures, scores.ece_calibrated, TRAIN, "o"),
    ):
        bins = calibration_bins(softmax(result.test.logits, temperature), result.test.actual)
        confidence, accuracy = [b[0] for b in bins], [b[1] for b in bins]
        axes.plot(confidence, accuracy, color=color, marker=marker, label=f"{name}, ECE {error:.3f}")
    axes.set(
        xlabel="confidence: probability stated of the first class, 0 to 1",
        ylabel="accuracy: share of these tiles that are right, 0 to 1",
        xlim=(1 / len(result.test.labels) - 0.03, 1.01),
        ylim=(0, 1.01),
    )
    axes.grid(alpha=0.3)
    axes.legend()
    return _png(figure, result)


def _png(figure: Any, result: Result) -> bytes:
    figure.suptitle(f"{result.recipe}, {PROTOCOLS[result.protocol]}", fontsize=11)
    figure.supxlabel(RESEARCH_USE, fontsize=7)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data.getvalue()
