"""her2edge register HE IHC --out DIR: how the two slides lie to each other, and shapes carried across."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from her2edge.errors import OptionError, OutputError
from her2edge.files import check_folder
from her2edge.text import shown
from her2edge_cli.held import hold_folder
from her2edge_cli.paths import PATH

if TYPE_CHECKING:
    from her2edge_training.register import RegistrationError, SlidePair


@click.command()
@click.argument("he", type=PATH)
@click.argument("ihc", type=PATH)
@click.option("--out", required=True, type=PATH, metavar="DIR", help="Folder for the results.")
@click.option("--annotations", type=PATH, metavar="GEOJSON", help="Shapes to carry to the other slide.")
@click.option(
    "--from", "source", type=click.Choice(["ihc", "he"]), default="ihc", show_default=True,
    help="The slide that the annotations were drawn on.",
)  # fmt: skip
@click.option(
    "--he-mpp",
    type=float,
    metavar="UM",
    help="um per pixel of the H&E slide at level 0. Default: the file's.",
)
@click.option(
    "--ihc-mpp",
    type=float,
    metavar="UM",
    help="um per pixel of the IHC slide at level 0. Default: the file's.",
)
def register(
    he: Path,
    ihc: Path,
    out: Path,
    annotations: Path | None,
    source: str,
    he_mpp: float | None,
    ihc_mpp: float | None,
) -> None:
    """Align an H&E and an IHC slide of one block.

    Finds the turn and the shift between them. Writes registration.json (matrices both ways, residual),
    overlay.png to judge the result by, and the annotations in the other slide's pixels. Slides that do not
    fit are refused: overlay-refused.png shows why. Research use only.
    """
    from her2edge_training import register as registration

    check_folder(out)
    shapes, carried_to = None, None
    if annotations is not None:
        shapes = registration.read_shapes(annotations)
        carried_to = registration.carried_path(out, annotations)
        if os.path.exists(carried_to) and carried_to.samefile(annotations):  # noqa: PTH110 - Path's raises for a name too long
            raise OptionError(
                f"{annotations.name}: found the annotations in the output folder, where they would be "
                "overwritten: choose another --out"
            )
    hold_folder(out)
    pair = registration.read_pair(he, ihc, he_mpp=he_mpp, ihc_mpp=ihc_mpp)
    try:
        result = registration.register_pair(pair)
    except registration.RegistrationError as error:
        raise registration.RegistrationError(f"{error}; {_show_why(out, pair, error)}") from error
    if shapes is not None:
        shapes = registration.carry(shapes, result.ihc_to_he if source == "ihc" else result.he_to_ihc)
    paths = registration.write_registration(out, pair, result)
    if carried_to is not None:
        registration.write_shapes(carried_to, shapes)
        paths.append(carried_to)
    alignment = result.alignment
    click.echo(
        f"angle {alignment.transform.angle:.2f} degrees, residual {alignment.residual.median:.1f} um (limit "
        f"{alignment.residual.limit:.1f}) on {alignment.residual.blocks} held-out blocks"
    )
    for path in paths:
        click.echo(shown(str(path)))


def _show_why(out: Path, pair: SlidePair, error: RegistrationError) -> str:
    """Write the picture of what is refused, and say where; that it cannot be written is said instead."""
    from her2edge_training.register import write_refused

    try:
        return f"{write_refused(out, pair, error).name} shows how they lie"
    except OutputError as failed:
        return str(failed)
