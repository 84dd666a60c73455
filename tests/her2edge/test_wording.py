"""What is wrong with a JSON file is said by its field, what was found and what was expected."""

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from her2edge.files import parse_json


class Inner(Struct, forbid_unknown_fields=True):
    epochs: Annotated[int, Meta(ge=1)] = 1
    rate: Annotated[float, Meta(gt=0, le=0.5)] = 0.1
    word: Literal["a", "b"] = "a"
    text: Annotated[str, Meta(max_length=3)] = ""
    pair: tuple[int, int] | None = None


class Outer(Struct):
    name: str
    parts: list[Inner] = []
    table: dict[str, int] = {}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ('{"epochs": "30"}', 'found epochs="30" (in parts, entry 2), expected a whole number'),
        ('{"epochs": 0}', "found epochs=0 (in parts, entry 2), expected a whole number of at least 1"),
        ('{"epochs": null}', "found epochs=null (in parts, entry 2), expected a whole number"),
        ('{"rate": 0}', "found rate=0 (in parts, entry 2), expected a number above 0"),
        ('{"rate": 0.75}', "found rate=0.75 (in parts, entry 2), expected a number of at most 0.5"),
        ('{"word": "c"}', "found word='c' (in parts, entry 2), which is not known"),
        ('{"text": "long"}', 'found text="long" (in parts, entry 2), expected text of at most 3 characters'),
        ('{"pair": [1]}', "found pair=[1] (in parts, entry 2), expected a list of 2 entries"),
        ('{"pair": "1/2"}', 'found pair="1/2" (in parts, entry 2), expected a list or nothing'),
        ('{"epoch": 3}', "found epoch (in parts, entry 2), which is not known"),
        ("3", "found parts=3 (entry 2), expected named fields"),
    ],
)
def test_a_field_that_is_wrong_is_said_in_plain_words(part: str, said: str) -> None:
    with pytest.raises(ValueError, match="found") as wrong:
        parse_json(f'{{"name": "a", "parts": [{{}}, {part}]}}'.encode(), Outer)
    assert str(wrong.value) == said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{}", "found no name, which is needed"),
        (b"[]", "found [], expected named fields"),
        (b'{"name": "a", "table": {"k": "v"}}', "found table[...]=text, expected a whole number"),
        (b'{"name": ["' + b"x" * 99 + b'"]}', f'found name=["{"x" * 38}..., expected text'),
    ],
)
def test_what_is_missing_long_or_of_another_kind_is_said(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match="found") as wrong:
        parse_json(data, Outer)
    assert str(wrong.value) == said
    assert not isinstance(wrong.value, msgspec.ValidationError)
