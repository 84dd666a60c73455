"""The one kind of path argument: the library says what is wrong with a path, with its own exit codes."""

from pathlib import Path

import click

PATH = click.Path(path_type=Path, readable=False)
