"""Classifiers on a machine, or with a network, that the test chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from her2edge import Model, Options, TileClassifier
from her2edge.runtime import Engine, Host, Runtime


def on_cores(model: Model, cores: int = 8, **options: Any) -> TileClassifier:
    """A classifier as it would be on a machine with so many cores."""
    return on(Host(cores=cores), model, Options(**options))


def on(host: Host, model: Model, options: Options | None = None) -> TileClassifier:
    """A classifier as it would be on that machine."""
    options = options or Options()
    engine = Engine.start(
        model,
        options.runtime,
        options.threads,
        options.interpreters,
        test=options.self_test,
        host=host,
        readers=options.readers,
    )
    return TileClassifier(model, options, engine=engine)


def with_network(classifier: TileClassifier, **methods: Callable[..., Any]) -> TileClassifier:
    """The same classifier with these methods (`logits=...`) in place of its network's own."""
    engine = replace(classifier.engine, runtime=Other(classifier.engine.runtime, methods))
    return TileClassifier(classifier.model, classifier.options, engine=engine)


class Other:
    """A runtime with some methods of its own; the rest is the real one's."""

    def __init__(self, runtime: Runtime, methods: dict[str, Callable[..., Any]]) -> None:
        self._runtime = runtime
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)
