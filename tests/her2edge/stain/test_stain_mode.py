"""StainMode: one word for how stains are handled, Python's and the command's."""

import re
from pathlib import Path

import pytest

from her2edge.errors import OptionError
from her2edge.stain import StainMode, stain_mode

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("choice", "mode"),
    [
        ("per_tile", StainMode.PER_TILE),
        ("per-tile", StainMode.PER_TILE),
        ("slide", StainMode.SLIDE),
        ("off", StainMode.OFF),
        (StainMode.SLIDE, StainMode.SLIDE),
    ],
)
def test_pythons_and_the_commands_words_name_the_same_mode(choice, mode):
    assert stain_mode(choice) is mode


@pytest.mark.parametrize("choice", ["tile", "given", "PER_TILE", "", None, 3, {}])
def test_another_word_is_refused_with_the_words_there_are(choice):
    with pytest.raises(OptionError, match=r"expected per_tile, slide, off$"):
        stain_mode(choice)


def test_a_caller_that_offers_fewer_names_those():
    with pytest.raises(OptionError, match="expected per_tile, off or a StainFit"):
        stain_mode("slide", (StainMode.PER_TILE, StainMode.OFF), "a StainFit")


def test_the_product_has_no_mode_as_a_literal_outside_the_manifests_schema():
    literal = re.compile(r"""(mode|stain)\w*( ==| !=|=|=Stain\()\s*["'](per_tile|slide|off|given)["']""")
    homes = (
        "her2edge/model/manifest.py",
        "her2edge/stain/mode.py",
        "quantize/her2edge_quantize/model_file/describe.py",
    )
    found = [
        path.relative_to(ROOT).as_posix()
        for room in ("her2edge", "cli", "quantize", "training")
        for path in (ROOT / room).rglob("*.py")
        if literal.search(path.read_text(encoding="utf-8"))
    ]
    assert set(found) <= set(homes)
