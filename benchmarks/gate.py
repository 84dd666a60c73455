"""Keeps what the gate's reports say of a run's schemes, for the table in quantize/README.md.

    .venv/bin/python benchmarks/gate.py runs/demo-*.report.json --name MACHINE

Then benchmarks/tables.py writes the table. The reports of a recipe must be of one run, all of this machine.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from harness import save

from her2edge_quantize.options import SCHEMES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("--name", required=True, help="file name of the result, e.g. amd-epyc-2-cores")
    arguments = parser.parse_args()
    print(save("gate", kept([json.loads(path.read_bytes()) for path in arguments.reports]), arguments.name))


def kept(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Reports, layers left out, by recipe and in the order of the schemes; of one set of tiles a recipe."""
    tiles = {
        (report["recipe"], report["manifest_sha256"], report["model"]["verdict"]["tiles"])
        for report in reports
    }
    if len(tiles) > len({recipe for recipe, _tile_list, _tiles in tiles}):
        raise SystemExit(f"found reports of {sorted(tiles)}, expected one set of tiles of a recipe")
    reports = sorted(
        reports, key=lambda one: (one["recipe"], SCHEMES.index(one["model"]["scheme"]), one["outcome"])
    )
    return {"reports": [{key: value for key, value in one.items() if key != "layers"} for one in reports]}


if __name__ == "__main__":
    main()
