"""A slide's tiles in words: every tile is in one phrase."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from slide_results import slide

from her2edge import Model, answer_slide
from her2edge.answer.answer import SlideAnswer, TileCounts
from her2edge.answer.counts import counted, share_word, tissue_words
from her2edge.quality import KEEPS_OUT
from her2edge.tile import Background, Outcome

NOTHING = answer_slide([], Model.demo())
some = st.integers(0, 50)


def of(counts: TileCounts) -> SlideAnswer:
    return replace(NOTHING, tiles=counts)


@given(
    some,
    st.dictionaries(st.sampled_from([*map(str, KEEPS_OUT), "novel", "unfitted"]), some),
    st.fixed_dictionaries({kind.value: some for kind in Background}),
    st.fixed_dictionaries({"failed": some, "dropped": some, "cancelled": some}),
    some,
)
def test_the_phrases_add_up_to_all_tiles(
    pooled: int, left_out: dict[str, int], kinds: dict[str, int], others: dict[str, int], unread: int
) -> None:
    outcomes = dict.fromkeys(map(str, Outcome), 0) | others
    outcomes["classified"], outcomes["background"] = pooled + sum(left_out.values()), sum(kinds.values())
    total = sum(outcomes.values()) + unread
    phrases = counted(of(TileCounts(total, outcomes, unread, kinds, pooled, left_out, {})))
    assert sum(int(phrase.split()[0]) for phrase in phrases) == total
    assert phrases[0] == f"{pooled} pooled"
    assert not any(phrase.startswith("0 ") for phrase in phrases[1:])
    for name, count in (left_out | kinds).items():
        assert (f"{name.replace('_', ' ')} {count}" in " ".join(phrases)) >= (count > 0)


def test_a_share_of_nothing_is_no_share() -> None:
    assert {share_word(NOTHING, label) for label in NOTHING.shares} == {"-"}
    answer = answer_slide(slide((0, 0, 20)), Model.demo())
    assert [share_word(answer, label) for label in answer.shares] == ["0 %", "0 %", "100 %"]


def test_how_much_of_the_tissue_was_classified_is_said_where_there_is_any() -> None:
    assert tissue_words(replace(NOTHING, tissue_classified=0.284)) == "classified 28 % of the tissue"
    assert tissue_words(replace(NOTHING, tissue_classified=None)) == ""
