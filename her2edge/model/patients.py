"""The patients that a model learnt from, so that none of them calibrates it: hashes, no names.

A hash is slow to make and salted with the model's own tile list, but names are few and short: who has the
file and guesses a patient's name can have it confirmed. No name, and nothing of a patient, is in it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from her2edge.model.records import Record

_ROUNDS = 20_000
_BYTES = 16
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]


class TrainingPatients(Record, frozen=True, kw_only=True):
    """Whom training and validation were of. hashes: sorted; of each patient, or slide without one.

    others: "unknown": training began from a model file that did not say whom it had learnt from; unset: these
    are all.
    """

    salt: str
    hashes: tuple[Digest, ...]
    others: Literal["unknown"] | UnsetType = UNSET

    @classmethod
    def of(cls, salt: str, groups: Iterable[str]) -> TrainingPatients:
        """groups: `patient_group` or `slide_group` of each."""
        return cls(salt=salt, hashes=tuple(sorted({_digest(salt, one) for one in groups})))

    def with_more(self, groups: Iterable[str]) -> TrainingPatients:
        """These and others, under the salt that these have: of training that began where they had trained."""
        more = self.of(self.salt, groups)
        return msgspec.structs.replace(self, hashes=tuple(sorted({*self.hashes, *more.hashes})))

    def hold(self, group: str) -> bool:
        """Whether this one is among them."""
        return _digest(self.salt, group) in self.hashes


def patient_group(patient: str) -> str:
    """A patient, as training's groups have it."""
    return f"patient:{patient}"


def slide_group(slide: str) -> str:
    """A slide of a patient who is not named."""
    return f"slide:{slide}"


def spellings(patient: str, slide: str) -> set[str]:
    """Groups under which training may have known a patient and a slide: no hash tells two spellings for one.

    patient: empty where it is not named. slide: a name, or that of its file.
    """
    patients = {patient, patient.upper(), patient.lower()} - {""}
    return {*map(patient_group, patients), *map(slide_group, {slide, PurePath(slide).stem})}


def _digest(salt: str, group: str) -> str:
    text = unicodedata.normalize("NFC", group).encode("utf-8", "surrogatepass")
    return hashlib.pbkdf2_hmac("sha256", text, salt.encode(), _ROUNDS, _BYTES).hex()
