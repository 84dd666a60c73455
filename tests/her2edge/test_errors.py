"""Errors are the tree at the head of her2edge/errors.py, printable on one line; and there is one softmax."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from her2edge import errors

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("her2edge", "cli/her2edge_cli", "quantize/her2edge_quantize", "training/her2edge_training")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
LINE = re.compile(r"^(?P<trunk>[ │]*[├└]── )(?P<name>\w+)(?: \((?P<builtin>\w+)\))? {2,}(?P<what>.+)$")


def drawn():
    """{class: (parent, builtin or None, home)} as the docstring draws it."""
    tree, path = {}, ["Her2EdgeError"]
    for line in (errors.__doc__ or "").splitlines():
        if (match := LINE.match(line.removeprefix("    "))) is None:
            continue
        depth = len(match["trunk"]) // 4
        path[depth:] = [match["name"]]
        home = re.search(r"; (her2edge\w*(?:\.\w+)+)$", match["what"])
        tree[match["name"]] = path[depth - 1], match["builtin"], home[1] if home else "her2edge.errors"
    return tree


def written():
    """{class: (its bases, its module)} of every public class in the product that has a base."""
    classes = {}
    for path, tree in TREES.items():
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts[parts[0] in ("cli", "quantize", "training") :])
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes[node.name] = [ast.unparse(base).split(".")[-1] for base in node.bases], module
    return classes


def descend(classes, root):
    """The names of all classes below `root`."""
    below = {name for name, (bases, _) in classes.items() if root in bases}
    return below.union(*(descend(classes, name) for name in below))


def test_the_tree_names_every_public_error_of_all_packages_with_parent_builtin_and_home():
    classes = written()
    there = {}
    for name in descend(classes, "Her2EdgeError"):
        (parent, *builtin), module = classes[name]
        there[name] = parent, builtin[0] if builtin else None, module
    assert drawn() == there


def test_each_error_is_imported_from_the_home_that_the_tree_names():
    for name, (parent, builtin, home) in drawn().items():
        if home.startswith("her2edge."):
            kind = getattr(importlib.import_module(home), name)
            assert kind.__bases__[0].__name__ == parent
            assert builtin is None or builtin in {base.__name__ for base in kind.__mro__}


def test_every_error_of_the_sdk_is_in_its_module_and_exported():
    here = {name for name, (_, _, home) in drawn().items() if home == "her2edge.errors"} | {"Her2EdgeError"}
    assert here == set(errors.__all__)
    assert errors.__all__ == sorted(errors.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_is_one_printable_line_whatever_was_put_into_it(name):
    assert str(getattr(errors, name)("a\x1b[31m\nb\udcff")) == "a?[31m b?"


def test_there_is_one_softmax():
    """Any other would be a second way for logits to become probabilities."""
    elsewhere = {
        f"{path.relative_to(ROOT)}: {name}"
        for path, tree in TREES.items()
        if path != ROOT / "her2edge" / "probability.py"
        for name in defined_or_borrowed(tree)
        if "softmax" in name.lower()
    }
    assert not elsewhere


def defined_or_borrowed(tree):
    """Functions that a module defines, takes from another package, or calls as a package's attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("her2edge"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg == "activation":
            yield f"activation={ast.unparse(node.value)}"
