"""Keeps what `her2edge evaluate` said of a study; benchmarks/tables.py makes docs/explanation/study.md of it.

.venv/bin/python benchmarks/study.py evaluation/evaluation.json --name study
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from harness import save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("evaluation", type=Path, help="evaluation.json of `her2edge evaluate`")
    parser.add_argument("--name", required=True, help="file name of the result")
    arguments = parser.parse_args()
    results = json.loads(arguments.evaluation.read_bytes())
    how = "that account for tiles of one patient being alike"
    print(save("study", {"intervals": how, "results": results}, arguments.name))


if __name__ == "__main__":
    main()
