"""What `classify` writes beside results on request: a page, DICOM objects. Neither ever costs the results."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from her2edge import Her2EdgeError, SlideRun
from her2edge.extras import require_modules
from her2edge_cli import exits
from her2edge_cli.inputs import say
from her2edge_cli.options import Reading

Command = Callable[..., Any]


def beside_options(command: Command) -> Command:
    """--report and --dicom; the command gets what they come to, as `beside`."""

    @click.option(
        "--report", "page", is_flag=True,
        help="Also make a page of each slide, report.html, as `her2edge report` does; extra `report`.",
    )  # fmt: skip
    @click.option(
        "--dicom", is_flag=True,
        help="Also write annotations.dcm and report.dcm, as `her2edge dicom` does; for slides in DICOM only.",
    )  # fmt: skip
    @functools.wraps(command)
    def with_beside(page: bool, dicom: bool, **given: Any) -> Any:
        return command(beside=Beside(page, dicom), **given)

    return with_beside


@dataclass(frozen=True)
class Beside:
    """What was asked for. The extra of a page is looked for at once, before a model or slide is opened."""

    page: bool
    dicom: bool

    def __post_init__(self) -> None:
        if self.page:
            require_modules("report", "jinja2")

    def check(self, slide: Path) -> None:
        """Raise what `check_source` does, where the slide can have no DICOM objects: before it is read."""
        if self.dicom:
            from her2edge.dicom import check_source

            check_source(slide)

    def write(self, run: SlideRun, slide: Path, reading: Reading) -> tuple[SlideRun, list[Her2EdgeError]]:
        """The run with the new files among its own, and why any are missing."""
        wrong: list[Her2EdgeError] = []
        if self.page:
            try:
                run = _with_page(run, slide, reading)
            except Her2EdgeError as error:
                wrong.append(error)
        if self.dicom:
            from her2edge.dicom import write_dicom

            try:
                run = replace(run, files=(*run.files, *write_dicom(run.folder, slide, run.folder)))
            except Her2EdgeError as error:
                wrong.append(error)
        return run, wrong


def _with_page(run: SlideRun, slide: Path, reading: Reading) -> SlideRun:
    """Also where there is a page: it may be another one, under a pseudonym or without pictures."""
    from her2edge.report import write_report

    made = write_report(run.folder, slide=slide, model=reading.classifier)
    for sentence in made.left_out:
        say(f"{run.name}: {sentence}")
    return replace(run, files=(*run.files, made.path))


def complain(wrong: list[Her2EdgeError], code: int) -> int:
    """Print what is missing beside the results; returns the slide's exit code, given that of its results."""
    for error in wrong:
        exits.complain(error)
    return exits.PARTLY if wrong else code
