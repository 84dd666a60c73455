"""her2edge stain IMAGE... --out DIR: normalise images, or make the target that others are brought to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from her2edge import MacenkoNormalizer
from her2edge.errors import MissingInputError, OptionError, SlideError, SlideReadError, StainError
from her2edge.files import check_folder, forget, write_bytes
from her2edge.results.contact_sheet import Pair, draw_contact_sheet
from her2edge.slide import encode_png, read_image
from her2edge.stain import PROFILES, TARGETS, StainFit, StainSource, StainStatus
from her2edge.tables import write_csv
from her2edge.text import shown
from her2edge.tile import RESEARCH_USE
from her2edge_cli import exits
from her2edge_cli.held import hold_folder
from her2edge_cli.images import FreeNames, image_files, refuse_own_input, say
from her2edge_cli.paths import PATH

SHEET_PAIRS = 24


@dataclass(frozen=True)
class Row:
    """A line of stain.csv: the image, the file made of it, how its fit went, (H, E) strengths if any."""

    image: str
    file: str
    status: StainStatus
    source: StainSource
    strongest: tuple[float, ...]


@click.command()
@click.argument("images", nargs=-1, type=PATH, metavar="IMAGE...")
@click.option("--out", required=True, type=PATH, metavar="DIR", help="Folder for the results.")
@click.option(
    "--target",
    metavar="NAME|FIT.json",
    help=f"Stains to normalise to: {', '.join(TARGETS)}, or a saved fit. Default: the profile's own.",
)
@click.option(
    "--fit",
    "fit_image",
    type=PATH,
    metavar="IMAGE",
    help="Use the stains of this image as the target, and save them as target.json.",
)
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default="torchstain", show_default=True,
    help="Library whose version of Macenko's method is followed.",
)  # fmt: skip
@click.option(
    "--exact", is_flag=True, help="Compute in float64: slower, but equal to the reference implementation."
)
def stain(
    images: tuple[Path, ...],
    out: Path,
    target: str | None,
    fit_image: Path | None,
    profile: str,
    exact: bool,
) -> int:
    """Normalise the stains of H&E images.

    The method is that of Macenko et al. 2009. An IMAGE may be a folder of images. Writes a PNG of each image,
    stain.csv with the status of each, and contact-sheet.png, which shows them before and after. An image
    without two usable stains is written as it was, and stain.csv says why.
    """
    if not images and fit_image is None:
        raise click.UsageError("found nothing to do, expected images to normalise, or --fit IMAGE: name one")
    if target is not None and fit_image is not None:
        raise click.UsageError("found both --target and --fit, which each name a target: leave one out")
    check_folder(out)
    normalizer = MacenkoNormalizer(profile, exact=exact)
    chosen = _target(target) if target else None
    if fit_image is not None:
        chosen = _fit_target(fit_image, normalizer)
    normalizer = MacenkoNormalizer(profile, chosen, exact=exact)
    if images and chosen is None and PROFILES[profile].target is None:
        raise OptionError(f"found no target for profile {profile}, expected --fit IMAGE or --target FIT.json")
    refuse_own_input(images, out)
    hold_folder(out)
    forget(out, "target.json", "stain.csv", "contact-sheet.png")
    if fit_image is not None and chosen is not None:
        chosen.save(out / "target.json")
        click.echo(f"target of {shown(fit_image.name)}: {shown(str(out / 'target.json'))}")
    return _normalize_all(images, normalizer, out) if images else exits.DONE


def _target(name: str) -> StainFit:
    return TARGETS[name] if name in TARGETS else StainFit.load(name)


def _fit_target(path: Path, normalizer: MacenkoNormalizer) -> StainFit:
    try:
        return normalizer.fit(read_image(path))
    except StainError as error:
        raise StainError(f"{path.name}: {error}") from error


def _normalize_all(images: tuple[Path, ...], normalizer: MacenkoNormalizer, out: Path) -> int:
    """Normalise and write each; an image that cannot be used costs that image, a full disk the rest."""
    rows: list[Row] = []
    pairs: list[Pair] = []
    codes: list[int] = []
    names = FreeNames("contact-sheet.png")
    for path, name in image_files(images, codes):
        try:
            pixels = read_image(path)
            result = normalizer.normalize(pixels)
        except (SlideError, SlideReadError, MissingInputError) as error:
            codes.append(say(error))
            continue
        file = names.of(path)
        write_bytes(out / file, encode_png(result.pixels))
        strongest = () if result.fit is None else tuple(result.fit.max_concentration.tolist())
        rows.append(Row(name, file, result.status, result.source, strongest))
        words = f"{name}: {_words(rows[-1])}"
        if len(pairs) < SHEET_PAIRS:
            pairs.append(Pair.of(pixels, result.pixels, words))
        click.echo(f"{words}: {shown(str(out / file))}")
    if not rows:
        return codes[0]
    _write_table(out / "stain.csv", rows)
    write_bytes(out / "contact-sheet.png", encode_png(draw_contact_sheet(pairs, RESEARCH_USE)))
    more = f" (the first {SHEET_PAIRS})" if len(rows) > SHEET_PAIRS else ""
    click.echo(f"before and after{more}: {shown(str(out / 'contact-sheet.png'))}")
    return exits.PARTLY if codes else exits.DONE


def _words(row: Row) -> str:
    return "normalised" if row.status is StainStatus.OK else f"as it was ({row.status})"


def _write_table(path: Path, rows: list[Row]) -> None:
    strengths = ("max_concentration_h", "max_concentration_e")
    write_csv(
        path,
        ("image", "file", "status", "source", *strengths, "notice"),
        (
            (row.image, row.file, row.status, row.source, *(row.strongest or (None, None)), RESEARCH_USE)
            for row in rows
        ),
        dict.fromkeys(strengths, ".6g"),
    )
