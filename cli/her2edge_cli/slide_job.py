"""A slide of a cohort in another process: paths and plain values go there, plain values come back.

A process loads and tests the model once. It refuses another file than the one that was asked for, by hash,
and another her2edge: on every machine the same thing is done, or nothing.
"""

from __future__ import annotations

import functools
import hashlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from her2edge import Her2EdgeError, __version__
from her2edge.cohort import CohortSlide
from her2edge.errors import ModelError, RuntimeUnavailable, StainError
from her2edge.runtime import Host
from her2edge.shards import Outcome, SlideWork
from her2edge.stain import StainFit
from her2edge_cli.exits import exit_code
from her2edge_cli.options import Choices, Reading, load_reading

Plain = dict[str, Any]  # of texts, numbers, lists and such
Do = Callable[[Plain, Plain, int], Plain]  # as `do`
_working = threading.Lock()  # one slide at a time: one that kills the process costs no other a try


@dataclass(frozen=True)
class Setup:
    """What each process does the same. choices: with whole paths. model: SHA-256 of the model file, hex.
    stain: as `stain_of`."""

    choices: Choices
    model: str
    stain: str | None
    retries: int
    version: str = __version__


def slide_work(reading: Reading, retries: int) -> SlideWork:
    """What is done for a slide of a cohort, in this process."""
    return SlideWork(
        reading.choices.out,
        functools.partial(reading.run, fill_in=True),
        reading.classifier.model.sha256,
        retries,
        exit_code,
    )


def do(setup: Plain, job: Plain, cores: int) -> Plain:
    """One slide, as `pack` made it, to an Outcome, packed. cores: that this process has for itself."""
    slide = unpack(job, CohortSlide)
    with _working:
        try:
            work = _work(msgspec.json.encode(setup), cores)
        except Her2EdgeError as error:
            why = f"worker {socket.gethostname()}: {error}"
            return pack(Outcome(slide, reason=why, exit_code=exit_code(error), ends=True))
        return pack(work(slide))


@functools.lru_cache(maxsize=1)
def _work(packed: bytes, cores: int) -> SlideWork:
    """Raises RuntimeUnavailable for another her2edge, ModelError for another model, StainError for another
    stain fit, what loading raises."""
    plain = msgspec.json.decode(packed)
    if plain.get("version") != __version__:  # first: its other fields may mean something else
        raise RuntimeUnavailable(
            f"found her2edge {__version__}, expected {plain.get('version')}, as on the machine that hands "
            f"out the slides: install that version"
        )
    setup = unpack(plain, Setup)
    choices = setup.choices
    if choices.threads is None and choices.interpreters is None:
        choices = replace(choices, threads=1, interpreters=cores)
    if choices.readers is None:
        choices = replace(choices, readers=min(cores, Host().readers))
    reading = load_reading(choices)
    found = reading.classifier.model.sha256
    if found != setup.model:
        raise ModelError(
            f"found the model {found[:12]}, expected {setup.model[:12]}, as on the machine that hands out "
            f"the slides: copy that model here"
        )
    if stain_of(reading) != setup.stain:
        raise StainError(
            f"{choices.stain}: found the stain {stain_of(reading)}, expected {setup.stain}, as on the "
            "machine that hands out the slides: copy that file here"
        )
    return slide_work(replace(reading, bars=False), setup.retries)


def stain_of(reading: Reading) -> str | None:
    """What --stain says; a saved fit by the hash of its numbers, whatever its file is called."""
    fit = reading.classifier.options.stain
    if not isinstance(fit, StainFit):
        return reading.choices.stain
    return f"fit {hashlib.sha256(msgspec.json.encode(fit.to_dict(), order='sorted')).hexdigest()[:12]}"


def setup_of(reading: Reading, retries: int) -> Plain:
    """The setup of a reading, packed; its paths are whole, since others start from another folder."""
    choices = reading.choices
    whole: Plain = {
        field.name: value.absolute()
        for field in fields(choices)
        if isinstance(value := getattr(choices, field.name), Path)
    }
    if choices.stain and Path(choices.stain).exists():
        whole["stain"] = str(Path(choices.stain).absolute())
    model = reading.classifier.model.sha256
    return pack(Setup(replace(choices, **whole), model, stain_of(reading), retries))


def pack(record: Any) -> Plain:
    """A dataclass as plain values."""
    plain: Plain = msgspec.to_builtins(record, enc_hook=str)
    return plain


def unpack(plain: Plain, kind: type[Any]) -> Any:
    """What was packed."""
    return msgspec.convert(plain, kind, dec_hook=lambda wanted, value: wanted(value))
