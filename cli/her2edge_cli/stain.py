"""her2edge stain IMAGE... --out DIR: normalise images, or make the target that others are brought to."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import click

from her2edge import Her2EdgeError, MacenkoNormalizer, OptionError, StainFit, StainResult, StainStatus
from her2edge.files import ensure_folder, write_bytes
from her2edge.outputs.table import defused
from her2edge.slide import read_image, shown
from her2edge.stain import PROFILES, TARGETS
from her2edge.tile import RESEARCH_USE
from her2edge_cli import exits
from her2edge_cli.contact_sheet import Pair, draw_contact_sheet
from her2edge_cli.images import FreeNames, image_files, png, say
from her2edge_cli.paths import PATH

SHEET_PAIRS = 24


@dataclass(frozen=True)
class Written:
    """A normalised image: where it came from, the file made of it, and how its fit went."""

    name: str
    file: Path
    result: StainResult


@click.command()
@click.argument("images", nargs=-1, type=PATH, metavar="IMAGE...")
@click.option("--out", required=True, type=PATH, metavar="DIR", help="Folder for what is made.")
@click.option(
    "--target",
    metavar="NAME|FIT.json",
    help=f"Stains to bring images to: {', '.join(TARGETS)}, or a saved fit. Default: the profile's own.",
)
@click.option(
    "--fit", "fit_image", type=PATH, metavar="IMAGE", help="Fit the target from this image, to target.json."
)
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default="torchstain", show_default=True,
    help="Whose convention of Macenko's method.",
)  # fmt: skip
@click.option(
    "--exact", is_flag=True, help="float64 throughout: slower, and equal to the reference implementation."
)
def stain(
    images: tuple[Path, ...],
    out: Path,
    target: str | None,
    fit_image: Path | None,
    profile: str,
    exact: bool,
) -> int:
    """Normalise the stains of H&E images or folders of images (Macenko et al. 2009).

    Writes a PNG of each, stain.csv with the status of each, and contact-sheet.png, before beside after.
    An image without two usable stains is written as it was, and says why.
    """
    if not images and fit_image is None:
        raise click.UsageError("nothing to do: name images, or --fit IMAGE")
    if target is not None and fit_image is not None:
        raise click.UsageError("--target and --fit both name a target: choose one")
    normalizer = MacenkoNormalizer(profile, precision="exact" if exact else "fast")
    chosen = _target(target) if target else None
    if fit_image is not None:
        chosen = normalizer.fit(read_image(fit_image))
    normalizer = MacenkoNormalizer(profile, chosen, normalizer.precision)
    if images and chosen is None and PROFILES[profile].target is None:
        raise OptionError(f"found no target for profile {profile}, expected --fit IMAGE or --target FIT.json")
    ensure_folder(out)
    if fit_image is not None and chosen is not None:
        chosen.save(out / "target.json")
        click.echo(f"target of {shown(fit_image.name)}: {shown(str(out / 'target.json'))}")
    return _normalize_all(images, normalizer, out) if images else exits.DONE


def _target(name: str) -> StainFit:
    return TARGETS[name] if name in TARGETS else StainFit.load(name)


def _normalize_all(images: tuple[Path, ...], normalizer: MacenkoNormalizer, out: Path) -> int:
    """Normalise and write each; an image that cannot be used costs that image."""
    written: list[Written] = []
    pairs: list[Pair] = []
    codes: list[int] = []
    files = image_files(images, codes)
    names = FreeNames(out, files, reserved=("contact-sheet.png",))
    for path in files:
        try:
            pixels = read_image(path)
            result = normalizer.normalize(pixels)
            file = out / names.of(path)
            write_bytes(file, png(result.pixels))
        except Her2EdgeError as error:
            codes.append(say(error))
            continue
        written.append(Written(shown(path.name), file, result))
        if len(pairs) < SHEET_PAIRS:
            pairs.append(Pair.of(pixels, result.pixels, f"{shown(path.name)}: {_words(result)}"))
        click.echo(f"{shown(path.name)}: {_words(result)}: {shown(str(file))}")
    if not written:
        return codes[0]
    write_bytes(out / "stain.csv", _table(written))
    write_bytes(out / "contact-sheet.png", png(draw_contact_sheet(pairs, RESEARCH_USE)))
    more = f" (the first {SHEET_PAIRS})" if len(written) > SHEET_PAIRS else ""
    click.echo(f"before and after{more}: {shown(str(out / 'contact-sheet.png'))}")
    return exits.PARTLY if codes else exits.DONE


def _words(result: StainResult) -> str:
    return "normalised" if result.status is StainStatus.OK else f"as it was ({result.status})"


def _table(written: list[Written]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ("image", "file", "status", "source", "max_concentration_h", "max_concentration_e", "notice")
    )
    for one in written:
        fit = one.result.fit
        strengths = ("", "") if fit is None else (f"{value:.6g}" for value in fit.max_concentration)
        table.writerow(
            (
                defused(one.name),
                one.file.name,
                one.result.status,
                one.result.source,
                *strengths,
                RESEARCH_USE,
            )
        )
    return text.getvalue().encode()
