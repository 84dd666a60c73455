"""Decoding in a process of its own: what a damaged file may do to a native library is done to that process.

Both talk over the child's standard streams: the length of a message as four bytes, little-endian, the message
in MessagePack, and behind `Decoded` the pixels. No pickle. What a child says is not believed beyond its form:
a damaged file may have taken it over.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable
from typing import Annotated, BinaryIO, TypeVar, cast

import msgspec
import numpy as np

import her2edge.errors
from her2edge.errors import Her2EdgeError, SlideReadError
from her2edge.slide.images import MAX_PIXELS
from her2edge.slide.spawn import start_child
from her2edge.tile import Pixels

TIMEOUT = 60.0  # seconds for one region or image; a decoder that loops is a crash too
STARTING = (
    60.0  # seconds more for the first answer of a process: its imports take one or two, or a busy disk's
)
MAX_MESSAGE = 1 << 20  # bytes; a path, a header or an error

Side = Annotated[int, msgspec.Meta(ge=1)]


class Open(msgspec.Struct, frozen=True, tag=True):
    """Open a slide; answered by Opened."""

    path: str


class Read(msgspec.Struct, frozen=True, tag=True):
    """`Source.read` of the slide that is open; answered by Decoded."""

    level: int
    x: int
    y: int
    width: int
    height: int


class Image(msgspec.Struct, frozen=True, tag=True):
    """`read_image`; answered by Decoded."""

    path: str


class Opened(msgspec.Struct, frozen=True, tag=True):
    """The header of a slide, as in `Source`; levels: (width, height, across, down, stated)."""

    levels: list[tuple[int, int, float, float, float]]
    origin: tuple[int, int]
    dimensions: tuple[int, int]
    mpp: tuple[float, float] | None
    scanner: str | None
    icc_profile: str | bool
    notes: tuple[str, ...]


class Decoded(msgspec.Struct, frozen=True, tag=True):
    """(height, width, 3) uint8 RGB follow."""

    height: Side
    width: Side


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A her2edge error, by the name of its class."""

    kind: str
    message: str


Request = Open | Read | Image
Reply = Opened | Decoded | Failed
Message = TypeVar("Message")

REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def send(stream: BinaryIO, message: Request | Reply, pixels: Pixels | None = None) -> None:
    """Write a message, and the pixels it announces."""
    data = msgspec.msgpack.encode(message)
    stream.write(len(data).to_bytes(4, "little") + data)
    if pixels is not None:
        stream.write(np.ascontiguousarray(pixels).data)
    stream.flush()


def receive(stream: BinaryIO, decoder: msgspec.msgpack.Decoder[Message]) -> Message:
    """Read a message; raises EOFError as `exactly`, ValueError for what is none."""
    length = int.from_bytes(exactly(stream, 4), "little")
    if length > MAX_MESSAGE:
        raise ValueError(f"a message of {length} bytes, expected at most {MAX_MESSAGE}")
    return decoder.decode(exactly(stream, length))


def exactly(stream: BinaryIO, count: int) -> bytearray:
    """So many bytes; raises EOFError where the other side has gone."""
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = stream.readinto(view)  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        view = view[got:]
    return data


class Decoder:
    """A child process that decodes. One that died is started again at the next request.

    timeout: seconds for a request. starting: seconds more for a process's first answer. start: starts one.
    """

    def __init__(
        self,
        timeout: float = TIMEOUT,
        starting: float = STARTING,
        start: Callable[[], subprocess.Popen[bytes]] = start_child,
    ) -> None:
        self.timeout, self._starting, self._start = timeout, starting, start
        self._process: subprocess.Popen[bytes] | None = None
        self._overdue = self._stopped = False

    def twin(self) -> Decoder:
        """Another child process, as patient, which is not started yet."""
        return Decoder(self.timeout, self._starting, self._start)

    @property
    def alive(self) -> bool:
        """Whether a child is running, which knows what was opened in it."""
        return self._process is not None and self._process.poll() is None

    @property
    def overdue(self) -> bool:
        """Whether the last request was given up because it took too long."""
        return self._overdue

    def ask(self, request: Request) -> Opened | Pixels:
        """The answer. Raises what the child raised, SlideReadError where it died, took too long or answered
        anything else than was asked. Interrupted, it ends the child: the next answer would be this one's."""
        patience = self.timeout + (0.0 if self.alive else self._starting)
        process = self._started()
        self._overdue = False
        watchdog = threading.Timer(patience, self._stop, (process,))
        watchdog.daemon = True
        watchdog.start()
        try:
            requests, replies = cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)
            send(requests, request)
            reply = self._reply(replies)
            if not _fits(reply, request):
                raise ValueError(
                    f"found {type(reply).__name__}, which is no answer to {type(request).__name__}"
                )
            if isinstance(reply, Decoded):
                data = exactly(replies, reply.height * reply.width * 3)
                return np.frombuffer(data, np.uint8).reshape(reply.height, reply.width, 3)
        except (EOFError, OSError, ValueError) as error:
            raise self._died(process) from error
        except BaseException:
            self.close()
            raise
        finally:
            watchdog.cancel()
        if isinstance(reply, Failed):
            raise _rebuilt(reply)
        return reply

    def stop(self) -> None:
        """End the child from any thread, whatever it is doing, and start none any more."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the child."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.communicate()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        if not self._stopped:
            self._process = self._start()
        if self._stopped or self._process is None:  # looked at again: it may have been while one started
            self.close()
            raise SlideReadError("reading was ended: the slide is closed")
        return self._process

    def _reply(self, stream: BinaryIO) -> Reply:
        return receive(stream, _REPLIES)

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        self._overdue = True
        process.kill()

    def _died(self, process: subprocess.Popen[bytes]) -> SlideReadError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)  # its own end says more than the one that `close` makes
        self.close()
        code = process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if self._overdue:
            how = f"stopped after {self.timeout:g} s"
        return SlideReadError(
            f"the process that decoded it ended ({how}): the file is damaged, copy it again"
        )


def _fits(reply: Reply, request: Request) -> bool:
    """Whether the reply is of the kind, and the size, that was asked for."""
    if isinstance(reply, Failed):
        return True
    if isinstance(request, Open):
        return isinstance(reply, Opened)
    if not isinstance(reply, Decoded):
        return False
    if isinstance(request, Read):
        return (reply.height, reply.width) == (request.height, request.width)
    return reply.height * reply.width <= MAX_PIXELS


def _rebuilt(reply: Failed) -> Her2EdgeError:
    kind = getattr(her2edge.errors, reply.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, Her2EdgeError)):
        return SlideReadError(reply.message)
    return kind(reply.message)
