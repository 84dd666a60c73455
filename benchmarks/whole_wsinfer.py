"""WSInfer's inference over a slide, with the same weights, as TorchScript, at the same places.

    python benchmarks/whole_wsinfer.py JOB OUT

Its command asks a hub for a list of models even where the model is a local file, so the function below it is
called, with the command's batches and workers: 32, and one a core. The places stand in the file that its own
tissue search would write. It has no stain normalisation.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from marks import FIRST, READING, mark
from whole_forms import SCRIPT
from whole_job import MPP, TILE_PX, Job, write_results
from wsinfer.modellib import models, run_inference
from wsinfer_zoo.client import ModelConfiguration, TransformConfigurationItem

LABELS = ("a", "b", "c")


class Marked(torch.nn.Module):
    """The network, which marks its first batch."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        mark(READING)

    def forward(self, pixels: Any) -> Any:
        logits = self.network(pixels)
        mark(FIRST)
        return logits


def main() -> None:
    job, out = Job.read(sys.argv[1]), Path(sys.argv[2])
    slide = Path(job.slide)
    for folder in ("slides", "results", "results/patches"):
        (out / folder).mkdir()
    (out / "slides" / slide.name).symlink_to(slide)
    with h5py.File(out / "results" / "patches" / f"{slide.stem}.h5", "w") as file:
        places = file.create_dataset("/coords", data=np.array(job.corners))
        places.attrs.update(patch_size=round(job.step), patch_level=0, patch_spacing_um_px=MPP)
    steps = {
        "Resize": {"size": TILE_PX},
        "ToTensor": None,
        "Normalize": {"mean": [0, 0, 0], "std": [1 / 255] * 3},  # the network takes 0..255
    }
    settings = ModelConfiguration(
        "se_resnet50", len(LABELS), LABELS, TILE_PX, MPP,
        [TransformConfigurationItem(name, arguments) for name, arguments in steps.items()],
    )  # fmt: skip
    opened = run_inference.get_pretrained_torch_module
    run_inference.get_pretrained_torch_module = lambda model: Marked(opened(model))
    _, failed = run_inference.run_inference(
        out / "slides", out / "results", models.LocalModelTorchScript(settings, str(Path(job.forms, SCRIPT))),
        batch_size=32, num_workers=min(len(os.sched_getaffinity(0)), 8),
    )  # fmt: skip
    if failed:
        raise SystemExit(f"WSInfer could not read {slide.name}")
    with (out / "results" / "model-outputs-csv" / f"{slide.stem}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    write_results(out, job, ([float(row[f"prob_{label}"]) for label in LABELS] for row in rows))


if __name__ == "__main__":
    main()
