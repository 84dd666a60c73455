"""What is done in another thread beside a start: over when the start is, and never in its way."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest
import tiny
from repack import edited, golden, packed

from her2edge import Model, Options, TileClassifier
from her2edge.errors import ModelError
from her2edge.prepare import Preparation
from her2edge.uninterrupted import alongside, uninterrupted


def _fail(calls):
    calls.append(threading.get_ident())
    raise ValueError("nobody's")


def test_a_call_alongside_is_over_when_the_block_is_and_its_error_is_nobodys():
    goes_on, calls = threading.Event(), []

    def block():
        with alongside(goes_on.wait):
            goes_on.set()  # a call that was made here would wait for ever
        with alongside(partial(_fail, calls)):
            calls.append(threading.get_ident())

    uninterrupted(block)
    assert len(calls) == len(set(calls)) == 2
    assert not [one for one in threading.enumerate() if one.name == "her2edge-alongside"]


def test_the_error_of_the_block_comes_through_when_the_call_has_ended():
    ended = []

    def block():
        with alongside(partial(ended.append, True)):
            raise KeyError("the block's")

    with pytest.raises(KeyError, match="the block's"):
        uninterrupted(block)
    assert ended == [True]


def test_a_model_that_is_refused_answers_no_tile_though_one_was_prepared_meanwhile(monkeypatch):
    """The golden tile goes through filter, quality and stain, and no further."""
    prepared, prepare = [], Preparation.prepare

    def watched(self, tile):
        prepared.append(prepare(self, tile)[0])
        return prepare(self, tile)

    monkeypatch.setattr(Preparation, "prepare", watched)
    data = tiny.INT8.read_bytes()
    good = Model.from_bytes(data)
    false = golden(data, logits=good.golden.logits + np.float32(9) * np.eye(2, 3, dtype=np.float32))
    with pytest.raises(ModelError, match="golden tiles"):
        TileClassifier(
            Model.from_bytes(packed(edited(data) | {"golden.npz": false}, good.flatbuffer)),
            Options(threads=1),
        )
    assert [one.label for one in prepared] == [None]
    assert TileClassifier(good, Options(threads=1)).classify(good.golden.tiles[0]).label is not None


def test_a_golden_tile_that_cannot_be_prepared_costs_nothing(monkeypatch):
    monkeypatch.setattr(TileClassifier, "_load_kernels", lambda self: 1 / 0)
    model = Model.load(tiny.INT8)
    result = TileClassifier(model, Options(threads=1)).classify(model.golden.tiles[0])
    assert result.label is not None
