"""A tile list is read whole or refused with the line and what to do."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from her2edge.errors import MissingInputError, TileError
from her2edge_training.cohort.label_from import label_words, tiles_by_source
from her2edge_training.cohort.tile_list import (
    COLUMNS,
    NAME,
    NEEDED,
    TileList,
    TileListError,
    TileRecord,
    meets,
    traces,
    write_tile_list,
)
from her2edge_training.run.records import SplitRow

GOOD = {
    "tile": "a.png",
    "slide": "s1",
    "patient": "p1",
    "site": "x",
    "label": "2+",
    "x": "512",
    "y": "0.5",
    "um_per_pixel": "0.25",
    "tissue_fraction": "0.8",
    "sha256": "AB",
}


def write(folder: Path, *rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> Path:
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"x")
    path = folder / "cohort.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_row_becomes_a_record(tmp_path: Path) -> None:
    (record,) = TileList.read(write(tmp_path, GOOD)).records
    assert record.path == tmp_path / "a.png"
    assert (record.x, record.y, record.mpp, record.tissue_fraction) == (512.0, 0.5, 0.25, 0.8)
    assert (record.label, record.sha256, record.group) == ("2+", "ab", "patient:p1")


def test_optional_cells_may_be_empty(tmp_path: Path) -> None:
    (record,) = TileList.read(
        write(tmp_path, GOOD | dict.fromkeys(("patient", "tissue_fraction", "sha256"), ""))
    ).records
    assert (record.group, record.tissue_fraction, record.sha256) == ("slide:s1", None, "")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"label": "1+"}, r"line 3: found label '1\+', expected one of 0/1\+, 2\+, 3\+"),
        ({"label": ""}, "line 3: found label ''"),
        ({"x": "left"}, "line 3: found x='left'"),
        ({"y": "nan"}, "line 3: found y='nan'"),
        ({"um_per_pixel": "0"}, "line 3: found um_per_pixel='0'"),
        ({"um_per_pixel": ""}, "line 3: found no um_per_pixel, expected the tile's scale"),
        ({"tissue_fraction": "1.2"}, "line 3: found tissue_fraction='1.2'"),
        ({"slide": ""}, "line 3: the slide is empty"),
        ({"tile": ""}, "line 3: found tile ''"),
        ({"tile": "../a.png"}, "below the list's folder"),
        ({"tile": "/etc/passwd"}, "below the list's folder"),
        ({"tile": "a.png"}, "lists tile a.png twice"),
        ({"tile": "./a.png"}, "lists tile ./a.png twice"),
        ({"slide": "s1", "patient": "p2"}, "slide s1 belongs to patient 'p1' and to 'p2'"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, str], says: str) -> None:
    path = write(tmp_path, GOOD, GOOD | {"tile": "b.png", "slide": "s2", "patient": "p2"} | change)
    with pytest.raises(TileListError, match=says):
        TileList.read(path)
    assert issubclass(TileListError, TileError)


def test_a_missing_tile_is_named_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD | {"tile": "c.png"})
    with pytest.raises(MissingInputError, match=r"line 2: no tile at .*c.png"):
        TileList.read(path)


def test_all_missing_columns_are_named_at_once_with_lines_that_would_do(tmp_path: Path) -> None:
    with pytest.raises(TileListError) as caught:
        TileList.read(write(tmp_path, GOOD, columns=("tile", "patient", "sha256")))
    assert str(caught.value).endswith(
        "cohort.csv: found the columns tile, patient, sha256, without slide, label, um_per_pixel, expected "
        'at least tile, slide, label, um_per_pixel: e.g. "tile,slide,label,um_per_pixel" and below it '
        '"tiles/a.png,P07,3+,0.25"'
    )


def test_only_four_columns_are_needed(tmp_path: Path) -> None:
    (record,) = TileList.read(write(tmp_path, GOOD, columns=NEEDED)).records
    assert (record.group, record.label, record.mpp) == ("slide:s1", "2+", 0.25)
    assert (record.x, record.y, record.tissue_fraction, record.sha256) == (None, None, None, "")
    write_tile_list(tmp_path / "again.csv", [record])
    assert TileList.read(tmp_path / "again.csv").records == (record,)


@pytest.mark.parametrize(
    "data",
    [
        "\ufefftile;slide;label;um_per_pixel\r\na.png;s1;2+;0,25\r\n",
        "sep=;\r\nTile;Slide;Label;UM_per_pixel\r\na.png;s1;2+;0.25\r\n",
    ],
)
def test_a_list_that_a_spreadsheet_saved_is_read(tmp_path: Path, data: str) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "list.csv").write_bytes(data.encode())
    (record,) = TileList.read(tmp_path / "list.csv").records
    assert (record.slide, record.label, record.mpp) == ("s1", "2+", 0.25)


def test_a_list_in_another_encoding_is_refused_with_its_row_and_what_to_do(tmp_path: Path) -> None:
    head = ",".join((*NEEDED, "patient"))
    (tmp_path / "list.csv").write_bytes(f"{head}\na.png,s1,2+,0.25,M\u00fcller\n".encode("cp1252"))
    with pytest.raises(TileListError, match=r"list.csv row 2: found byte 0xFC, .*save it as `CSV UTF-8`"):
        TileList.read(tmp_path / "list.csv")


@pytest.mark.parametrize("text", [b"", b"tile,slide\n"[:0] + ",".join(COLUMNS).encode() + b"\n"])
def test_an_empty_list_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "m.csv").write_bytes(text)
    with pytest.raises(MissingInputError, match="lists no tiles"):
        TileList.read(tmp_path / "m.csv")


@pytest.mark.parametrize("text", [b"\xff\xfe\x00tile", b'tile,"' + b"x" * 200_000])
def test_bytes_that_are_no_csv_are_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "m.csv").write_bytes(text)
    with pytest.raises(TileListError):
        TileList.read(tmp_path / "m.csv")


def test_no_tile_list_says_what_one_holds(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="a CSV in UTF-8 with columns tile, slide"):
        TileList.read(tmp_path / "none.csv")


def test_a_list_is_read_back_as_it_was_written_and_knows_its_own_hash(tmp_path: Path) -> None:
    for name in ("a.png", "-b.png"):
        (tmp_path / name).write_bytes(b"x")
    records = (
        TileRecord("a.png", tmp_path, "=s1", "@p1", "+x", "2+", 512.0, -0.5, 0.25, 0.8125, "ab"),
        TileRecord("-b.png", tmp_path, "s2", "", "", "3+", 0.0, 1e7, 0.5, None, ""),
    )
    write_tile_list(tmp_path / NAME, records)
    tiles = TileList.read(tmp_path / NAME)
    assert tiles.records == records
    assert (tiles.path, tiles.folder) == (tmp_path / NAME, tmp_path)
    data = (tmp_path / NAME).read_bytes()
    assert tiles.sha256 == hashlib.sha256(data).hexdigest()
    assert data.splitlines()[1] == b"a.png,'=s1,'@p1,'+x,2+,512,-0.5,0.25,0.812500,ab"


def test_what_a_label_is_from_is_kept_where_it_is_known_and_checked(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    plain = TileRecord("a.png", tmp_path, "s1", "", "", "2+", None, None, 0.25, None, "")
    write_tile_list(tmp_path / NAME, (plain,))
    assert b"label_from" not in (tmp_path / NAME).read_bytes()  # the form of earlier lists
    weak = replace(plain, label_from="score")
    write_tile_list(tmp_path / NAME, (weak,))
    assert TileList.read(tmp_path / NAME).records == (weak,)
    text = (tmp_path / NAME).read_text()
    (tmp_path / NAME).write_text(text.replace(",score", ",guess"))
    with pytest.raises(TileListError, match="found label_from 'guess', expected regions, score"):
        TileList.read(tmp_path / NAME)


def test_labels_are_counted_by_what_they_are_from() -> None:
    tiles = tiles_by_source(["score", "regions", "", "score"])
    assert tiles == {"regions": 1, "score": 2, "": 1}
    assert label_words(tiles) == (
        "labels: 1 tiles from regions drawn on the slide; 2 tiles from the score of their slide (weak, "
        "tumour or not); 1 tiles from a list that does not say from where"
    )
    assert label_words(tiles_by_source(["", ""])) == "the tile list does not say where its labels are from"


def test_a_line_is_counted_in_the_file_and_short_rows_lack_what_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    head = ",".join(COLUMNS)
    path = tmp_path / NAME
    path.write_text(f"{head}\na.png,s1,p1,x,2+,0,0,0.25\n")
    assert TileList.read(path).records[0].sha256 == ""
    path.write_text(f'{head}\n\n\n"a.png","s\n1",p1,x,1+,0,0,0.25,,\n')
    with pytest.raises(TileListError, match="line 5: found label"):
        TileList.read(path)


@pytest.mark.parametrize(
    ("seen", "new", "met"),
    [
        (("P1", "a.svs"), ("P1", "b.svs"), True),
        (("P1", "a.svs"), ("P2", "a.svs"), False),  # two patients, and two laboratories that count slides
        (("", "a.svs"), ("", "a.svs"), True),
        (("", "a.svs"), ("P1", "a.svs"), True),
        (("P1", "a.svs"), ("", "a.svs"), True),
        (("P1", "a.svs"), ("", "b.svs"), False),
    ],
)
def test_a_patient_is_met_again_also_where_one_list_names_it_and_the_other_does_not(
    seen: tuple[str, str], new: tuple[str, str], met: bool
) -> None:
    former, later = (SplitRow("t", slide, patient, "2+", "train") for patient, slide in (seen, new))
    assert meets(later, traces([former])) is met
