"""her2edge recipe [NAME]: prints a recipe to start from."""

from __future__ import annotations

import sys

import click

from her2edge_training.explained import source_of
from her2edge_training.recipes import load_recipe, recipe_names


@click.command()
@click.argument("name", required=False)
def recipe(name: str | None) -> None:
    """Print a recipe to start from, commented.

    `her2edge recipe NAME > my.py`, change it, `her2edge train my.py`. Without NAME: list the recipes.
    docs/recipes.md lists all fields, their defaults, and which of them are the paper's.
    """
    if name is not None:
        click.echo(source_of(load_recipe(name)), nl=False)
        return
    width = max(map(len, recipe_names()))
    for one in recipe_names():
        load_recipe(one)
        doc = sys.modules[f"her2edge_training.recipes.{one}"].__doc__ or ""
        click.echo(f"{one:<{width}}  {doc.splitlines()[0]}")
