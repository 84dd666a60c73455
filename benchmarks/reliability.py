"""Runs the tests behind each promise of docs/reliability.md and keeps what they found.

    .venv/bin/python benchmarks/reliability.py [--only 6 15] [--quick] [--save NAME]
    .venv/bin/python benchmarks/tables.py

Without --quick also the long ones: about 40 minutes on two cores. --only keeps of the others what was found
before. A test states its figure with pytest's
`record_property("figure", ...)`; else that it passed is the figure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from harness import RESULTS, machine, save
from promises import PROMISES, Promise, place_of

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=int, nargs="+", help="numbers of promises")
    parser.add_argument("--quick", action="store_true", help="leave the long tests out")
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    chosen = [one for one in PROMISES if arguments.only is None or one.number in arguments.only]
    cases = run(sorted({test for one in chosen for test in one.tests}), quick=arguments.quick)
    seen = {"quick": arguments.quick, "machine": machine()}
    found = [found_of(one, cases) | seen for one in chosen]
    for one in found:
        counts = ", ".join(f"{one[kind]} {kind}" for kind in ("passed", "failed", "skipped"))
        print(f"{one['number']} {one['must_hold']}: {'; '.join([counts, *one['figures']])}")
    if arguments.save:
        print(save("reliability", {"promises": _merged(found, arguments.save)}, arguments.save))
    if any(one["failed"] or not one["passed"] for one in found):
        raise SystemExit(1)


def _merged(found: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """What was kept under `name`, with what was found now in its place; by number."""
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text()).get("reliability") if path.exists() else None
    former = {one["number"]: one for one in kept["promises"]} if kept else {}
    merged = former | {one["number"]: one for one in found}
    return [merged[number] for number in sorted(merged)]


def run(tests: list[str], *, quick: bool) -> list[ET.Element]:
    """Every case that pytest ran of these tests."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-o", "junit_family=xunit1"]
        command += ["-m", "not slow" if quick else "slow or not slow"]  # instead of pyproject's: no soak
        subprocess.run([*command, *map(place_of, tests)], cwd=ROOT, check=False)
        return list(ET.parse(report).iter("testcase"))  # noqa: S314 - pytest has just written it


def found_of(promise: Promise, cases: list[ET.Element]) -> dict[str, Any]:
    """What its tests gave."""
    own = [case for case in cases if any(belongs(case, test) for test in promise.tests)]
    failed = [case for case in own if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in own if case.find("skipped") is not None]
    figures = [one.get("value", "") for case in own for one in case.iter("property")]
    return {
        "number": promise.number,
        "must_hold": promise.must_hold,
        "asked": promise.asked,
        "tests": list(promise.tests),
        "passed": len(own) - len(failed) - len(skipped),
        "failed": len(failed),
        "skipped": len(skipped),
        "figures": figures,
    }


def belongs(case: ET.Element, test: str) -> bool:
    """Whether a case is of FILE, or of FILE::NAME with whatever parameters."""
    file, _, name = test.partition("::")
    module = Path(file).stem  # the class of a test that another package made says it, its file does not
    own = module == Path(case.get("file", "")).stem or module in case.get("classname", "").split(".")
    return own and name in ("", case.get("name", "").partition("[")[0])


if __name__ == "__main__":
    main()
