"""What a user would write today: OpenSlide, torchstain and a runtime, one tile after the other.

    python benchmarks/whole_plain.py JOB OUT --network NETWORK

The paper's stain target; all of the runtime's defaults, as most scripts have them, but for `torch-bf16`,
which is PyTorch at its fastest here. Which places are tissue is handed over, and costs it nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openslide
from marks import FIRST, READING, mark
from whole_forms import ONNX, ONNX_INT8, TWIN
from whole_job import TILE_PX, Job, write_results

Classify = Callable[[Any], Any]  # (512, 512, 3) uint8 RGB in, (3,) probabilities out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", choices=NETWORKS, required=True)
    given = parser.parse_args()
    job = Job.read(given.job)
    write_results(given.out, job, _each(job, NETWORKS[given.network](Path(job.forms))))


def _each(job: Job, classify: Classify) -> Iterator[Any]:
    side = round(job.step)
    slide = openslide.OpenSlide(job.slide)
    if openslide.PROPERTY_NAME_BOUNDS_X in slide.properties:
        raise SystemExit("this slide states bounds, and its places are counted from them: choose another one")
    mark(READING)
    for corner in job.corners:
        image = slide.read_region(corner, 0, (side, side)).convert("RGB")
        if side != TILE_PX:
            image = image.resize((TILE_PX, TILE_PX))
        yield classify(np.array(image))
        mark(FIRST)


def with_torch(folder: Path, dtype: str, channels_last: bool) -> Classify:
    import torch
    from torchstain.torch.normalizers import TorchMacenkoNormalizer

    kind = getattr(torch, dtype)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = torch.load(folder / TWIN, weights_only=False).to(kind).to(memory_format=layout)
    normalizer = TorchMacenkoNormalizer()  # its built-in target is the published one

    def classify(pixels: Any) -> Any:
        stained, _, _ = normalizer.normalize(torch.from_numpy(pixels).permute(2, 0, 1), stains=False)
        with torch.inference_mode():
            batch = stained.permute(2, 0, 1).unsqueeze(0).to(kind).contiguous(memory_format=layout)
            return torch.softmax(network(batch).float(), 1)[0].numpy()

    return classify


def with_onnx(folder: Path, name: str) -> Classify:
    import onnxruntime
    from torchstain.numpy.normalizers import NumpyMacenkoNormalizer

    session = onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
    normalizer = NumpyMacenkoNormalizer()

    def classify(pixels: Any) -> Any:
        stained, _, _ = normalizer.normalize(pixels, stains=False)
        batch = np.ascontiguousarray(stained.transpose(2, 0, 1)[np.newaxis], np.float32)
        (logits,) = session.run(None, {"pixels": batch})[0]
        chances = np.exp(logits - logits.max())
        return chances / chances.sum()

    return classify


NETWORKS: dict[str, Callable[[Path], Classify]] = {
    "torch": lambda folder: with_torch(folder, "float32", channels_last=False),
    "torch-bf16": lambda folder: with_torch(folder, "bfloat16", channels_last=True),
    "onnx": lambda folder: with_onnx(folder, ONNX),
    "onnx-int8": lambda folder: with_onnx(folder, ONNX_INT8),
}


if __name__ == "__main__":
    main()
