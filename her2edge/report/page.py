"""report.html: a slide's results folder as one page. It holds what it shows and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from her2edge.answer.words import answer_line, bounds
from her2edge.classifier import TileClassifier
from her2edge.errors import Her2EdgeError, MissingInputError
from her2edge.files import check_file, write_bytes
from her2edge.model.classes import DEMO_REMARK
from her2edge.model.file import Model
from her2edge.report import facts, view, words
from her2edge.report.choose import Choice, choose
from her2edge.report.class_map import ClassMap, Frame, draw_map
from her2edge.report.errors import ResultsError
from her2edge.report.gallery import Shot, explain_shots, read_shots
from her2edge.report.marks import class_marks, classes_of, reason_marks
from her2edge.report.own import check_own_model, find_slide, open_own_slide, own_classifier
from her2edge.report.pictures import OVERVIEW_PX, ScaleBar, jpeg_uri, mask_uri
from her2edge.report.render import render
from her2edge.report.source import Results, read_results
from her2edge.results.summary import Summary
from her2edge.slide import SlideReader
from her2edge.tile import Pixels

PAGE = "report.html"
PSEUDONYM = 12  # digits of the fingerprint


@dataclass(frozen=True, eq=False)
class Report:
    """A page that was written. left_out: what is not on it, and why; a sentence each."""

    path: Path
    left_out: tuple[str, ...] = ()


@dataclass(eq=False)
class Pictures:
    """Pixels of a page; nothing where there is no slide. left_out: why, a sentence each."""

    overview: Pixels | None = None
    shots: dict[int, Shot] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def write_report(
    folder: Path,
    *,
    slide: Path | None = None,
    model: Model | TileClassifier | None = None,
    pseudonym: bool = False,
    out: Path | None = None,
) -> Report:
    """Make the page of a finished results folder: report.html inside it, or the file `out`.

    slide: the slide that the results are of, or a folder where it lies; None: the page has no pictures of it.
    model: the model; None: the page has no Grad-CAM, and only those facts that summary.json has.
    pseudonym: the first 12 digits of the slide's fingerprint stand for its name.

    A slide that is not there any more, or cannot be read, costs the pictures: `Report.left_out` and the page
    say so. Nothing but pictures is computed. The same arguments give the same bytes.

    Raises ResultsError for a folder that cannot be used, and a slide or model that is not the results' own;
    MissingInputError where there are no results; RuntimeUnavailable without the extra `report`; OutputError.
    """
    path = out or folder / PAGE
    check_file(path)
    results = read_results(folder)
    classifier = model if isinstance(model, TileClassifier) else None
    known = classifier.model if classifier is not None else model
    assert not isinstance(known, TileClassifier)  # noqa: S101 - for type checkers
    if known is not None:
        check_own_model(known, results)
    choice = choose(results.tiles, results.labels)
    pictures = take_pictures(results, choice, slide, known, classifier)
    page = render("report.html", **_values(results, choice, pictures, known, pseudonym=pseudonym))
    write_bytes(path, page)
    return Report(path, tuple(pictures.left_out))


def take_pictures(
    results: Results,
    choice: Choice,
    slide: Path | None,
    model: Model | None,
    classifier: TileClassifier | None = None,
) -> Pictures:
    """Read the pictures from the slide; raises ResultsError for another one."""
    pictures = Pictures()
    if model is None:
        pictures.left_out.append("The model file was not given: Grad-CAM and most facts about it are left out.")
    if slide is None:
        pictures.left_out.append("The slide was not given: its pictures are left out.")
        return pictures
    try:
        with open_own_slide(find_slide(slide, results.name), results) as reader:
            _read(pictures, reader, results, choice)
            if model is not None:
                _explain(pictures, reader, results, choice, own_classifier(model, results, classifier))
    except ResultsError:
        raise
    except MissingInputError:
        pictures.left_out.append("The slide is not where it was looked for: its pictures are left out.")
    except Her2EdgeError as error:
        pictures.left_out.append(f"The slide could not be read ({error}): pictures of it are left out.")
    return pictures


def _read(pictures: Pictures, slide: SlideReader, results: Results, choice: Choice) -> None:
    pictures.overview = slide.thumbnail(OVERVIEW_PX)
    examples = [number for number, _ in choice.left_out.values()]
    for shot in read_shots(slide, results, [*choice.most, *choice.doubtful, *examples]):
        pictures.shots[shot.number] = shot


def _explain(
    pictures: Pictures, slide: SlideReader, results: Results, choice: Choice, classifier: TileClassifier
) -> None:
    """The surest ones for the heaviest label, the doubtful ones for the class that they were given."""
    labels = [results.labels[-1]] * len(choice.most)
    labels += [str(results.tiles[number].label) for number in choice.doubtful]
    for shot in explain_shots(slide, results, (*choice.most, *choice.doubtful), labels, classifier):
        pictures.shots[shot.number] = shot


def _values(
    results: Results, choice: Choice, pictures: Pictures, model: Model | None, *, pseudonym: bool
) -> dict[str, Any]:
    """What the template reads."""
    summary, answer = results.summary, results.summary.answer
    marks = class_marks(results.labels) | reason_marks(list(choice.left_out))
    colours = view.swatches(classes_of(results.labels, model), marks)
    remark = DEMO_REMARK if summary.demo else ""
    name = summary.slide.fingerprint[:PSEUDONYM] if pseudonym else results.name
    frame = Frame.of(summary.slide)
    bar = None
    if frame is not None and summary.slide.mpp is not None:
        bar = ScaleBar.of(frame.width, summary.slide.mpp / frame.scale)
    hidden = [text.replace(results.name, name) for text in pictures.left_out]
    return {
        "name": name,
        "notice": summary.notice,
        "demo": summary.demo,
        "summary": summary,
        "answer": answer,
        "headline": words.headline(answer, remark),
        "action": words.action(answer),
        "line": answer_line(answer, remark.strip(" ()")).replace(results.name, name),
        "reasons": [(one.code.value, one.sentence.replace(results.name, name)) for one in answer.reasons],
        "bounds": bounds(answer),
        "shares": view.share_rows(results, colours),
        "swatches": list(colours.values()),
        "map": _map(results, frame, marks),
        "bar": bar,
        "picture_uri": None if pictures.overview is None else jpeg_uri(pictures.overview),
        "mask": None if pictures.overview is None else mask_uri(pictures.overview),
        "markers": list(_markers(results, choice, frame)),
        "account": view.account(results),
        "codes": [(words.why(code), count) for code, count in answer.tiles.codes.items() if count],
        "heaviest": colours[results.labels[-1]],
        "most": view.tile_views(results, choice, pictures.shots, colours, "S"),
        "doubtful": view.tile_views(results, choice, pictures.shots, colours, "D"),
        "left_out": view.left_out_views(results, choice, pictures.shots, colours),
        "reason_marks": {why: marks[why] for why in choice.left_out},
        "missing": hidden,
        "facts": facts.model_facts(results, model),
        "provenance": facts.provenance(results),
        "part": words.part,
        "words": words,
        "colours": colours,
        "below": _below(summary, pictures),
    }


def _below(summary: Summary, pictures: Pictures) -> str:
    """What stands below the tiles of the gallery."""
    if pictures.overview is None and not pictures.shots:
        return "x and y: the top left corner, level-0 pixels of the slide."
    side = summary.model.tile_px * summary.model.mpp
    text = f"A tile is {side:.0f} µm wide. x and y: its top left corner, level-0 pixels of the slide."
    if any(shot.explanation is not None for shot in pictures.shots.values()):
        text += (
            " Below each: Grad-CAM, what in the tile spoke for the class; each map has a scale of its own. It "
            "explains the network, not the tissue."
        )
    return text


def _map(results: Results, frame: Frame | None, marks: dict[str, str]) -> ClassMap | None:
    if frame is None:
        return None
    partly = results.summary.answer.tiles.unread > 0
    return draw_map(results.tiles, frame, results.labels, marks, partly=partly)


def _markers(results: Results, choice: Choice, frame: Frame | None) -> Iterator[tuple[str, float, float]]:
    """(key, x, y) of each tile of the gallery on the picture of the slide, page pixels."""
    if frame is None:
        return
    for letter, numbers in (("S", choice.most), ("D", choice.doubtful)):
        for nth, number in enumerate(numbers, start=1):
            x, y = frame.centre(frame.place(results.tiles[number]))
            yield f"{letter}{nth}", round(x, 1), round(y, 1)
