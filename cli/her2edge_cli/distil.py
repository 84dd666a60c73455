"""her2edge distil TEACHER: a small network that learns what a teacher says; Keras is imported late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from her2edge.extras import needs_extra, quiet_tensorflow
from her2edge_cli.feeding import feeding
from her2edge_cli.paths import PATH
from her2edge_training.changed import Changes, changed
from her2edge_training.recipes import load_recipe
from her2edge_training.run.new_run import NewRun

_RECIPE = "student_mobilenetv4"


@click.command()
@click.argument("teacher", type=PATH, metavar="TEACHER")
@click.option(
    "--recipe", default=_RECIPE, show_default=True, help="Recipe of the student: a name, or a .py file."
)
@click.option(
    "--data",
    required=True,
    type=PATH,
    metavar="CSV",
    help="Tile list; its tiles need no labels (transfer set).",
)
@click.option("--out", required=True, type=PATH, metavar="RUN", help="New folder for the run.")
@click.option(
    "--temperature",
    type=float,
    default=4.0,
    show_default=True,
    help="Temperature at which the teacher's answers are learnt.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after the epoch in which this time is up, then score.",
)
@click.option("--epochs", type=int, help="Maximum number of epochs of each stage.")
@click.option("--batch", type=int, help="Crops in a step.")
@click.option("--learning-rate", type=float, help="Highest learning rate of the first stage.")
@click.option("--seed", type=int, help="Seed of the split, the first weights and the order of tiles.")
@feeding
@click.option(
    "--smoke",
    is_flag=True,
    help="Run the recipe in its smallest size: it shows that training works, and learns nothing.",
)
def distil(
    teacher: Path,
    recipe: str,
    data: Path,
    out: Path,
    temperature: float,
    minutes: float | None,
    workers: int | None,
    cache_mib: int | None,
    cache: Path | None,
    smoke: bool,
    **values: Any,
) -> None:
    """Train a small network to answer as TEACHER does.

    TEACHER is a model file or a finished run. It classifies the same crops as the student, so tiles need no
    labels. Take them from the scanners that you will use: a student knows only tissue that it was taught on.
    After an interruption, run the same command again to resume. Then: her2edge quantize RUN --teacher
    TEACHER.
    """
    chosen = changed(load_recipe(recipe, smoke=smoke), Changes(**values))
    NewRun(out).refuse_other()  # before the seconds that Keras takes
    quiet_tensorflow()
    with needs_extra("train"):
        from her2edge_training.cohort.tile_list import UNLABELLED, TileList
        from her2edge_training.run.options import TrainOptions
        from her2edge_training.run.teacher import Lesson, read_teacher
        from her2edge_training.run.train import train
    lesson = Lesson(read_teacher(teacher), temperature)
    if smoke:  # crops are small, but the network reads the tiles that the teacher reads
        chosen = replace(chosen, tile_px=load_recipe(recipe).tile_px)
    lesson.teacher.refuse_other_student(chosen)
    result = train(
        chosen,
        TileList.read(data, (*chosen.labels, UNLABELLED)),
        out,
        TrainOptions(minutes=minutes, workers=workers, cache_mib=cache_mib, cache=cache),
        report=click.echo,
        lesson=lesson,
    )
    click.echo(f"run: {result.run}")
