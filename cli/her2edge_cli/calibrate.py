"""her2edge calibrate MODEL --cohort CSV --results DIR --out MODEL2."""

from __future__ import annotations

from pathlib import Path

import click

from her2edge.cohort import read_cohort
from her2edge.errors import OptionError
from her2edge.files import check_file, write_bytes
from her2edge.model.file import Model, naming, read_model_file
from her2edge.results.scored import read_scored
from her2edge.text import shown
from her2edge_cli.held import hold_file
from her2edge_cli.inputs import say
from her2edge_cli.paths import PATH


@click.command()
@click.argument("path", type=PATH, metavar="MODEL")
@click.option(
    "--cohort",
    "cohort_path",
    required=True,
    type=PATH,
    metavar="FILE",
    help="List of slides, a CSV with the columns slide, patient, score and, where known, site.",
)
@click.option("--results", required=True, type=PATH, metavar="DIR", help="Results of these slides by MODEL.")
@click.option("--out", required=True, type=PATH, metavar="MODEL2", help="The .tflite to write.")
@click.option(
    "--pooling",
    type=click.Choice(["mean", "linear"]),
    default="mean",
    show_default=True,
    help="linear: fit how tiles make a slide's probabilities; for 30 slides or more, promises 80 %.",
)
def calibrate(path: Path, cohort_path: Path, results: Path, out: Path, pooling: str) -> None:
    """State how sure the slide answers of a model are.

    Needs scored slides of patients who did not train MODEL, one of each patient, that `her2edge
    classify --model MODEL --out DIR` has read. Answers of MODEL2 are sets of labels that hold the truth in
    90 % of patients; with fewer than 9 slides of a label they stay without a stated error.

    Writes MODEL2, and beside it a report, MODEL2.calibration.md. A signature is not carried over.
    """
    from her2edge_quantize.model_file.calibrate import calibrate as calibrated_model
    from her2edge_quantize.model_file.calibration_text import UNCHECKED, UNSIGNED, level_words, report
    from her2edge_quantize.model_file.pack import write_model

    beside = out.with_name(f"{out.name}.calibration.md")
    inputs = {one.resolve() for one in (path, cohort_path)}
    if {out.resolve(), beside.resolve()} & inputs:
        raise OptionError("--out is also an input, expected another file")
    check_file(out)
    check_file(beside)
    hold_file(out)
    data = read_model_file(path)
    with naming(path):
        model = Model.from_bytes(data, trust="anyone")
    cohort = read_cohort(cohort_path, must_exist=False)
    scored = read_scored(cohort, results)
    made = calibrated_model(data, scored, "linear" if pooling == "linear" else "mean")
    text = report(made, f"{model.manifest.name} {model.manifest.version}")
    write_bytes(beside, text.encode())
    write_model(out, made.data)
    click.echo(text, nl=False)
    for name in scored.others:
        say(f"{name} has results but is not in {shown(cohort_path.name)}: not used")
    for wrong, words in (
        (not made.enough, level_words(made.record, made.pooling)),
        (not made.checked, UNCHECKED),
        (made.unsigned, UNSIGNED),
    ):
        if wrong:
            say(f"warning: {words}")
    click.echo(f"model: {shown(str(out))} (SHA-256 {Model.from_bytes(made.data, trust='anyone').sha256})")
    click.echo(f"report: {shown(str(beside))}")
