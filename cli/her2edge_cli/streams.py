"""Standard output and error as outputs: what cannot be written is dropped and counted, and ends no work.

A disk that is full or a reader that went away is met in the lowest layer: click, rich, logging and the
interpreter at its end all meet the same stream, which takes everything.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

import click

from her2edge_cli import exits
from her2edge_cli.quiet import fill_descriptors

ESCAPE = "her2edge-escape"  # how characters are written that the stream's encoding lacks


class Lenient(io.RawIOBase):
    """A raw stream that never fails. lines: that could not be written; error: why the first could not.

    raw: where lines go; None: nowhere, as the process was started without this stream.
    """

    def __init__(self, raw: io.RawIOBase | None, name: str = "") -> None:
        self._raw, self.name, self.mode = raw, name, "wb"
        self.lines = 0
        self.error: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Write some of it, or drop it all; returns how many bytes are dealt with."""
        try:
            while (written := self._write(data)) is None:  # it takes nothing now, and does not wait by itself
                select.select([], [self.fileno()], [])
        except (OSError, ValueError) as error:
            self.error = self.error or (
                error if isinstance(error, OSError) else OSError(errno.EBADF, str(error))
            )
            self.lines += bytes(data).count(b"\n")
            return len(data)
        return written

    def _write(self, data: bytes | bytearray | memoryview) -> int | None:
        if self._raw is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._raw.write(data)

    def let_go(self) -> None:
        """From now on everything is dropped."""
        self._raw = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self._raw is None:
            raise io.UnsupportedOperation("fileno")
        return self._raw.fileno()

    def isatty(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return self._raw is not None and self._raw.isatty()
        return False


class Streams:
    """Standard output and error of a command. tolerated: lines that are lost do not change its exit code."""

    def __init__(self) -> None:
        self.tolerated = False
        self._lenient: list[Lenient] = []

    @property
    def lost(self) -> int:
        """Lines that could not be written."""
        return sum(stream.lines for stream in self._lenient)

    def let_go(self) -> None:
        """Drop what is still to be written."""
        for stream in self._lenient:
            stream.let_go()

    def sum_up(self, text: str) -> None:
        """A last line, which says too how many could not be written."""
        lost = f"; {self.lost} line(s) could not be written" if self.lost else ""
        click.echo(f"her2edge: {text}{lost}", err=True)

    def exit_code(self, code: int) -> int:
        """Of a command that ended with `code`: 74 or 141 where all was done, and not all could be said."""
        error = next((stream.error for stream in self._lenient if stream.error is not None), None)
        if error is None or self.tolerated or code not in (exits.DONE, exits.PARTLY):
            return code
        return exits.BROKEN_PIPE if error.errno == errno.EPIPE else exits.IO_ERROR

    def over(self, stream: TextIO | None, name: str) -> TextIO:
        """The stream, lenient; what is no file of the system's, a test's for instance, stays what it is."""
        if stream is None:
            lenient = Lenient(None, name)
            self._lenient.append(lenient)
            buffered = io.BufferedWriter(lenient)  # type: ignore[type-var]
            return io.TextIOWrapper(buffered, encoding="utf-8", errors="replace", line_buffering=True)
        buffer = getattr(stream, "buffer", None)
        raw = getattr(buffer, "raw", buffer)
        if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.RawIOBase):
            return stream
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
        lenient = Lenient(raw, name)
        self._lenient.append(lenient)
        return io.TextIOWrapper(
            io.BufferedWriter(lenient),  # type: ignore[type-var]
            encoding=stream.encoding,
            errors=ESCAPE if stream.errors in ("strict", "surrogateescape") else stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )


@contextlib.contextmanager
def lenient_streams() -> Iterator[Streams]:
    """sys.stdout and sys.stderr made lenient in the block."""
    fill_descriptors()
    codecs.register_error(ESCAPE, _escape)
    streams, before = Streams(), (sys.stdout, sys.stderr)
    try:
        sys.stdout = streams.over(before[0], "<stdout>")
        sys.stderr = streams.over(before[1], "<stderr>")
        try:
            yield streams
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
    except BaseException:  # an interrupt while a reader takes nothing: the end does not wait again
        streams.let_go()
        raise
    finally:
        sys.stdout, sys.stderr = before


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""\uXXXX, a pair of them above U+FFFF: so a line of JSON stays JSON, which `backslashreplace` breaks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    return "".join(rf"\u{pair}" for pair in pairs), error.end
