"""A watcher whose clock is turned by hand and whose work fails as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from her2edge.results import slide_folder
from her2edge.slide import fingerprint_slide
from her2edge.watch.inbox import Inbox
from her2edge.watch.watcher import Patience, Watcher

SETTLE = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A folder, a clock that is turned by hand, and work that fails as it is told."""

    def __init__(self, root: Path, **patience: Any) -> None:
        self.folder, self.out = root / "in", root / "out"
        self.folder.mkdir(exist_ok=True)
        self.clock, self.worked, self.said, self.aside = Clock(), [], [], []
        self.fail: Callable[[str], BaseException | None] = lambda _name: None
        self.told: Callable[[str], None] = lambda _name: None
        self.patience = Patience(**patience)
        self.start()

    def start(self) -> None:
        """A watcher that knows nothing but what is on the disk."""
        inbox = Inbox(self.folder, SETTLE, self.out, self.clock)
        self.watcher = Watcher(
            inbox,
            self.out,
            self._work,
            lambda name: self.told(name),
            self.said.append,
            self.aside.append,
            self.patience,
            self.clock,
        )

    def _work(self, path: Path) -> str:
        self.worked.append(path.name)
        error = self.fail(path.name)
        if error is not None:
            raise error
        results = slide_folder(self.out, path.name, fingerprint_slide(path))
        results.mkdir(parents=True)
        (results / "run.json").write_text("{}")
        return path.name

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
