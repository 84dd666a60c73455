"""What became of slides that a watcher tried: written before a slide is begun, so that a crash counts too.

OUT/.watch/<slide>.json   begun so many times and not finished
OUT/.watch/<slide>.lock   claimed, as long as a process holds it
OUT/failed/<slide>.json   set aside, with the reason; removed, the slide is tried again
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from her2edge.files import atomic, ensure_folder, forget
from her2edge.outputs import slide_folder
from her2edge.tile import RESEARCH_USE


@dataclass(frozen=True)
class SetAside:
    """Why a slide is not tried again. exit_code: what `her2edge classify` would have ended with."""

    slide: str
    fingerprint: str
    reason: str
    exit_code: int
    attempts: int
    notice: str = RESEARCH_USE


class _Begun(msgspec.Struct, frozen=True):
    attempts: int


class Attempts:
    """The records of one slide, by its name and fingerprint, below `out`."""

    def __init__(self, out: Path, name: str, fingerprint: str) -> None:
        self._results = slide_folder(out, name, fingerprint)
        key = self._results.name
        self._folder, self._key = out / ".watch", key
        self._begun = self._folder / f"{key}.json"
        self.set_aside = out / "failed" / f"{key}.json"

    @property
    def settled(self) -> bool:
        """Nothing is left to do: the results are complete, or the slide was set aside."""
        return (self._results / "run.json").is_file() or self.set_aside.is_file()

    @property
    def count(self) -> int:
        """How many times the slide was begun without an end; a damaged record counts as none."""
        try:
            return msgspec.json.decode(self._begun.read_bytes(), type=_Begun).attempts
        except (OSError, msgspec.DecodeError):
            return 0

    @contextlib.contextmanager
    def claim(self) -> Iterator[bool]:
        """Whether the slide is this process's alone, in the block; a process that dies lets go of it.

        Raises OutputError where nothing can be written below `out`.
        """
        ensure_folder(self._folder)
        lock = FileLock(self._folder / f"{self._key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            if self.settled:  # who waits for this lock will see that, so it need not be the same file
                with contextlib.suppress(OSError):
                    (self._folder / f"{self._key}.lock").unlink(missing_ok=True)
            lock.release()

    def begin(self) -> int:
        """Count one more; returns how many it is now."""
        return self._write(self.count + 1)

    def take_back(self) -> None:
        """The last one does not count: it was not the slide's fault."""
        self._write(max(0, self.count - 1))

    def end(self) -> None:
        """The slide is done, or set aside."""
        forget(self._folder, self._begun.name)

    def give_up(self, why: SetAside) -> None:
        """Set the slide aside."""
        ensure_folder(self.set_aside.parent)
        with atomic(self.set_aside) as file:
            file.write(msgspec.json.format(msgspec.json.encode(why), indent=2) + b"\n")
        self.end()

    def _write(self, attempts: int) -> int:
        with atomic(self._begun) as file:
            file.write(msgspec.json.encode(_Begun(attempts)))
        return attempts
