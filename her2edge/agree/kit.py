"""agree.json: all that a kit says, for programs, and for the kits of later months."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from her2edge.agree.compare import Agreement
from her2edge.agree.drift import Drift
from her2edge.agree.errors import AgreeError
from her2edge.agree.records import ListRead, ReadBy, SlideRecord
from her2edge.files import foreign, json_bytes, look, parse_json, read_input

JSON, CSV, MARKDOWN, HTML = "agree.json", "agree.csv", "agree.md", "agree.html"
FILES = (JSON, CSV, MARKDOWN, HTML)
_LIMIT = 256 << 20  # bytes


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the slides of a list. agreement: None where `no_agreement` says why.
    drift: None without a baseline."""

    schema_version: Literal[1] = 1
    notice: str
    read_by: ReadBy
    cohort: ListRead
    agreement: Agreement | None
    no_agreement: str | None
    drift: Drift | None
    slides: tuple[SlideRecord, ...]


def read_kit(path: Path) -> tuple[Kit, bytes]:
    """A kit, by its folder or its agree.json, and the bytes of that. Raises MissingInputError, AgreeError."""
    expected = f"the {JSON} of an earlier `her2edge agree`"
    file = path / JSON if look(path, expected, AgreeError) == "folder" else path
    data = read_input(file, _LIMIT, expected, AgreeError)
    with foreign(file.name, expected, AgreeError):
        kit = parse_json(data, Kit)
    return msgspec.structs.replace(kit, slides=tuple(one.unnamed() for one in kit.slides)), data


def kit_bytes(kit: Kit) -> bytes:
    """agree.json; answers of a demo model say so."""
    slides = tuple(one.named(kit.read_by.demo) for one in kit.slides)
    return json_bytes(msgspec.structs.replace(kit, slides=slides))
