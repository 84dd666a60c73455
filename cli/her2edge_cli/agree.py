"""her2edge agree RESULTS --cohort CSV --out KIT: a lab's own check before use, and each month after."""

from __future__ import annotations

from pathlib import Path

import click

from her2edge.agree import check_free, kit_lines, make_kit, write_kit
from her2edge.agree.records import NO_RESULTS
from her2edge.files import check_folder
from her2edge.text import shown
from her2edge_cli import exits
from her2edge_cli.held import hold_folder
from her2edge_cli.inputs import open_cohort, say
from her2edge_cli.paths import PATH


@click.command(
    epilog="A score is one of the model's labels, or a part of it: 1+ is 0/1+. For the monthly check, name "
    "the first kit as --baseline; the slides then need no scores."
)
@click.argument("results", type=PATH, metavar="RESULTS")
@click.option(
    "--cohort", "cohort_path", required=True, type=PATH, metavar="FILE",
    help="List of slides: a CSV with the columns slide, patient, site and score. The score is the "
    "pathologist's.",
)  # fmt: skip
@click.option(
    "--out", required=True, type=PATH, metavar="KIT",
    help="Folder for agree.html, agree.md, agree.csv and agree.json.",
)  # fmt: skip
@click.option(
    "--baseline", type=PATH, metavar="KIT",
    help="An earlier kit to compare novelty, blur, stains and answers with.",
)  # fmt: skip
@click.option(
    "--pseudonym", is_flag=True,
    help="Leave the names of slides and patients, and links with names, out of the kit. A slide is then "
        "found by its row in the list.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing kit.")
def agree(
    results: Path, cohort_path: Path, out: Path, baseline: Path | None, pseudonym: bool, force: bool
) -> int:
    """Compare a lab's answers with known scores.

    RESULTS is the --out of `her2edge classify`. Writes a page to sign: agreement, kappa, sensitivity, the
    coverage of prediction sets, each with its interval, and the slides that did not agree. Needs nine
    patients of each label, one slide each.
    """
    check_folder(out)
    hold_folder(out)
    check_free(out, force=force)
    cohort = open_cohort(cohort_path, must_exist=False)
    assert cohort is not None  # noqa: S101 - the option is required
    kit = make_kit(results, cohort, out, baseline, pseudonym=pseudonym)
    files, missing = write_kit(kit, out)
    for line in kit_lines(kit):
        click.echo(line)
    for path in files:
        click.echo(f"  {shown(str(path))}")
    if missing is not None:
        say(f"the page agree.html is not written: {missing}")
    lost = any(one.answer == NO_RESULTS for one in kit.slides)
    return exits.PARTLY if lost else exits.DONE
