"""What became of slides that were tried: written before a slide is begun, so that a crash counts too.

OUT/.watch/known-*.json   which files are which slides, see watch/fingerprints.py
OUT/.watch/<slide>.json   how often it was begun and not finished, why the last try failed
OUT/.watch/<slide>.lock   claimed, as long as a process holds it
OUT/failed/<slide>.json   set aside, with the reason; removed, the slide is tried again

<slide> is the name of the slide's results folder, with a hash of its name where that says less than the name.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from her2edge.attempts.aside import SetAside
from her2edge.claim import claim, unclaim
from her2edge.errors import OutputError, TakenError
from her2edge.files import ensure_folder, forget, parse_json, write_bytes, write_json
from her2edge.results.folder import former_folder, safe_name, slide_folder
from her2edge.results.owner import RUN, is_link, read_identity, read_record
from her2edge.text import shown

RECORDS, ASIDE = ".watch", "failed"  # folders below OUT
KNOWN = "known-"  # what files in RECORDS are called that are of no slide


class Begun(msgspec.Struct, frozen=True, omit_defaults=True):
    """What .watch/<slide>.json holds. reason: why the last try failed; empty where its process died."""

    attempts: int
    slide: str = ""
    reason: str = ""


class _Aside(msgspec.Struct, frozen=True):
    """What is needed of failed/<slide>.json."""

    slide: str
    fingerprint: str
    looks: str | None = None


class Attempts:
    """The records of one slide, by its name and fingerprint, below `out`.

    readable: the fingerprint is of the slide's content, and not of how its file looks.
    looks: as in `her2edge.slide.Evidence`, where the fingerprint may be of a sample; None: it says it all.
    """

    def __init__(
        self, out: Path, name: str, fingerprint: str, *, readable: bool = True, looks: str | None = None
    ) -> None:
        self.fingerprint, self.readable, self.looks = fingerprint, readable, looks
        self.name = name
        self._results = tuple(place(out, name, fingerprint) for place in (slide_folder, former_folder))
        key = self._results[0].name
        if safe_name(name) != name:  # "a b.tif" and "a_b.tif" have one folder, and are two slides
            key += "-" + hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        self._folder, self._key = out / RECORDS, key
        self._begun = self._folder / f"{key}.json"
        self.set_aside = out / ASIDE / f"{key}.json"
        self._set_aside_before = out / ASIDE / f"{self._results[1].name}.json"

    @property
    def done(self) -> bool:
        """Nothing is left to do: the results are complete, or the slide was set aside.

        Raises OutputError where `out` cannot be looked at: "no" would do everything again.
        """
        try:
            return self.results is not None or self.is_set_aside
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(
                f"{self._key}: the results cannot be read ({error.strerror}): check the folder"
            ) from error

    @property
    def results(self) -> Path | None:
        """The folder of the slide's complete results; None where there are none. Raises OSError."""
        return next(filter(self._is_complete, self._results), None)

    @property
    def is_set_aside(self) -> bool:
        """Whether `set_aside` is there and of the slide as it is now. Raises OSError."""
        return self._is_aside(self.set_aside)

    def _is_complete(self, folder: Path) -> bool:
        """Whether run.json in it is of this slide, and of what the slide is now."""
        if not self._is_file(folder / RUN) or is_link(folder):
            return False
        identity = read_identity(folder)
        if identity is None or not identity.is_of(self.name, self.fingerprint):
            return False
        kept = identity.evidence
        return kept is None or not kept.sampled or self.looks in (None, kept.looks)

    def _is_aside(self, path: Path) -> bool:
        """Whether it was set aside, as it is now; a record that cannot be read is one.

        Records have the names of the slides' folders, those of before November 2026 the former ones.
        """
        if path != self._set_aside_before and self._is_aside(self._set_aside_before):
            self.set_aside = self._set_aside_before  # its removal is what a user is told to do
            return True
        if not self._is_file(path):
            return False
        try:
            record = parse_json(read_record(path) or b"", _Aside)
        except (OutputError, ValueError):
            return path != self._set_aside_before
        same = (record.slide, record.fingerprint) == (self.name, self.fingerprint)
        return same and (None in (record.looks, self.looks) or record.looks == self.looks)

    @property
    def count(self) -> int:
        """How many times the slide was begun without an end; a damaged record counts as none."""
        try:
            return parse_json(read_record(self._begun) or b"", Begun).attempts
        except (OutputError, ValueError):
            return 0

    @contextlib.contextmanager
    def claim(self) -> Iterator[bool]:
        """Whether the slide is this process's alone, in the block; a process that dies lets go of it.

        Raises OutputError where nothing can be written below `out`, NotOursError where the lock is a link, or
        another user's.
        """
        refuse_links(self._folder.parent)
        ensure_folder(self._folder)
        path, lock = self._folder / f"{self._key}.lock", None
        try:  # around the taking too: who is interrupted right after it gives the lock back
            try:
                lock = claim(path)
            except TakenError:
                yield False
                return
            except OSError as error:
                if isinstance(error, OutputError):
                    raise
                raise OutputError(
                    f"{path.name}: cannot be created ({error.strerror}); choose another --out"
                ) from error
            yield True
        finally:
            if lock is not None:
                unclaim(lock, path)

    def begin(self) -> int:
        """Count one more; returns how many it is now."""
        return self._write(self.count + 1)

    def take_back(self) -> None:
        """The last one does not count: it was not the slide's fault. Never fails: on a full disk, where
        nothing can be written, the former ones are forgotten too."""
        try:
            self._write(max(0, self.count - 1))
        except OutputError:
            with contextlib.suppress(OSError):
                self._begun.unlink(missing_ok=True)

    def end(self) -> None:
        """The slide is done, or set aside."""
        forget(self._folder, self._begun.name)

    def give_up(self, why: SetAside) -> None:
        """Set the slide aside. Raises OutputError, and then the last attempt does not count."""
        try:
            self._set_aside(why)
        except OutputError:
            self.take_back()
            raise
        self.end()

    def _set_aside(self, why: SetAside) -> None:
        ensure_folder(self.set_aside.parent)
        write_json(self.set_aside, why)

    def failed(self, reason: str) -> None:
        """Keep why the last try failed, for whoever looks. Never fails."""
        with contextlib.suppress(OutputError):
            self._write(self.count, reason)

    def _write(self, attempts: int, reason: str = "") -> int:
        write_bytes(self._begun, msgspec.json.encode(Begun(attempts, shown(self.name), reason)))
        return attempts

    def _is_file(self, path: Path) -> bool:
        return path.is_file()


def refuse_links(out: Path) -> None:
    """Raises OutputError where a folder of records is a link: what is written there would go elsewhere."""
    for name in (RECORDS, ASIDE):
        if is_link(out / name):
            raise OutputError(
                f"{name}: found a link in place of the records, which could lead anywhere: remove it, or "
                f"choose another --out"
            )
