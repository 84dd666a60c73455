"""The process that decodes for `her2edge.slide.decoder`: asked on standard input, answers on its output.

`her2edge.slide.spawn` starts it.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import astuple
from pathlib import Path

from her2edge.errors import Her2EdgeError
from her2edge.slide.decoder import (
    REQUESTS,
    Decoded,
    Failed,
    Image,
    Open,
    Opened,
    Read,
    Reply,
    Request,
    receive,
    send,
)
from her2edge.slide.images import read_image
from her2edge.slide.sources import Source, open_source
from her2edge.tile import Pixels


def main() -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    requests = sys.stdin.buffer
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # what a library prints is no answer; a program without a console has no stderr either
    noise = os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()
    os.dup2(noise, sys.stdout.fileno())
    source: Source | None = None
    while True:
        try:
            request = receive(requests, REQUESTS)
        except EOFError:
            return
        try:
            if isinstance(request, Open):
                source = open_source(Path(request.path))
            reply, pixels = _answer(request, source)
        except Her2EdgeError as error:
            reply, pixels = Failed(type(error).__name__, str(error)), None
        send(replies, reply, pixels)


def _answer(request: Request, source: Source | None) -> tuple[Reply, Pixels | None]:
    if isinstance(request, Image):
        pixels = read_image(Path(request.path))
    elif source is None:
        raise AssertionError("Open comes first")
    elif isinstance(request, Read):
        pixels = source.read(request.level, request.x, request.y, request.width, request.height)
    else:
        levels = [astuple(level) for level in source.levels]
        header = (source.origin, source.dimensions, source.mpp, source.scanner, source.icc_profile)
        return Opened(levels, *header, source.notes), None
    return Decoded(*pixels.shape[:2]), pixels
