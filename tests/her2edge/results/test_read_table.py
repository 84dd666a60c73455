"""tiles.csv read back: every field of every kind of tile, to the decimals that are written."""

from __future__ import annotations

import dataclasses

import made_results
import numpy as np
import pytest

from her2edge import LABELS
from her2edge.results.table import read_table, write_table


def test_a_table_is_read_back_as_the_results_it_was_made_of(tmp_path):
    written = [
        dataclasses.replace(one, slide="=s", stain_status="ok", stain_source="tile") if one.pooled else one
        for one in made_results.mixed(9, 7)
    ]
    write_table(tmp_path / "t.csv", written, LABELS, "notice")
    read = list(read_table((tmp_path / "t.csv").read_bytes(), LABELS))
    assert len(read) == len(written)
    for one, other in zip(read, written, strict=True):
        for field in dataclasses.fields(one):
            left, right = getattr(one, field.name), getattr(other, field.name)
            if field.name == "probabilities":
                assert (left is None) == (right is None)
                assert left is None or np.allclose(left, right, atol=1e-6)
            elif isinstance(right, float) and isinstance(left, float):
                assert left == pytest.approx(right, abs=1e-6)
            else:
                assert left == right, field.name


@pytest.mark.parametrize("damage", [(b"classified", b"class"), (b"p 3+", b"p 4+"), (b"0.00", b"zero")])
def test_another_table_is_a_value_error(tmp_path, damage):
    write_table(tmp_path / "t.csv", made_results.mixed(3, 3), LABELS, "notice")
    data = (tmp_path / "t.csv").read_bytes()
    assert damage[0] in data
    with pytest.raises(ValueError):
        list(read_table(data.replace(*damage), LABELS))
