"""her2edge.cohort: one reader for lists of slides, as labs write them."""

from __future__ import annotations

import contextlib
import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2edge.cohort import COLUMNS, CohortError, is_slide_list, read_cohort
from her2edge.errors import MissingInputError


@pytest.fixture
def cohort_of(tmp_path):
    """Read a list of these bytes beside the slides a.svs, b.svs and sub/a.svs."""
    (tmp_path / "sub").mkdir()
    for name in ("a.svs", "b.svs", "sub/a.svs"):
        (tmp_path / name).write_bytes(b"slide")

    def read(data, **more):
        (tmp_path / "list.csv").write_bytes(data if isinstance(data, bytes) else data.encode())
        return read_cohort(tmp_path / "list.csv", **more)

    return read


def test_only_the_slide_is_needed_and_a_relative_path_starts_at_the_list(cohort_of, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    slides = list(cohort_of("slide\na.svs\nsub/a.svs\n"))
    assert [slide.path for slide in slides] == [tmp_path / "a.svs", tmp_path / "sub" / "a.svs"]
    assert [slide.row for slide in slides] == [2, 3]
    assert {(slide.patient, slide.site, slide.mpp, slide.score) for slide in slides} == {("", "", None, "")}


@pytest.mark.parametrize(
    "data",
    [
        "slide,patient,site,mpp,score\na.svs,P1,Ulm,0.25,2+\n",
        "slide;patient;site;mpp;score\na.svs;P1;Ulm;0,25;2+\n",
        "slide;patient;site;mpp;score\r\na.svs;P1;Ulm;0.25;2+\r\n",
        "\ufeffslide,patient,site,mpp,score\na.svs,P1,Ulm,.25,2+",
        'Slide , PATIENT,site,mpp,score\n"a.svs", P1 ,"Ulm",0.250,2+\n,,,,\n\n',
        "score,mpp,site,patient,slide,\n2+,0.25,Ulm,P1,a.svs,\n",
    ],
    ids=["plain", "semicolons", "windows", "byte order mark", "spaces and empty rows", "another order"],
)
def test_what_spreadsheets_write_is_one_and_the_same_list(cohort_of, data):
    (slide,) = cohort_of(data)
    assert (slide.name, slide.patient, slide.site, slide.mpp, slide.score) == (
        "a.svs",
        "P1",
        "Ulm",
        0.25,
        "2+",
    )


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ("slide,mpp\na.svs,0.25\n,0.5\n", "row 3: found no slide"),
        ("slide\na.svs\n\nb.svs\n./sub/../a.svs\n", "row 5: found a.svs, which row 2 lists"),
        ("slide,mpp\na.svs,0.25\nb.svs,250\n", "row 3: found mpp '250', expected um per pixel in 0.05..20.0"),
        ("slide,mpp\na.svs,nan\n", "row 2: found mpp 'nan'"),
        ("slide,mpp\na.svs,0_3\n", "row 2: found mpp '0_3'"),
        ('slide,mpp\na.svs,"0,25"\n', "a decimal comma needs `;`"),
        ("slide,mpp\na.svs,0,25\n", "row 2: found 3 cells, expected 2"),
        ("slide,mpp,slide\na.svs,,b.svs\n", "two columns slide"),
        ("path,mpp\na.svs,0.25\n", "found the columns path, mpp"),
        ("slide\tmpp\na.svs\t0.25\n", "found a tab"),
        ('slide\n"a.svs\n', "not a CSV file"),
        ("slide,patient\na.svs,Müller\n".encode("cp1252"), "row 2: found byte 0xFC, as Windows-1252"),
        ("slide\na.svs\n".encode("utf-16"), "UTF-16"),
        ("slide\na.svs\n".encode("utf-16-le"), "UTF-16"),
        (b"PK\x03\x04" + b"\0" * 30, "found a spreadsheet file"),
        ("slide\na\0b.svs\n" + "x" * 5000, "binary"),
        ("tile,slide,label,um_per_pixel\nt.png,a,3+,0.25\n", "her2edge train"),
    ],
)
def test_what_is_wrong_is_refused_with_its_row(cohort_of, data, word):
    with pytest.raises(CohortError) as caught:
        cohort_of(data)
    assert word in str(caught.value)
    assert str(caught.value).startswith("list.csv")


