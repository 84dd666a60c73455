"""A watcher whose clock is turned by hand and whose work fails as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from her2edge import Model, SlideRun, answer_slide
from her2edge.results import slide_folder
from her2edge.slide import fingerprint_slide
from her2edge.slide.fingerprint import look_at
from her2edge.watch import Event, SetAside, SlideDone, SlideSetAside, Watcher, WatchOptions
from her2edge.watch.watcher import Surroundings
from her2edge_cli.exits import exit_code

DATA = Path(__file__).resolve().parents[1] / "data"
STILL = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Bench:
    """A folder, a clock that is turned by hand, and work that fails as it is told."""

    def __init__(self, root: Path, out: str = "out", around: Any = None, **patience: Any) -> None:
        self.folder, self.out = root / "in", root / out
        self.folder.mkdir(exist_ok=True)
        self.clock = Clock()
        self.worked: list[str] = []
        self.events: list[Event] = []
        self.fail: Callable[[str], BaseException | None] = lambda _name: None
        self.done: Callable[[str], None] = lambda _name: None
        self.around: dict[str, Any] = around or {}
        self.patience = patience
        self.start()

    def start(self) -> None:
        """A watcher that knows nothing but what is on the disk."""
        self.watcher = Watcher(
            self.folder,
            self.out,
            self._work,
            self._tell,
            WatchOptions(still_for=STILL, **self.patience),
            exit_code=exit_code,
            surroundings=replace(Surroundings(self.clock, self.clock.sleep), **self.around),
        )

    @property
    def aside(self) -> list[SetAside]:
        """What the watcher told of slides that it set aside."""
        return [event.record for event in self.events if isinstance(event, SlideSetAside)]

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, SlideDone):
            self.done(event.run.name)

    def _work(self, path: Path) -> SlideRun:
        self.worked.append(path.name)
        error = self.fail(path.name)
        if error is not None:
            raise error
        basis = {"slide": path.name, "fingerprint": fingerprint_slide(path)}
        results = slide_folder(self.out, path.name, basis["fingerprint"])
        results.mkdir(parents=True, exist_ok=True)
        evidence = look_at(path.parent, [path])
        (results / "run.json").write_bytes(msgspec.json.encode({"basis": basis, "evidence": evidence}))
        return SlideRun(path.name, answer_slide([], Model.load(DATA / "tiny-int8.tflite")), results, ())

    def put(self, name: str, data: bytes = b"slide") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def wait(self, seconds: float, step: float = 5.0) -> None:
        """Let time go by, with a round every `step` seconds."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.watcher.round()
            self.clock.now += step
        self.watcher.round()

    def set_aside(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((self.out / "failed").glob("*.json"))]
