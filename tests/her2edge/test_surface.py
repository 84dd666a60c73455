"""What her2edge offers: the names at the top, and the rooms with names of their own."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import types

import pytest

import her2edge

TOP = {
    "LABELS", "Her2EdgeError", "MacenkoNormalizer", "Model", "Options", "Outcome", "OutputWriteError",
    "Settle", "SlideAnswer", "SlideReader", "SlideRun", "Tile", "TileClassifier", "TileFeed", "TileResult",
    "TissueFilter", "Trust", "answer_slide", "classify_slide", "tiles_of",
}  # fmt: skip
ROOMS = (
    "answer", "cohort", "dicom", "errors", "explain", "feed", "model", "regions", "report", "results",
    "runtime", "shards", "slide", "stain", "watch",
)  # fmt: skip
SURFACES = {name: importlib.import_module(f"her2edge.{name}") for name in ROOMS} | {"her2edge": her2edge}
SURFACES = {name: module for name, module in SURFACES.items() if hasattr(module, "__all__")}
NAMES = [(room, name) for room, module in SURFACES.items() for name in module.__all__]


def test_the_top_names_are_the_designs():
    assert set(her2edge.__all__) == TOP


def test_completion_shows_the_top_names_and_the_rooms_and_no_inner_module():
    shown = {name for name in dir(her2edge) if not name.startswith("__")}
    assert shown == set(her2edge.__all__) | set(ROOMS)
    assert all(importlib.import_module(f"her2edge.{name}") for name in ROOMS)


@pytest.mark.parametrize("room", SURFACES)
def test_the_names_of_a_room_are_sorted_and_without_twins(room):
    names = SURFACES[room].__all__
    assert list(names) == sorted(set(names), key=lambda name: (not name.isupper(), name))
    assert SURFACES[room].__doc__


@pytest.mark.parametrize(("room", "name"), NAMES, ids=[f"{room}.{name}" for room, name in NAMES])
def test_a_public_name_is_there_is_no_module_and_says_what_it_is(room, name):
    value = getattr(SURFACES[room], name)
    assert not isinstance(value, types.ModuleType)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert (inspect.getdoc(value) or "").strip()
        assert value.__module__.startswith("her2edge.")


def test_every_room_is_there_after_importing_the_sdk_alone():
    """`her2edge.errors.ModelError` needs no second import."""
    code = f"import her2edge, json; print(json.dumps([hasattr(her2edge, room) for room in {ROOMS!r}]))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [True] * len(ROOMS)


def test_a_name_that_moved_or_never_was_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'ModelError'"):
        getattr(her2edge, "ModelError")  # noqa: B009 - a name that type checkers refuse
