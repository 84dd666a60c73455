"""The picture of a gate's report: where classes flip, and where in the network the noise comes in."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from her2edge.probability import probabilities
from her2edge.tile import RESEARCH_USE
from her2edge_quantize.gate.noise import Layer
from her2edge_quantize.gate.record import GateReport
from her2edge_training.run.predictions import Predictions

# Paul Tol's bright scheme: told apart without colour vision, too
COLOURS = {"other": "#bbbbbb", "squeeze-excite": "#ee6677", "depth-wise": "#aa3377", "head": "#4477aa"}
DPI = 240
FLIP, TILE = "#ee6677", "#4477aa"


def draw(report: GateReport, reference: Predictions, logits: NDArray[np.float32]) -> bytes:
    """PNG: every tile by how sure float32 is of it and how far the model is from it; every layer's noise.

    reference, logits: float32's answers to the held-out tiles and the model's, (n, 3) float32.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    tiles, layers = figure.subplots(1, 2) if report.layers else (figure.subplots(), None)
    _tiles(tiles, report.model.temperature, reference.logits, logits)
    if layers is not None:
        _layers(layers, report.layers)
    verdict = report.model.verdict
    figure.suptitle(f"{report.name}: {report.outcome} on {verdict.tiles} held-out tiles", fontsize=11)
    figure.supxlabel(RESEARCH_USE, fontsize=7)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data.getvalue()


def _tiles(axes: Any, temperature: float, before: NDArray[np.float32], after: NDArray[np.float32]) -> None:
    was, now = probabilities(before, temperature), probabilities(after, temperature)
    ordered = np.sort(was, axis=1)
    margin, difference = ordered[:, -1] - ordered[:, -2], np.abs(now - was).max(axis=1)
    flips = was.argmax(axis=1) != now.argmax(axis=1)
    for chosen, colour, marker, name in (
        (~flips, TILE, ".", "same class"),
        (flips, FLIP, "x", "another class"),
    ):
        label = f"{name}: {np.count_nonzero(chosen)}"
        axes.scatter(margin[chosen], difference[chosen], color=colour, marker=marker, s=22, label=label)
    axes.set(
        xlabel="float32: probability of the first class less that of the second, 0 to 1",
        ylabel="largest difference of a probability, 0 to 1",
        title="each tile: does its class stay?",
        xlim=(-0.02, 1.02),
    )
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()


def _layers(axes: Any, layers: tuple[Layer, ...]) -> None:
    """Layers without any difference have no bar."""
    for kind, colour in COLOURS.items():
        own = [(i, layer.snr_db) for i, layer in enumerate(layers) if layer.kind == kind]
        bars = [(i, ratio) for i, ratio in own if ratio is not None]
        if bars:
            axes.bar([i for i, _ in bars], [ratio for _, ratio in bars], color=colour, label=kind, width=0.9)
    axes.set(
        xlabel="operator, by number from pixels to logits",
        ylabel="signal to noise beside float32, dB",
        title="each layer: where noise comes in",
    )
    axes.grid(alpha=0.3, axis="y")
    axes.legend()
