"""The SDK's int8 model beside ONNX Runtime, OpenVINO, PyTorch and TensorFlow: one network, one run.

    python benchmarks/peers.py [--run RUN] [--tiles 12] [--rounds 3] [--keep FOLDER] [--save NAME]

In an environment of its own, see benchmarks/README.md. RUN is the folder of a training run of the paper's
network; without it weights are random, from a fixed seed. Before anything is timed the peers' logits are
held against Keras'. Then all take turns on the same (512, 512, 3) uint8 tiles, one thread each; what a peer
does to its input is in its time. At last tiles per second on all cores: LiteRT and OpenVINO, as the SDK runs
them and OpenVINO in its own throughput mode.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from her2edge.text import percent

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np
from harness import describe, ratio, save, spread, take_turns
from network import Forms, make_forms
from peers_opened import OURS, PEERS, one_thread, throughput

from her2edge.runtime import Host, Plan
from her2edge.runtime.tune import tune
from her2edge.tile import Pixels

ALIKE = 1e-3  # of the largest logit: float32 peers sum in another order
FLOAT32 = "float32"
PACKAGES = ("ai-edge-litert", "openvino", "onnxruntime", "torch", "tensorflow", "keras", "numpy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of a training run; default: random weights")
    parser.add_argument("--keep", type=Path, help="folder for the converted networks, to be used again")
    parser.add_argument("--tiles", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    one_thread()
    with tempfile.TemporaryDirectory() as folder:
        forms = make_forms(arguments.run, arguments.keep or Path(folder), arguments.tiles, tell)
        functions = opened(forms)
        result: dict[str, Any] = {
            "weights": "random, fixed seed" if forms.random else "of a training run",
            "tile_px": forms.model.tile_px,
            "pairs": arguments.tiles * arguments.rounds,
            "versions": {name: metadata.version(name) for name in PACKAGES if installed(name)},
            "logits": compare_logits(forms, functions),
        }
        result |= latency(functions, forms.tiles, arguments.rounds)
        result["tuned"] = tuned(forms)
        result["all_cores"] = throughput(forms, arguments.rounds)
    show(result)
    if arguments.save:
        print(save("peers", result | {"picture": f"results/{arguments.save}.svg"}, arguments.save))


def opened(forms: Forms) -> dict[str, Callable[[Pixels], Any]]:
    """A function of a tile for each network that can be opened here; it returns (3,) logits."""
    functions = {}
    for name, opener in (OURS | PEERS).items():
        try:
            functions[name] = opener(forms)
        except ImportError as error:
            print(f"{name} is left out: {error}")
    return functions


def compare_logits(forms: Forms, functions: dict[str, Callable[[Pixels], Any]]) -> dict[str, float]:
    """Largest difference of a logit from Keras float32's, as a share of the largest; float32 must agree."""
    batch = np.stack(forms.tiles).astype(np.float32)
    wanted = np.concatenate([np.asarray(forms.keras(one[np.newaxis], training=False)) for one in batch])
    found = {}
    for name, function in functions.items():
        said = np.stack([np.asarray(function(tile), np.float32).reshape(-1) for tile in forms.tiles])
        found[name] = float(np.abs(said - wanted).max() / np.abs(wanted).max())
        print(f"logits of {name:36} differ from Keras' by {found[name]:.1e}, of 1 the largest")
        if FLOAT32 in name and found[name] > ALIKE:
            raise SystemExit(f"{name} is another network: its times would be of something else")
    return found


def latency(
    functions: dict[str, Callable[[Pixels], Any]], tiles: list[Pixels], rounds: int
) -> dict[str, Any]:
    """Times in turns, the spread of the rounds' medians, how many times faster ours are than each peer."""
    spent = take_turns(functions, tiles, rounds)
    ours = [name for name in functions if name in OURS]
    return {
        "times": describe(spent),
        "spread": {name: spread(times, rounds) for name, times in spent.items()},
        "ratios": {
            own: {peer: ratio(spent, peer, own) for peer in functions if peer not in OURS} for own in ours
        },
    }


def tuned(forms: Forms) -> dict[str, Any]:
    """What `her2edge doctor --tune` finds the fastest, and its name among OURS at one thread."""
    measured = tune(
        forms.model, lambda setting: tell(f"tune: {setting.plan} {setting.tiles_per_second}"), Host()
    )
    best = measured.best()
    if best is None:
        raise SystemExit("no runtime agrees with the model's golden tiles here")
    one = Plan(best.runtime, 1, 1, best.precision)
    return {"plan": str(best.plan), "name": next(name for name in OURS if OURS[name].plan == one)}


def show(result: dict[str, Any]) -> None:
    """The figures on the terminal."""
    for name, times in result["times"].items():
        cells = f"{times['median_ms']:8.1f} ({times['p10_ms']:.1f}..{times['p90_ms']:.1f})"
        print(f"{name:34} {cells} ms, medians of rounds spread by {percent(result['spread'][name], 1)}")
    print(f"the choice after --tune: {result['tuned']['plan']}")
    for own, ratios in result["ratios"].items():
        for peer, times in ratios.items():
            print(f"{own:34} is {times:5.2f} times as fast as {peer}")
    rates = {name: median(values) for name, values in result["all_cores"].items()}
    for name, value in rates.items():
        print(f"all cores: {name:34} {value:6.2f} tiles/s")
    best = max((value for name, value in rates.items() if "OpenVINO" in name), default=None)
    if best:
        fastest = max(value for name, value in rates.items() if "LiteRT" in name)
        print(f"all cores: LiteRT reaches {fastest / best:.2f} of OpenVINO's rate")


def installed(name: str) -> bool:
    """Whether a package is."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def tell(what: str) -> None:
    """Progress, apart from the figures."""
    print(what, file=sys.stderr)


if __name__ == "__main__":
    main()
