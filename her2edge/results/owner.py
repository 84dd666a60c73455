"""Whose results a folder holds: those of the slide that its run.json names, whatever the folder is called."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import msgspec

from her2edge import claim
from her2edge.errors import MissingInputError, NotOursError, OutputError
from her2edge.files import parse_json, read_input
from her2edge.results.provenance import Provenance
from her2edge.slide import Evidence

RUN = "run.json"  # the last file to be written: a folder that holds it is complete
SUMMARY = "summary.json"
ANNOTATIONS, REPORT = "annotations.dcm", "report.dcm"  # made from the others, on demand
PAGE = "report.html"  # is of these results: it goes with them
INDEX, SHEET = "index.html", "results.csv"  # of all slides, in the folder above
_LIMIT = 16 << 20  # bytes


class _Slide(msgspec.Struct, frozen=True):
    slide: str
    fingerprint: str


class _Named(msgspec.Struct, frozen=True):
    name: str
    fingerprint: str


class Identity(msgspec.Struct, frozen=True):
    """What run.json says of the slide: its name and fingerprint, and the evidence beside them."""

    basis: _Slide
    evidence: Evidence | None = None

    def is_of(self, slide: str, fingerprint: str) -> bool:
        """Whether it is this slide, by its name and its whole fingerprint."""
        return (_composed(self.basis.slide), self.basis.fingerprint) == (slide, fingerprint)


class _Summary(msgspec.Struct, frozen=True):
    slide: _Named


def read_record(path: Path) -> bytes | None:
    """A record's bytes, None where there is none; raises OutputError for what is no file or unreadable."""
    try:
        return read_input(path, _LIMIT, "a record of her2edge", OutputError)
    except MissingInputError:
        return None


def read_identity(folder: Path) -> Identity | None:
    """What run.json says; None where there is none, or a damaged one. Raises OutputError."""
    data = read_record(folder / RUN)
    try:
        return None if data is None else parse_json(data, Identity)
    except ValueError:
        return None


def named_in(folder: Path) -> str | None:
    """The slide that a folder's records name, as `SlideReader.name`; None where they are damaged."""
    try:
        identity = read_identity(folder)
        owner = identity.basis if identity else _summarised(folder)
    except OutputError:
        return None
    return None if owner is None else _composed(owner.slide)


def check_owner(folder: Path, basis: Provenance) -> None:
    """Raises NotOursError where the folder is a link, or holds another slide's results; OutputError."""
    if is_link(folder):
        raise NotOursError(
            f"{folder.name}: found a link in place of the results, which could lead anywhere: remove it, or "
            "choose another --out"
        )
    identity = read_identity(folder)
    owner = identity.basis if identity else _summarised(folder)
    if owner is not None and (_composed(owner.slide), owner.fingerprint) != (basis.slide, basis.fingerprint):
        raise NotOursError(another(folder, owner.slide, owner.fingerprint, basis))


def _composed(name: str) -> str:
    """A name as `SlideReader.name` has it; former records may hold another spelling (NFD)."""
    return unicodedata.normalize("NFC", name)


def another(folder: Path, slide: str, fingerprint: str, basis: Provenance) -> str:
    """The message where a folder belongs to another slide than that of `basis`."""
    return (
        f"{basis.slide}: found {folder.name} to hold results of another slide, {slide} (fingerprint "
        f"{fingerprint[:24]}, of this one {basis.fingerprint[:24]}): they are kept; choose another --out for "
        f"this one, or rename it"
    )


def is_link(path: Path) -> bool:
    """Whether it is a symbolic link, or a file of several names: both may be written to from elsewhere, and
    lead there. Raises OutputError where that cannot be asked."""
    try:
        one = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise OutputError(
            f"{path.name}: cannot be read ({error.strerror}): check the folder, or choose another --out"
        ) from error
    return claim.is_link(one)


def _summarised(folder: Path) -> _Slide | None:
    """The slide that summary.json names, where run.json is gone or damaged."""
    data = read_record(folder / SUMMARY)
    try:
        slide = None if data is None else parse_json(data, _Summary).slide
    except ValueError:
        return None
    return None if slide is None else _Slide(slide.name, slide.fingerprint)
