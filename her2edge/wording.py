"""What is wrong with a value, in plain words: msgspec's messages speak of types and paths."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_MOST = 1 << 20  # bytes that are read once more to show a value; of more only its kind is said
_SHOWN = 40  # characters of a value
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "null": "nothing",
    "array": "a list",
    "object": "named fields",
}
_LIMITS = {">=": "of at least", ">": "above", "<=": "of at most", "<": "below"}
_PATH = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)
_TYPE = re.compile(r"Expected `([^`]+)`(.*?)(?:, got (.*))?", re.DOTALL)
_LIMIT = re.compile(r" (?:of length )?(>=|>|<=|<)? ?([\d.e+-]+)")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def plain(error: msgspec.ValidationError, data: bytes | None = None) -> str:
    """`found epochs="30" (in stages, entry 1), expected a whole number`.

    data: the JSON that was read; None, or where it is long: kinds are said in the place of values.
    """
    text, path = _parted(_PATH, str(error))
    steps: list[str | int] = [path.lstrip(".")]  # a key of a table is not told: `[...]`
    if "..." not in path:
        steps = [name or int(number) for name, number in _STEP.findall(path)]
    if text.startswith("Object missing required field"):
        return f"found no {text.split('`')[1]}{_inside(steps)}, which is needed"
    if text.startswith("Object contains unknown field"):
        return f"found {text.split('`')[1]}{_inside(steps)}, which is not known"
    if text.startswith("Invalid enum value"):
        return f"{_found(text.removeprefix('Invalid enum value '), steps)}, which is not known"
    if not (typed := _TYPE.fullmatch(text)):
        return str(error)
    kinds, limit, got = typed[1], typed[2], typed[3] or ""
    value = _value(data, steps) if data is not None else None
    if value is None:
        value = _TYPES.get(got.strip("`"), got) or "another value"
    return f"{_found(value, steps)}, expected {_words(kinds, limit)}"


def _parted(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    match = pattern.fullmatch(text)
    return (match[1], match[2] or "") if match else (text, "")


def _found(value: str, steps: list[str | int]) -> str:
    names = [at for at, step in enumerate(steps) if isinstance(step, str)]
    if not names:
        return f"found {value}{_inside(steps)}"
    last = names[-1]
    entries = "".join(f", entry {int(step) + 1}" for step in steps[last + 1 :])
    return f"found {steps[last]}={value}{_inside(steps[:last], entries)}"


def _inside(steps: list[str | int], entries: str = "") -> str:
    """Where a field is, the outermost first; entries: of the field itself."""
    places = [f"entry {step + 1}" if isinstance(step, int) else str(step) for step in steps]
    where = ", ".join(places) + entries
    return f" (in {where})" if places else f" ({where.removeprefix(', ')})" if where else ""


def _words(kinds: str, limit: str) -> str:
    words = " or ".join(_TYPES.get(kind, kind) for kind in kinds.split(" | "))
    if (number := _LIMIT.fullmatch(limit)) is None:
        return f"{words}{limit}"
    unit = (" characters" if kinds.startswith("str") else " entries") if "length" in limit else ""
    return f"{words} {_LIMITS.get(number[1] or '', 'of')} {float(number[2]):g}{unit}"


def _value(data: bytes, steps: list[str | int]) -> str | None:
    """The value at the place, as JSON; None where it cannot be looked up."""
    if len(data) > _MOST:
        return None
    try:
        value: Any = msgspec.json.decode(data)
        for step in steps:
            value = value[step]
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
