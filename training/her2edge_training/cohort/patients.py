"""Which patient a file is of, by its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from her2edge.errors import OptionError, TileError
from her2edge.text import shown

PATIENT_PATTERN = "[^_/]+"  # what comes before the first `_`, or before a folder's end
_MANY = 12  # patients that are named with their counts


@dataclass(frozen=True)
class NamedFile:
    """name: its path in the folder of its class, without the suffix, `/` between. Labels come from there."""

    name: str
    label: str


@dataclass(frozen=True)
class Who:
    """slide: the patient again, where the pattern has no group of this name."""

    patient: str
    slide: str


def find_patients(files: Sequence[NamedFile], pattern: str) -> list[Who]:
    """The patient of each file: what `pattern` matches at the beginning of its name.

    pattern: a regular expression; its group `patient`, else its first group, else all that it matches is the
    patient; its group `slide` is the slide.
    Raises OptionError for no such expression; TileError for files that it does not fit, or where all are of
    one patient or a slide is of two.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise OptionError(
            f"found the pattern {pattern!r} ({error}), expected a regular expression"
        ) from error
    found = [_who(expression.match(file.name)) for file in files]
    lost = [file.name for file, who in zip(files, found, strict=True) if who is None]
    if lost:
        raise TileError(
            f"found no patient in {len(lost)} of {len(files)} names by the pattern {pattern!r}, first "
            f"{shown(lost[0])}: change --patient-pattern, or these names"
        )
    whose = [who for who in found if who is not None]
    patients = {who.patient for who in whose}
    if len(patients) == 1 and len(files) > 1:
        raise TileError(
            f"found one patient, {shown(next(iter(patients)))}, in all {len(files)} files by the pattern "
            f"{pattern!r}, first {shown(files[0].name)}: change --patient-pattern, e.g. '[^/]+' for a folder "
            "per patient, or name the one patient with --patient"
        )
    slides: dict[str, str] = {}
    for who in whose:
        if slides.setdefault(who.slide, who.patient) != who.patient:
            raise TileError(
                f"found slide {shown(who.slide)} of patient {shown(slides[who.slide])} and of "
                f"{shown(who.patient)} by the pattern {pattern!r}: a slide has one patient"
            )
    return whose


def patient_lines(files: Sequence[NamedFile], whose: Sequence[Who], by: str) -> Iterator[str]:
    """What a person checks before cutting: patients and files of each class, and of some patients.

    by: what told the patients, for the first line.
    """
    yield f"patients by {by}, e.g. {shown(whose[0].patient)} from {shown(files[0].name)}"
    yield f"{'label':8}{'patients':>12}{'files':>13}"
    pairs = Counter((file.label, who.patient) for file, who in zip(files, whose, strict=True))
    for label in dict.fromkeys(file.label for file in files):
        own = [count for (one, _), count in pairs.items() if one == label]
        yield f"{label:8}{len(own):12}{sum(own):13}"
    patients = Counter(who.patient for who in whose)
    yield f"{'all':8}{len(patients):12}{len(files):13}"
    yield f"files of each: {_some(f'{shown(name)} {count}' for name, count in sorted(patients.items()))}"
    several = {
        name: {label: count for (label, one), count in pairs.items() if one == name}
        for name, labels in Counter(patient for _, patient in pairs).items()
        if labels > 1
    }
    if several:
        words = (
            f"{shown(name)} ({', '.join(f'{label} {count}' for label, count in own.items())})"
            for name, own in several.items()
        )
        yield f"{len(several)} patient(s) have files of several classes, check that they do: {_some(words)}"
    if len(patients) == len(files) > 1:
        yield "each file is a patient of its own: check that it is"


def _who(match: re.Match[str] | None) -> Who | None:
    if match is None:
        return None
    groups = match.groupdict()
    patient = groups.get("patient") or (match[1] if match.re.groups and "patient" not in groups else match[0])
    patient = (patient or "").strip()
    return Who(patient, (groups.get("slide") or patient).strip()) if patient else None


def _some(words: Iterable[str]) -> str:
    every = list(words)
    more = len(every) - _MANY
    return ", ".join(every[:_MANY]) + (f" and {more} more" if more > 0 else "")
