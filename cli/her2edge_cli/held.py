"""An output that the command that runs has alone until it ends."""

from __future__ import annotations

from pathlib import Path

import click

from her2edge.alone import alone_in, alone_with


def hold_folder(out: Path) -> None:
    """Make the folder and hold it; raises TakenError where another command is at work there, OutputError."""
    click.get_current_context().with_resource(alone_in(out))


def hold_file(path: Path) -> None:
    """Hold a file to be written, as `hold_folder`."""
    click.get_current_context().with_resource(alone_with(path))
