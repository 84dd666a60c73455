"""The ways that `whole.py` compares: what each runs, what it needs installed, what is different about it."""

from __future__ import annotations

from dataclasses import dataclass

SETTLED = "her2edge --until-settled"
REFERENCE = "plain: PyTorch float32"  # the others' probabilities are held against its
OURS = "her2edge[cli,regions,slides]"
SLIDES = ("openslide-python", "openslide-bin", "pillow")


@dataclass(frozen=True)
class Way:
    """script: in this folder; it is given job, folder for its results and `options`. needs: packages.
    without_stain: it has no stain normalisation, so it sees other pixels. exact: float32, as the reference
    is."""

    script: str
    needs: tuple[str, ...]
    options: tuple[str, ...] = ()
    without_stain: bool = False
    exact: bool = False


WAYS = {
    "her2edge, LiteRT": Way("whole_ours.py", (OURS,), ("--runtime", "litert")),
    "her2edge, OpenVINO": Way("whole_ours.py", (OURS, "openvino"), ("--runtime", "openvino")),
    REFERENCE: Way("whole_plain.py", (*SLIDES, "torch", "torchstain"), ("--network", "torch"), exact=True),
    "plain: PyTorch bf16, channels last": Way(
        "whole_plain.py", (*SLIDES, "torch", "torchstain"), ("--network", "torch-bf16")
    ),
    "plain: ONNX Runtime float32": Way(
        "whole_plain.py", (*SLIDES, "onnxruntime", "torchstain"), ("--network", "onnx"), exact=True
    ),
    "plain: ONNX Runtime int8": Way(
        "whole_plain.py", (*SLIDES, "onnxruntime", "torchstain"), ("--network", "onnx-int8")
    ),
    "TIAToolbox PatchPredictor": Way("whole_tiatoolbox.py", ("tiatoolbox", "torchstain"), exact=True),
    "WSInfer, no stain normalisation": Way(
        "whole_wsinfer.py", ("wsinfer", "openslide-python", "openslide-bin"), without_stain=True
    ),
    SETTLED: Way("whole_ours.py", (OURS,), ("--runtime", "litert", "--until-settled")),
}
