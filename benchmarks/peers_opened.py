"""Every runtime that is compared, on one thread: a function of a (t, t, 3) uint8 tile to its logits."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from network import Forms

from her2edge.errors import OptionError, RuntimeUnavailable
from her2edge.runtime import Plan, open_plan
from her2edge.runtime.machine import usable_cores
from her2edge.runtime.packing import InputWriter
from her2edge.runtime.tune import network_rate
from her2edge.tile import Pixels

Function = Callable[[Pixels], Any]
COUNT = 24  # tiles of a measurement of throughput, at least


@dataclass(frozen=True)
class Ours:
    """A plan of the SDK as an opener."""

    plan: Plan

    def __call__(self, forms: Forms) -> Function:
        try:
            return open_plan(self.plan, forms.model).logits
        except (OptionError, RuntimeUnavailable) as error:  # no such precision here
            raise ImportError(str(error)) from error


OURS = {
    "LiteRT int8 (her2edge, fast)": Ours(Plan("litert", 1)),
    "OpenVINO int8 (her2edge, fast)": Ours(Plan("openvino", 1)),
    "OpenVINO int8, bf16 sums (her2edge)": Ours(Plan("openvino", 1, 1, "bf16")),
    "OpenVINO int8, f16 sums (her2edge)": Ours(Plan("openvino", 1, 1, "f16")),
}


def one_thread() -> None:
    """TensorFlow takes it only before it does anything; the others where they are opened."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def onnxruntime(path: Path) -> Function:
    import onnxruntime as ort
    from twin import channels_first

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda tile: session.run(None, {"pixels": channels_first(tile)})[0]


def openvino(forms: Forms, precision: str) -> Function:
    from openvino import Core
    from twin import channels_first

    core = Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ImportError("this processor has no bf16")
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    compiled = core.compile_model(str(forms.onnx), "CPU", settings)
    return lambda tile: compiled(channels_first(tile))[0].copy()


def torch(forms: Forms, dtype: str, channels_last: bool) -> Function:
    import torch
    from twin import Twin

    torch.set_num_threads(1)
    kind = getattr(torch, dtype)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    twin = Twin(forms.keras).to(kind).to(memory_format=layout)

    def classify(tile: Pixels) -> Any:
        with torch.inference_mode():
            pixels = torch.from_numpy(tile).permute(2, 0, 1).unsqueeze(0)
            return twin(pixels.to(kind).contiguous(memory_format=layout)).float().numpy()

    return classify


def tensorflow(forms: Forms) -> Function:
    import tensorflow as tf

    size = forms.model.tile_px
    run = tf.function(
        lambda pixels: forms.keras(pixels, training=False),
        input_signature=[tf.TensorSpec((1, size, size, 3), tf.float32)],
    )
    return lambda tile: run(tf.constant(tile[np.newaxis], tf.float32)).numpy()


PEERS: dict[str, Callable[[Forms], Function]] = {
    "ONNX Runtime float32": lambda forms: onnxruntime(forms.onnx),
    "ONNX Runtime int8": lambda forms: onnxruntime(forms.onnx_int8),
    "OpenVINO float32 (ONNX)": lambda forms: openvino(forms, "f32"),
    "OpenVINO bf16 (ONNX)": lambda forms: openvino(forms, "bf16"),
    "PyTorch float32": lambda forms: torch(forms, "float32", channels_last=False),
    "PyTorch float32, channels last": lambda forms: torch(forms, "float32", channels_last=True),
    "PyTorch bf16, channels last": lambda forms: torch(forms, "bfloat16", channels_last=True),
    "TensorFlow float32": tensorflow,
}


def throughput(forms: Forms, rounds: int) -> dict[str, list[float]]:
    """Tiles per second on all cores, in turns, a number a round; the first, warm-up, is left out."""
    cores = usable_cores()
    measured: dict[str, Callable[[], float]] = {}
    for name, runtime in (("LiteRT", "litert"), ("OpenVINO", "openvino")):
        for interpreters, threads in ((1, cores), (cores, 1)):
            plan = Plan(runtime, threads, interpreters)
            try:
                measured[f"{name}, {interpreters} x {threads}"] = _planned(plan, forms)
            except RuntimeUnavailable as error:
                print(f"{name} is left out: {error}")
    if any("OpenVINO" in name for name in measured):
        measured["OpenVINO's throughput mode"] = _throughput_mode(forms)
    rates: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(rounds + 1):
        for name, measure in measured.items():
            rate = measure()
            if number:
                rates[name].append(round(rate, 3))
    return rates


def _planned(plan: Plan, forms: Forms) -> Callable[[], float]:
    runtime = open_plan(plan, forms.model)
    return lambda: network_rate(runtime, forms.model, plan.interpreters, COUNT)


def _throughput_mode(forms: Forms) -> Callable[[], float]:
    """The same FlatBuffer with OpenVINO's own queue of requests."""
    from openvino import AsyncInferQueue, Core

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(forms.model.flatbuffer)
        compiled = Core().compile_model(str(path), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    writer, tile = InputWriter(forms.model.manifest.input), forms.tiles[0]

    def measure() -> float:
        queue = AsyncInferQueue(compiled)
        began = time.perf_counter()
        for one in repeat(tile, COUNT):
            place = queue.get_idle_request_id()
            writer.write(one, queue[place].get_input_tensor().data)
            queue.start_async()
        queue.wait_all()
        return COUNT / (time.perf_counter() - began)

    return measure