@pytest.mark.parametrize("data", ["", "\n\n", "slide,mpp\n", "slide\n\n"])
def test_a_list_without_slides_is_refused(cohort_of, data):
    with pytest.raises((MissingInputError, CohortError)):
        cohort_of(data)


def test_slides_that_are_not_there_are_named_with_their_rows_unless_they_are_to_arrive(cohort_of, tmp_path):
    data = "slide\na.svs\n" + "".join(f"c{n}.svs\n" for n in range(5))
    with pytest.raises(
        MissingInputError, match=r"c0.svs \(row 3\), c1.svs \(row 4\), c2.svs \(row 5\) and 2"
    ):
        cohort_of(data)
    assert len(cohort_of(data, must_exist=False)) == 6
    with pytest.raises(MissingInputError):
        read_cohort(tmp_path / "none.csv")
    with pytest.raises(CohortError, match="found a folder"):
        read_cohort(tmp_path)


def test_columns_that_mean_nothing_are_named(cohort_of):
    assert cohort_of("slide,block,um_per_pixel,\na.svs,4,0.5,\n").unused == ("block", "um_per_pixel")


def test_a_slide_is_found_by_its_path_before_its_name_and_never_by_a_name_of_two(cohort_of, tmp_path):
    cohort = cohort_of("slide,patient\na.svs,P1\nsub/a.svs,P2\nb.svs,P3\n")
    assert cohort.find(tmp_path / "sub" / "a.svs").patient == "P2"
    assert cohort.find("/elsewhere/b.svs") is None  # the row's own file is there: another is meant
    (tmp_path / "b.svs").unlink()
    assert cohort.find("/elsewhere/b.svs").patient == "P3"
    assert cohort.find("/elsewhere/a.svs") is None
    assert cohort.find("c.svs") is None


def test_a_link_to_a_listed_slide_is_that_slide(cohort_of, tmp_path):
    (tmp_path / "link.svs").symlink_to(tmp_path / "a.svs")
    with pytest.raises(CohortError, match="row 3"):
        cohort_of("slide\na.svs\nlink.svs\n")


def test_a_list_of_slides_is_told_from_other_tables():
    assert is_slide_list(b"slide;mpp\na.svs;0,25\n")
    assert not is_slide_list(b"tile,slide,patient,label\n")
    assert not is_slide_list(b"row,column\n")
    assert not is_slide_list(b"\xff\xfe\0")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5), separator=st.sampled_from(",;"))
def test_what_python_writes_is_read_back_whatever_is_in_the_cells(rows, separator, tmp_path_factory):
    path = tmp_path_factory.mktemp("lists") / "list.csv"
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter=separator)
    table.writerow(COLUMNS)
    for number, (patient, site, score) in enumerate(rows):
        table.writerow([f"s{number}.svs", patient, site, "0.5", score])
    path.write_bytes(text.getvalue().encode())
    slides = list(read_cohort(path, must_exist=False))
    plain = [tuple(cell.strip().lstrip("'") for cell in row) for row in rows]
    read = [tuple(cell.lstrip("'") for cell in (s.patient, s.site, s.score)) for s in slides]
    assert read == plain


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=300)
    | st.text(st.sampled_from('slide,;"\n\t0.5\0\x1f'), max_size=80).map(str.encode)
)
def test_no_bytes_do_anything_but_be_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "bytes.csv"
    path.write_bytes(data)
    with contextlib.suppress(CohortError, MissingInputError):
        read_cohort(path, must_exist=False)
