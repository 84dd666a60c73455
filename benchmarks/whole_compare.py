"""All ways over one slide in turns, and whether all of them did the same work."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from whole_job import TILE_PX, Chances, Job, difference, read_results
from whole_run import FailedError, run
from whole_ways import REFERENCE, SETTLED, WAYS, Way

OTHERWISE = 0.2  # int8, bf16, resampled in another way
HERE = Path(__file__).parent


def compare(
    job: Job, rounds: int, pythons: dict[str, str], missing: dict[str, str], place: Path
) -> dict[str, Any]:
    """All ways over a slide, in turns; one that fails is left out of the turns to come, with its reason."""
    ran: dict[str, list[dict[str, float]]] = {}
    said: dict[str, Any] = {}
    left_out = dict(missing)
    settled: dict[str, Any] | None = None
    for number in range(rounds):
        for name, python in pythons.items():
            if name in left_out:
                continue
            with tempfile.TemporaryDirectory(dir=place) as folder:
                out = Path(folder)
                try:
                    took = run(command(python, WAYS[name], job, out), out)
                except FailedError as error:
                    left_out[name] = str(error)
                    continue
                ran.setdefault(name, []).append(asdict(took))
                said[name] = read_results(out, job)
                if name == SETTLED:
                    settled = settled_of(out)
            print(f"{Path(job.slide).name}, turn {number + 1}: {name}: {took}", file=sys.stderr)
    return {
        "slide": Path(job.slide).name,
        "mb": round(Path(job.slide).stat().st_size / 1e6, 1),
        "whole": job.whole, "looked_at": job.looked_at, "tissue": len(job.places),
        "ran": {name: turns for name, turns in ran.items() if name not in left_out},
        "differs": check(job, said),
        "left_out": left_out,
        "settled": settled,
    }  # fmt: skip


def command(python: str, way: Way, job: Job, out: Path) -> list[str]:
    """The job is written into `out`, too."""
    job.write(out / "job.json")
    return [python, str(HERE / way.script), str(out / "job.json"), str(out), *way.options]


def check(job: Job, said: dict[str, Any]) -> dict[str, float]:
    """How much probabilities differ from the reference's; SystemExit where a way did another work."""
    wanted, found = set(job.places), {}
    for name, chances in said.items():
        if name == SETTLED:
            continue
        if set(chances) != wanted:
            both = len(wanted & set(chances))
            raise SystemExit(f"{name} classified {len(chances)} places, {both} of the {len(wanted)} expected")
        if REFERENCE in said and name != REFERENCE:
            found[name] = round(difference(chances, said[REFERENCE]), 4)
            most = allowed(WAYS[name], job, said[REFERENCE])
            if found[name] > most:
                raise SystemExit(
                    f"{name}: a probability differs by {found[name]}, expected at most {most:.4f}: it is "
                    "another network, or of other places"
                )
    return found


def allowed(way: Way, job: Job, reference: Chances) -> float:
    """How much a probability may differ. Of float32 where no pixel is resampled: a quarter of what places
    differ by among each other, which with random weights is little."""
    if way.without_stain:
        return 1.0
    if not way.exact or job.step != TILE_PX:
        return OTHERWISE
    values = zip(*reference.values(), strict=True)
    return max(max(one) - min(one) for one in values) / 4


def settled_of(out: Path) -> dict[str, Any]:
    """What `--until-settled` stopped at, and its promise."""
    (path,) = out.glob("*/summary.json")
    answer = json.loads(path.read_text())["answer"]
    return {
        "settled": answer["settled"]["settled"],
        "error": answer["settled"]["error"],
        "seen": answer["settled"]["tiles_seen"],
        "classified": answer["tiles"]["outcomes"]["classified"],
    }
