"""What a user would write today: OpenSlide, torchstain and PyTorch, one tile after the other.

    python benchmarks/plain.py SLIDE [--mpp UM] [--tiles N] [--threads T]

The same tiles of 512 px at 0.25 um per pixel, the same tissue rule, the paper's stain target and an
SE-ResNet50 with random weights; all of PyTorch's defaults, as most scripts have them.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import openslide
import torch
from torchstain.torch.normalizers import TorchMacenkoNormalizer

TILE_PX, MPP = 512, 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide")
    parser.add_argument("--mpp", type=float, help="um per pixel, where the slide does not state it")
    parser.add_argument("--tiles", type=int, default=20)
    parser.add_argument("--threads", type=int, help="default: PyTorch's own choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    classify_slide(arguments.slide, arguments.mpp, arguments.tiles, network())


def network() -> torch.nn.Module:
    """The paper's network, built in Keras and copied: PyTorch has no SE-ResNet50 of its own."""
    import keras
    from twin import Twin

    from her2edge_training.network.networks import build_model

    keras.utils.set_random_seed(1)
    return Twin(build_model("se_resnet50", tile_px=TILE_PX))


def classify_slide(path: str, mpp: float | None, most: int, model: torch.nn.Module) -> tuple[int, float]:
    """(tissue tiles, seconds): every tile of the slide, row by row, until `most` of tissue."""
    slide = openslide.OpenSlide(path)
    scale = MPP / (mpp or float(slide.properties["openslide.mpp-x"]))
    side = round(TILE_PX * scale)
    width, height = slide.dimensions
    normalizer = TorchMacenkoNormalizer()  # its built-in target is the published one
    done, began = 0, time.perf_counter()
    for y in range(0, height - side + 1, side):
        for x in range(0, width - side + 1, side):
            image = slide.read_region((x, y), 0, (side, side)).convert("RGB").resize((TILE_PX, TILE_PX))
            grey = np.asarray(image.convert("L"))
            if (grey >= 180).mean() >= 0.60:
                continue
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
            stained, _, _ = normalizer.normalize(pixels, stains=False)
            with torch.inference_mode():
                logits = model(stained.permute(2, 0, 1).float().unsqueeze(0))
                chances = torch.softmax(logits, 1)[0]
            assert torch.isfinite(chances).all()
            done += 1
            if done == most:
                return _told(done, began)
    return _told(done, began)


def _told(done: int, began: float) -> tuple[int, float]:
    seconds = time.perf_counter() - began
    print(f"plain script: {done} tissue tiles in {seconds:.1f} s, {done / seconds:.2f} tiles/s")
    return done, seconds


if __name__ == "__main__":
    main()
