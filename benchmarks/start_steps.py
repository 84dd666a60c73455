"""`her2edge ARGUMENTS` in this process, ended at the journal's first tissue tile; prints its steps.

    python benchmarks/start_steps.py BEGAN ARGUMENTS...

BEGAN: `time.perf_counter()` of who started this process, just before. One line of JSON: seconds from there
at which each step began and ended, steps being imports and calls, and processor seconds of all threads.
Steps may lie within others or, in threads, beside them.
"""

from __future__ import annotations

import time

ENTERED = time.perf_counter()

import importlib.machinery  # noqa: E402 - the clock first
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from importlib.abc import Loader, MetaPathFinder  # noqa: E402
from types import ModuleType  # noqa: E402
from typing import Any  # noqa: E402

# What each step is: a module, and the call in it; None: its import.
STEPS: dict[str, tuple[str, str | None]] = {
    "import NumPy": ("numpy", None),
    "import OpenCV": ("cv2", None),
    "import Numba": ("numba", None),
    "import her2edge, these included": ("her2edge", None),
    "import the command, these included": ("her2edge_cli.main", None),
    "import the verb, with what it uses": ("her2edge_cli.classify", None),
    "read and verify the model": ("her2edge.model.file", "Model.load"),
    "read and verify the demo model": ("her2edge.model.file", "Model.demo"),
    "import LiteRT": ("ai_edge_litert.interpreter", None),
    "start the interpreter": ("her2edge.runtime.litert", "LiteRTRuntime._new_interpreter"),
    "self-test": ("her2edge.runtime.selftest", "self_test"),
    "load kernels": ("her2edge._jit", "_PrivateCache.load_overload"),
    "import OpenSlide": ("openslide", None),
    "open the slide": ("her2edge.slide.reader", "SlideReader.__init__"),
    "fingerprint": ("her2edge.slide.reader", "fingerprint_slide"),
    "complete results?": ("her2edge.results.former", "find_former"),
    "open the journal": ("her2edge.results.journal.opening", "open_journal"),
    "stain fit of the slide": ("her2edge.results.slide_stain", "find_slide_stain"),
    "map of the glass": ("her2edge.slide.reader", "SlideReader.glass"),
    "read a tile": ("her2edge.slide.reader", "sample"),
    "prepare a tile": ("her2edge.prepare", "Preparation.prepare"),
}
END = ("her2edge.results.journal.journal", "Journal.add")  # what was classified, and not background

Spans = dict[str, list[tuple[float, float]]]


class Steps(MetaPathFinder):
    """Times modules as they are imported, and what STEPS names in them from then on."""

    def __init__(self, began: float, write: Callable[[str], object]) -> None:
        self.began, self.write = began, write
        self.spans: Spans = {}
        self._looking: set[str] = set()
        self._modules = {module for module, _ in (*STEPS.values(), END)}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._modules:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Timed(spec.loader, self)
        return spec

    def note(self, step: str, began: float) -> None:
        self.spans.setdefault(step, []).append((began - self.began, time.perf_counter() - self.began))

    def imported(self, module: ModuleType, began: float) -> None:
        for step, (name, call) in STEPS.items():
            if name == module.__name__ and call is None:
                self.note(step, began)
            elif name == module.__name__ and call is not None:
                _wrap(module, call, lambda made, step=step: self._timed(step, made))
        if module.__name__ == END[0]:
            _wrap(module, END[1], lambda add: self._last(add))

    def _timed(self, step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **more: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*given, **more)
            finally:
                self.note(step, began)

        return timed

    def _last(self, add: Callable[..., Any]) -> Callable[..., Any]:
        def last(journal: Any, result: Any) -> Any:
            if result.label is None:
                return add(journal, result)
            found = {
                "first": time.perf_counter() - self.began,
                "processor": time.process_time(),
                "spans": self.spans | {"start Python": [(0.0, ENTERED - self.began)]},
            }
            self.write(json.dumps(found))
            os._exit(0)

        return last


class _Timed(Loader):
    def __init__(self, loader: Any, steps: Steps) -> None:
        self._loader, self._steps = loader, steps

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        began = time.perf_counter()
        self._loader.exec_module(module)
        self._steps.imported(module, began)

    def __getattr__(self, name: str) -> Any:  # get_resource_reader, get_source, ...
        return getattr(self._loader, name)


def _wrap(module: ModuleType, dotted: str, wrapped: Callable[[Any], Any]) -> None:
    """Put `wrapped(call)` in the place of a function or a method."""
    *owners, name = dotted.split(".")
    owner: Any = module
    for one in owners:
        owner = getattr(owner, one)
    found = vars(owner).get(name)
    if isinstance(found, classmethod | staticmethod):
        setattr(owner, name, type(found)(wrapped(found.__func__)))
    elif found is not None:
        setattr(owner, name, wrapped(found))


def main() -> None:
    began, *arguments = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w", buffering=1)
    sys.meta_path.insert(0, Steps(float(began), lambda line: out.write(line + "\n")))
    sys.argv = ["her2edge", *arguments]
    from her2edge_cli import run

    run()


if __name__ == "__main__":
    main()
