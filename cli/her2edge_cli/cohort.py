"""her2edge cohort COHORT --out DIR, on one machine or many; her2edge cohort --collect DIR"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import click

from her2edge.cohort import Cohort, CohortSlide
from her2edge.errors import MissingInputError, ResultsError
from her2edge.files import check_folder, look
from her2edge.runtime.machine import usable_cores
from her2edge.shards import Engine, Outcome, Plan, Shard, begin_plan, collect, outcomes, read_shard
from her2edge.shards.shard import AUTO
from her2edge.shards.work import RETRIES
from her2edge.text import shown
from her2edge_cli import exits
from her2edge_cli.announce import Announcer
from her2edge_cli.dask_engine import QUEUES, dask_engine
from her2edge_cli.held import hold_folder
from her2edge_cli.inputs import open_cohort, say
from her2edge_cli.options import Choices, Reading, choices_options, open_reading
from her2edge_cli.parts import parts
from her2edge_cli.paths import PATH
from her2edge_cli.slide_job import setup_of, slide_work, stain_of

LOCAL, DASK = "local", "dask"
_DEPENDS = ("mpp", "min_tissue_tiles", "until_settled", "error", "max_tiles", "site")


@click.command()
@click.argument("cohort_path", type=PATH, required=False, metavar="[COHORT]")
@partial(choices_options, needs_out=False)
@click.option(
    "--shard", "shard_text", metavar=f"I/N|{AUTO}",
    help="Classify only the I-th of N parts of the list, 1/N to N/N, one for each machine. auto: "
    "the part of this Slurm array task or Kubernetes Indexed Job pod. Default: the whole "
    "list.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice([LOCAL, DASK]), default=LOCAL, show_default=True,
    help="local: in this process, one slide after the other. dask: on many processes (extra `cluster`).",
)  # fmt: skip
@click.option(
    "--scheduler", metavar=f"ADDRESS|{'|'.join(QUEUES)}",
    help="With --engine dask: a scheduler that runs, e.g. tls://head:8786, or jobs of a queue as its "
    "jobqueue.yaml describes them. Default: processes of this machine.",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(min=1),
    help="With --engine dask: processes, or jobs of a queue. Default: as many as this machine has cores for.",
)  # fmt: skip
@click.option(
    "--retries", type=click.IntRange(min=0), default=RETRIES, show_default=True,
    help="How often a slide is tried again, each time by another run, before it is set aside. A "
    "slide that crashes its process counts, too.",
)  # fmt: skip
@click.option(
    "--collect", "collected", type=PATH, metavar="DIR",
    help="Collect the results in DIR into results.csv, and name slides that are missing, failed or "
    "there twice. No slide is read.",
)  # fmt: skip
def cohort(
    cohort_path: Path | None,
    choices: Choices | None,
    shard_text: str | None,
    engine: str,
    scheduler: str | None,
    workers: int | None,
    retries: int,
    collected: Path | None,
) -> int:
    """Classify a list of slides on many machines.

    COHORT is a CSV of the columns slide, patient, site, mpp, score, of which only slide is needed. DIR is one
    folder that all machines see.

    Each slide is classified once, even if a process or machine dies: run the same command again to do what is
    missing. A slide that cannot be read does not affect others. If it is set aside, a file in DIR/failed says
    why; remove that file to have it tried again. DIR is for one model, one version of her2edge and one set of
    options.

    Then, on one machine: her2edge cohort --collect DIR. `report` and `agree` work on DIR like on any results
    folder.
    """
    if collected is not None:
        if choices is not None:
            raise click.UsageError(
                "found both --collect and --out, expected one of them: --out classifies, --collect collects"
            )
        return _collect(collected, open_cohort(cohort_path, must_exist=False))
    if cohort_path is None or choices is None:
        raise click.UsageError(
            f"found no {'COHORT' if cohort_path is None else '--out'}, expected COHORT and --out DIR to "
            "classify, or --collect DIR to collect what was classified"
        )
    if engine != DASK and (scheduler is not None or workers is not None):
        raise click.UsageError(
            "found --scheduler or --workers without --engine dask, which they need: add it"
        )
    shard = None if shard_text is None else read_shard(shard_text)
    check_folder(choices.out)
    listed = open_cohort(cohort_path, must_exist=False)
    assert listed is not None  # noqa: S101 - it was given
    reading = open_reading(choices, parts().classify_slide)
    announcer = Announcer.of(reading)
    begin_plan(choices.out, _plan(reading, shard), listed)
    slides = (shard or Shard()).slides(listed)
    if shard is not None:
        say(f"shard {shard}: {len(slides)} of {len(listed)} slides")
    opened: AbstractContextManager[Engine]
    if engine == DASK:
        workers = workers or max(1, usable_cores() // (choices.threads or 1))
        where = scheduler or f"{workers} processes of this machine"
        say(f"Dask hands out slides ({where}); none starts before it has a worker")
        opened = dask_engine(setup_of(reading, retries), scheduler, workers)
    else:
        opened = nullcontext(_in_this_process(reading, announcer, retries))
    with opened as ready:
        return _run(ready, slides, announcer)


def _plan(reading: Reading, shard: Shard | None) -> Plan:
    manifest, choices = reading.classifier.model.manifest, reading.choices
    return Plan(
        model=reading.classifier.model.sha256,
        name=f"{manifest.name} {manifest.version}",
        options={"stain": stain_of(reading)}
        | {name.replace("_", "-"): getattr(choices, name) for name in _DEPENDS},
        shards=None if shard is None else shard.count,
    )


def _in_this_process(reading: Reading, announcer: Announcer, retries: int) -> Engine:
    work = slide_work(reading, retries)

    def engine(slides: list[CohortSlide]) -> Iterator[Outcome]:
        reading.turns.slides = max(reading.turns.slides, len(slides))
        for slide in slides:
            announcer.turn(slide)
            yield work(slide)

    return engine


def _run(engine: Engine, slides: list[CohortSlide], announcer: Announcer) -> int:
    """Say what becomes of each slide, and sum up; returns the exit code, as `classify`'s."""
    codes: list[int] = []
    for outcome in outcomes(engine, slides):
        codes.append(_say(outcome, announcer))
        if outcome.ends:
            announcer.last_line()
            return outcome.exit_code
    announcer.last_line()
    done = [code for code in codes if code in (exits.DONE, exits.PARTLY)]
    if done == [exits.DONE] * len(codes):
        return exits.DONE
    return exits.PARTLY if done else codes[0]


def _say(outcome: Outcome, announcer: Announcer) -> int:
    """Print what became of a slide; returns its exit code."""
    slide = outcome.slide
    if outcome.run is not None:
        return announcer.done(outcome.run, slide.patient, brief=True)
    if outcome.aside is not None:
        say(f"{outcome.aside.slide} is set aside: {outcome.reason}; see failed/{outcome.file}")
        return announcer.set_aside(outcome.aside)
    return announcer.refused(slide.path, outcome.reason, outcome.exit_code, slide.patient)


def _collect(folder: Path, listed: Cohort | None) -> int:
    """One table of what is there; 3 where anything is missing, failed or there twice."""
    if look(folder, "a folder of results", ResultsError) != "folder":
        raise MissingInputError(
            f"{folder.name}: found no such folder, expected the --out of `her2edge cohort`: check the path"
        )
    hold_folder(folder)
    found = collect(folder, listed)
    for problem in found.problems:
        say(problem)
    if found.others:
        say(f"in the table, but not in the list: {shown(', '.join(found.others))}")
    click.echo(", ".join(f"{count} {state}" for state, count in sorted(found.states.items())))
    click.echo(shown(str(found.path)))
    return exits.PARTLY if found.problems else exits.DONE
