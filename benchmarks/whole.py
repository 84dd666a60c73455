"""The whole way over a slide: `her2edge classify` beside other programs, each a process of its own.

    python benchmarks/whole.py --small SLIDE [--large SLIDE] [--places 400] [--rounds 3] [--save NAME]
    python benchmarks/whole.py --small SLIDE --quick       # correctness: 4 tissue places of it, one round

In the environment of benchmarks/README.md. The same network with the same weights, the same places of the
slide; commands take turns. --large: default is one that `large_slide.py` makes, of which whole rows are read
until --places are tissue; of the small slide every place. Seconds are of the whole process. Each way must
classify every place, with about the same probabilities. A way whose packages are missing is left out, which
is said.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import save
from whole_compare import compare
from whole_places import find_job
from whole_tables import show
from whole_ways import WAYS

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=Path, required=True, help="a slide; every place of it is read")
    parser.add_argument("--small-mpp", type=float, help="um per pixel, where the small slide states none")
    parser.add_argument("--large", type=Path, help="a large slide; default: one is made, 0.6 GB")
    parser.add_argument("--places", type=int, default=400, help="tissue places of the large slide")
    parser.add_argument("--rounds", type=int, default=3, help="turns over the small slide; the large has one")
    parser.add_argument("--run", type=Path, help="folder of a training run; default: random weights")
    parser.add_argument("--keep", type=Path, help="folder for networks and made slide, to be used again")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="default: all")
    parser.add_argument("--tiatoolbox-python", default=sys.executable, help="of its own environment")
    parser.add_argument("--wsinfer-python", default=sys.executable, help="of its own environment")
    parser.add_argument("--quick", action="store_true", help="4 places of the small slide, one round")
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        result = measure(given, given.keep or Path(place), Path(place))
    show(result)
    if given.save:
        for size, one in result["slides"].items():
            one["picture"] = f"results/{given.save}-{size}.svg"
        print(save("whole", result, given.save))


def measure(given: argparse.Namespace, kept: Path, place: Path) -> dict[str, Any]:
    kept.mkdir(parents=True, exist_ok=True)
    own = [] if given.run is None else ["--run", str(given.run)]
    subprocess.run([sys.executable, str(HERE / "whole_forms.py"), str(kept), *own], check=True)
    model = None if given.run is None else kept / "int8-fast.tflite"
    slides = {"small": find_job(given.small, given.small_mpp, 4 * given.quick, place, kept, model)}
    rounds = {"small": 1 if given.quick else given.rounds, "large": 1}
    if not given.quick:
        slides["large"] = find_job(large_slide(given.large, kept), None, given.places, place, kept, model)
    pythons = {name: python_of(name, given) for name in given.ways}
    installed, missing = needed(pythons)
    return {
        "weights": "random, fixed seed" if given.run is None else "of a training run",
        "settled_model": "of the same run" if given.run else "the embedded demo model",
        "installed": installed,
        "slides": {size: compare(job, rounds[size], pythons, missing, place) for size, job in slides.items()},
    }


def large_slide(path: Path | None, kept: Path) -> Path:
    """The one given, or one that is made once."""
    path = path or kept / "large.tif"
    if not path.exists():
        subprocess.run([sys.executable, str(HERE / "large_slide.py"), str(path)], check=True)
    return path


def python_of(name: str, given: argparse.Namespace) -> str:
    """Whose packages a way runs with."""
    script = WAYS[name].script
    own = {"whole_tiatoolbox.py": given.tiatoolbox_python, "whole_wsinfer.py": given.wsinfer_python}
    python: str = own.get(script, sys.executable)
    return python


def needed(pythons: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """What each way needs installed, `whole_installed.py` says; why a way is left out."""
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, python in pythons.items():
        command = [python, str(HERE / "whole_installed.py"), *WAYS[name].needs]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.returncode:
            missing[name] = told.stderr.strip().splitlines()[-1]
        else:
            found[name] = json.loads(told.stdout)
    return found, missing


if __name__ == "__main__":
    main()
