"""TIAToolbox's PatchPredictor over a slide, with the same weights, places and stain.

    python benchmarks/whole_tiatoolbox.py JOB OUT

Batches and workers are its defaults, 8 and 0. Its own tissue mask is another one, so the places are handed to
its data set; torchstain is the model's preprocessing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import twin  # noqa: F401 - what is unpickled
from marks import FIRST, READING, mark
from whole_forms import TWIN
from whole_job import MPP, TILE_PX, Job, write_results

sys.path.pop(0)  # transformers looks for a package `kernels`: that is not the file beside this one

import numpy as np
import torch
import zarr
from tiatoolbox.models.engine.io_config import IOPatchPredictorConfig
from tiatoolbox.models.engine.patch_predictor import PatchPredictor
from tiatoolbox.models.models_abc import ModelABC
from torchstain.numpy.normalizers import NumpyMacenkoNormalizer


class Network(ModelABC):  # type: ignore[misc, unused-ignore]
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.twin = torch.load(path, weights_only=False)
        normalizer = NumpyMacenkoNormalizer()  # its built-in target is the published one
        self.preproc_func = lambda pixels: normalizer.normalize(pixels, stains=False)[0]

    def forward(self, pixels: Any) -> Any:
        return self.twin(pixels)

    @staticmethod
    def infer_batch(model: Any, batch_data: Any, *, device: str) -> Any:
        with torch.inference_mode():
            pixels = batch_data.to(device).permute(0, 3, 1, 2).float()
            chances = torch.softmax(model(pixels), 1).numpy()
        mark(FIRST)
        return chances


class AtPlaces(PatchPredictor):  # type: ignore[misc, unused-ignore]
    """Of the grid that it lays itself, the places of the job: their corners at the network's resolution."""

    def __init__(self, job: Job) -> None:
        super().__init__(model=Network(Path(job.forms, TWIN)))
        self._corners = TILE_PX * np.array(job.places)

    def get_dataloader(self, *given: Any, **options: Any) -> Any:
        loader = super().get_dataloader(*given, **options)
        loader.dataset.inputs = np.concatenate((self._corners, self._corners + TILE_PX), 1)
        mark(READING)
        return loader


def main() -> None:
    job, out = Job.read(sys.argv[1]), Path(sys.argv[2])
    settings = IOPatchPredictorConfig(
        input_resolutions=[{"units": "mpp", "resolution": MPP}],
        patch_input_shape=[TILE_PX, TILE_PX],
        stride_shape=[TILE_PX, TILE_PX],
    )
    said = AtPlaces(job).run(
        images=[Path(job.slide)],
        patch_mode=False,
        ioconfig=settings,
        output_type="zarr",
        save_dir=out / "tiatoolbox",
        auto_get_mask=False,
        return_probabilities=True,
        wsireader_kwargs={"mpp": (job.mpp, job.mpp)},
    )
    (path,) = said.values()
    write_results(out, job, np.asarray(zarr.open(path, mode="r")["probabilities"]))


if __name__ == "__main__":
    main()
