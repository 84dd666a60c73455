"""Shard: which slides of a list are whose, without anybody who hands them out.

A slide's shard is the SHA-256 of its path as the list has it, modulo the number of shards: the same on every
machine, and adding slides to the list, or sorting it, moves none.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from her2edge.cohort import CohortSlide
from her2edge.errors import OptionError

SHARDS = "HER2EDGE_SHARDS"  # a variable: how many shards there are, where the scheduler does not say
AUTO = "auto"
_SLURM = "SLURM_ARRAY_TASK_ID"
_KUBERNETES = "JOB_COMPLETION_INDEX"
_FORM = "I/N, e.g. 1/10 for the first of ten, or auto in a Slurm array or a Kubernetes Indexed Job"


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a list. number: 1..count. Raises OptionError out of range."""

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise OptionError(
                f"found shard {self.number}/{self.count}, expected 1/{self.count} to "
                f"{self.count}/{self.count}: the first shard is number 1"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def slides(self, slides: Iterable[CohortSlide]) -> list[CohortSlide]:
        """Its part of them, in their order."""
        return [one for one in slides if number_of(one, self.count) == self.number]


def number_of(slide: CohortSlide, count: int) -> int:
    """The number, 1..count, of the shard that a slide is in."""
    written = unicodedata.normalize("NFC", slide.listed or str(slide.path)).replace("\\", "/")
    digest = hashlib.sha256(posixpath.normpath(written).encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % count + 1


def read_shard(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """`3/10`, or `auto`: what the environment says. Raises OptionError."""
    if text == AUTO:
        return auto_shard(environment)
    parts = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if parts is None:
        raise OptionError(f"found shard {text!r}, expected {_FORM}")
    return Shard(int(parts[1]), int(parts[2]))


def auto_shard(environment: Mapping[str, str] = os.environ) -> Shard:
    """The shard of this task of a Slurm array, or of this pod of a Kubernetes Indexed Job.

    HER2EDGE_SHARDS says how many there are: Kubernetes tells no pod, and a Slurm array of which only some
    tasks run again does not either. Indices begin at 0 then; without it those of a Slurm array without gaps
    may begin anywhere. Raises OptionError for what is missing, or says two things.
    """
    there = [name for name in (_SLURM, _KUBERNETES) if environment.get(name)]
    if len(there) != 1:
        found = " and ".join(there) or f"neither {_SLURM} nor {_KUBERNETES}"
        raise OptionError(f"found {found}, expected one of them for --shard auto: say which shard, {_FORM}")
    if environment.get(SHARDS):
        return _of(_number(environment, there[0]), _number(environment, SHARDS))
    if there == [_KUBERNETES]:
        raise OptionError(
            f"found {_KUBERNETES} without {SHARDS}, expected both: set it to `completions` in the Job's env"
        )
    return _of_array(environment)


def _of_array(environment: Mapping[str, str]) -> Shard:
    """Of a Slurm array that runs whole."""
    names = ("ID", "MIN", "MAX", "STEP", "COUNT")
    defaults = {"SLURM_ARRAY_TASK_STEP": "1"}
    index, first, last, step, count = (
        _number(defaults | dict(environment), f"SLURM_ARRAY_TASK_{name}") for name in names
    )
    if step < 1 or (last - first) // step + 1 != count or (index - first) % step:
        raise OptionError(
            f"found a Slurm array of {count} tasks from {first} to {last}, which has gaps: set {SHARDS} to "
            "the number of tasks that the whole array had, whose indices begin at 0"
        )
    return _of((index - first) // step, count)


def _of(index: int, count: int) -> Shard:
    if not index < count:
        raise OptionError(f"found task {index} of {count}, expected 0 to {count - 1}: set {SHARDS} rightly")
    return Shard(index + 1, count)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not re.fullmatch(r"\d{1,9}", text):
        raise OptionError(f"found {name}={text!r}, expected a whole number")
    return int(text)
