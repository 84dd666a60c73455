"""Recipes: one Python file per published result. Its docstring gives command, cost and expected result."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
from pathlib import Path
from typing import Any

from her2edge.errors import Her2EdgeError, MissingInputError, OptionError
from her2edge.files import look
from her2edge.text import meant
from her2edge_training.changed import smallest
from her2edge_training.explained import FIELD_NAMES
from her2edge_training.recipe import Recipe

__all__ = ["load_recipe", "recipe_names"]

_START = "paper_se_resnet50"
_UNKNOWN_FIELD = re.compile(r"(?:keyword argument|has no field|no attribute) ['`](\w+)['`]")


def recipe_names() -> tuple[str, ...]:
    """Names of the built-in recipes, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load_recipe(name_or_path: str | Path, *, smoke: bool = False) -> Recipe:
    """Return RECIPE of a built-in recipe, or of a .py file, which is run as a program.

    smoke: in its smallest size. Raises OptionError for an unknown name or a file that makes no recipe,
    MissingInputError for no file.
    """
    if str(name_or_path).endswith(".py"):
        module = _run_file(Path(name_or_path))
    elif str(name_or_path) in recipe_names():
        module = vars(importlib.import_module(f"{__name__}.{name_or_path}"))
    else:
        raise OptionError(
            f"found recipe {str(name_or_path)!r}{meant(str(name_or_path), recipe_names())}, expected one of "
            f"{', '.join(recipe_names())}, or the path of a .py file with a RECIPE"
        )
    if "RECIPE" not in module:
        raise OptionError(
            f"{name_or_path} has no RECIPE, expected one: `her2edge recipe {_START}` prints the form"
        )
    recipe = module["RECIPE"]
    if not isinstance(recipe, Recipe):
        raise OptionError(f"RECIPE of {name_or_path} is a {type(recipe).__name__}, expected a Recipe")
    return smallest(recipe) if smoke else recipe


def _run_file(path: Path) -> dict[str, Any]:
    if look(path, "a recipe, a .py file", OptionError) != "file":
        raise MissingInputError(f"no recipe file at {path}")
    try:
        return runpy.run_path(str(path))
    except Her2EdgeError:
        raise
    except Exception as error:
        field = _UNKNOWN_FIELD.search(str(error)) if isinstance(error, TypeError | AttributeError) else None
        hint = meant(field[1], FIELD_NAMES) if field else ""
        raise OptionError(f"recipe file {path} failed: {type(error).__name__}: {error}{hint}") from error
