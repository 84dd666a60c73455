"""The files of one network that the ways of `whole.py` open: of the SDK, ONNX, PyTorch, TorchScript.

    python benchmarks/whole_forms.py FOLDER [--run RUN]

A process of its own, so that Keras' memory is not the measuring one's. What lies in FOLDER is not made again.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

OURS, ONNX, ONNX_INT8, TWIN, SCRIPT = (
    "int8-fast.tflite", "float32.onnx", "int8.onnx", "twin.pt", "torchscript.pt",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path, help="folder of a training run; default: random weights")
    given = parser.parse_args()
    if all((given.folder / name).exists() for name in (OURS, ONNX, ONNX_INT8, TWIN, SCRIPT)):
        return
    import torch
    from network import TILE_PX, make_forms
    from twin import Twin

    forms = make_forms(given.run, given.folder, 1, lambda what: print(what, file=sys.stderr))
    twin = Twin(forms.keras)
    torch.save(twin, given.folder / TWIN)
    traced = torch.jit.trace(twin, torch.zeros(1, 3, TILE_PX, TILE_PX))
    torch.jit.save(traced, str(given.folder / SCRIPT))


if __name__ == "__main__":
    main()
