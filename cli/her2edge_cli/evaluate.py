"""her2edge evaluate RUN|STUDY... --out DIR."""

from __future__ import annotations

from pathlib import Path

import click

from her2edge.extras import needs_extra
from her2edge.files import check_folder, forget, write_bytes
from her2edge.results.folder import safe_stem
from her2edge.text import shown
from her2edge_cli.held import hold_folder
from her2edge_cli.paths import PATH


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="RUN|STUDY...")
@click.option(
    "--out", required=True, type=PATH, metavar="DIR", help="Folder for the report and its pictures."
)
def evaluate(paths: tuple[Path, ...], out: Path) -> None:
    """Score training runs and compare protocols.

    Each run is scored on its own held-out tiles. Writes evaluation.md and evaluation.json, and for each
    network and protocol its curves, confusion matrix and reliability as PNG. Nothing is trained: the scores
    come from the files of the runs.
    """
    check_folder(out)
    with needs_extra("train"):
        from her2edge_training.evaluation.collate import collate, to_json
        from her2edge_training.evaluation.figures import draw_confusion, draw_curves, draw_reliability
        from her2edge_training.evaluation.report import to_markdown
    hold_folder(out)
    results = collate(paths)
    forget(out, "evaluation.json")
    text = to_markdown(results)
    for result in results:
        stem = safe_stem(f"{result.recipe}-{result.protocol}.x")
        for name, draw in (
            ("curves", draw_curves),
            ("confusion", draw_confusion),
            ("reliability", draw_reliability),
        ):
            write_bytes(out / f"{name}-{stem}.png", draw(result))
    write_bytes(out / "evaluation.md", text.encode())
    write_bytes(out / "evaluation.json", to_json(results))
    click.echo(text, nl=False)
    click.echo(f"report: {shown(str(out / 'evaluation.md'))}")
