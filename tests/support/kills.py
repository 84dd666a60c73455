"""Runs `her2edge` in processes of their own, to be killed: forked from one that has imported everything."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

BATCH, PAUSE = 4, 0.004  # results per commit; seconds that a tile takes longer, so that a kill meets tiles


def start(arguments: list[str], log: Path) -> ForkServerProcess:
    """The command in a child; `log` gets a byte when it begins and one for each tile it has answered."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kills", "small_slide", "her2edge_cli.main", "her2edge_cli.classify"])
    process = context.Process(target=_run, args=(arguments, str(log)))
    process.start()
    return process


def answered(log: Path) -> int:
    """Tiles that the child has answered, whatever became of it; -1: it has not begun."""
    return log.stat().st_size - 1 if log.exists() else -1


def stop(child: Any, log: Path, tiles: int, after: float, number: int) -> float:
    """Send a child a signal `after` so many seconds from when it has answered so many tiles; return the
    seconds until it had ended."""
    while answered(log) < tiles and child.exitcode is None:
        time.sleep(0.001)
    time.sleep(after)
    begun = time.monotonic()
    if child.exitcode is None:
        os.kill(child.pid, number)
    child.join(60)
    assert child.exitcode is not None
    return time.monotonic() - begun


def _run(arguments: list[str], log: str) -> None:
    from small_slide import with_options

    from her2edge_cli.main import main
    from her2edge_cli.parts import Parts

    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    ticks = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(ticks, b".")

    def slow(done: int, _total: int) -> None:
        if done:
            time.sleep(PAUSE)
            os.write(ticks, b".")

    raise SystemExit(main(arguments, Parts(classify_slide=with_options(slow, batch=BATCH))))
