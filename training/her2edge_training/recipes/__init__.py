"""Recipes: one Python file per published result. Its docstring gives command, cost and expected result."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
import traceback
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
_MISSING_FIELD = re.compile(r"Missing required argument '(\w+)'")


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
            f"{', '.join(recipe_names())}, or the path of a .py file with a RECIPE: `her2edge recipe` says "
            "what each is"
        )
    if "RECIPE" not in module:
        raise OptionError(
            f"{Path(name_or_path).name}: found no RECIPE, expected one: `her2edge recipe {_START}` prints "
            "the form"
        )
    recipe = module["RECIPE"]
    if not isinstance(recipe, Recipe):
        raise OptionError(
            f"{Path(name_or_path).name}: found RECIPE = {recipe!r:.60}, expected a Recipe(...): `her2edge "
            f"recipe {_START}` prints the form"
        )
    return smallest(recipe) if smoke else recipe


def _run_file(path: Path) -> dict[str, Any]:
    if look(path, "a recipe, a .py file", OptionError) != "file":
        raise MissingInputError(
            f"{path.name}: found no such file, expected a recipe, a .py file: check the path"
        )
    try:
        return runpy.run_path(str(path))
    except OptionError as error:  # of a record of ours
        raise OptionError(f"{path.name}{_line(error, path)}: {error}") from error
    except Her2EdgeError:
        raise
    except Exception as error:
        raise OptionError(f"{path.name}{_line(error, path)}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What is wrong with a recipe that cannot be run."""
    said = str(error)
    if isinstance(error, TypeError | AttributeError) and (field := _UNKNOWN_FIELD.search(said)):
        return (
            f"found field {field[1]!r}{meant(field[1], FIELD_NAMES)}, which recipes do not have: `her2edge "
            f"recipe {_START}` prints those that they have"
        )
    if isinstance(error, TypeError) and (field := _MISSING_FIELD.search(said)):
        return f"found no {field[1]}, expected one: add `{field[1]}=...`"
    return (
        f"it cannot be run ({type(error).__name__}: {said}), expected Python that makes a RECIPE: correct it"
    )


def _line(error: Exception, path: Path) -> str:
    """` line 7`: where in the file it is; nothing where that cannot be told."""
    if isinstance(error, SyntaxError):
        return f" line {error.lineno}" if error.lineno else ""
    frames = traceback.extract_tb(error.__traceback__)
    return next((f" line {one.lineno}" for one in reversed(frames) if one.filename == str(path)), "")
