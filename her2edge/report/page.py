"""report.html: a slide's results folder as one page. It holds what it shows and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from her2edge.answer.words import answer_line, bounds
from her2edge.classifier import TileClassifier
from her2edge.errors import Her2EdgeError, MissingInputError, ResultsError
from her2edge.files import check_file, write_bytes
from her2edge.model.classes import DEMO_REMARK
from her2edge.model.file import Model
from her2edge.report import facts, view, words
from her2edge.report.choose import Choice, choose
from her2edge.report.class_map import ClassMap, Frame, draw_map
from her2edge.report.gallery import Shot, read_shots
from her2edge.report.inks import classes_of
from her2edge.report.own import Models, find_slide, open_own_slide
from her2edge.report.pictures import OVERVIEW_BYTES, OVERVIEW_PX, jpeg_uri, mask_uri
from her2edge.report.pseudonyms import pseudonym_of
from her2edge.report.render import render
from her2edge.report.thumbnail import Thumbnails, thumbnails
from her2edge.results.marks import EVERY_REASON, class_marks, reason_marks
from her2edge.results.owner import PAGE
from her2edge.results.read_back import Results, read_results
from her2edge.results.scale_bar import scale_bar
from her2edge.results.summary import Summary
from her2edge.tile import Pixels

MARKER = 10.0  # px, half of a marker on the picture of the slide


@dataclass(frozen=True, eq=False)
class Report:
    """A page that was written. left_out: what is not on it, and why, a sentence each; the slide's last.
    pictured: it shows the slide."""

    path: Path
    left_out: tuple[str, ...]
    pictured: bool
    thumbnails: Thumbnails
    swatches: dict[str, view.Swatch]


@dataclass(eq=False)
class Pictures:
    """Pixels of a page; nothing where there is no slide. left_out: why, a sentence each. pictured: the slide
    was read to the end."""

    overview: Pixels | None = None
    shots: dict[int, Shot] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    pictured: bool = False


def write_report(
    folder: Path,
    *,
    slide: Path | None = None,
    model: Model | TileClassifier | Models | None = None,
    pseudonym: bool = False,
    out: Path | None = None,
) -> Report:
    """Make the page of a finished results folder: report.html inside it, or the file `out`.

    slide: the slide that the results are of, or a folder where it lies; None: the page has no pictures of it.
    model: the model; None: the embedded demo model where the results are of it, else the page has no
    Grad-CAM, and only those facts that summary.json has.
    pseudonym: the first 12 digits of the slide's fingerprint stand for its name.

    A slide that is not there any more, or cannot be read, costs the pictures: `Report.left_out` and the page
    say so. Nothing but pictures is computed. The same arguments give the same bytes.

    Raises ResultsError for a folder that cannot be used, and a slide or model that is not the results' own;
    MissingInputError where there are no results; RuntimeUnavailable without the extra `report`; OutputError.
    """
    path = out or folder / PAGE
    check_file(path)
    results = read_results(folder)
    models = model if isinstance(model, Models) else Models(model)
    known = models.of(results)
    choice = choose(results.tiles, results.labels)
    shown = pseudonym_of(results.summary.slide.fingerprint) if pseudonym else results.name
    naming = view.Naming(shown, hidden=pseudonym)
    pictures = take_pictures(results, choice, slide, models, naming)
    page = render("report.html", **_values(results, choice, pictures, known, naming))
    write_bytes(path, page)
    classes = classes_of(results.labels, known)
    small = thumbnails(pictures.overview, results.tiles, Frame.of(results.summary.slide), classes)
    swatches = view.swatches(classes, class_marks(results.labels))
    return Report(path, tuple(pictures.left_out), pictures.pictured, small, swatches)


def take_pictures(
    results: Results,
    choice: Choice,
    slide: Path | None,
    models: Models,
    naming: view.Naming,
) -> Pictures:
    """Read the pictures from the slide; raises ResultsError for another one."""
    pictures = Pictures()
    if models.of(results) is None:
        pictures.left_out.append(
            "The model file was not given: Grad-CAM and most facts about it are left out."
        )
    if slide is None:
        pictures.left_out.append("The slide was not given: its pictures are left out.")
        return pictures
    try:
        with open_own_slide(find_slide(slide, results), results) as reader:
            pictures.overview = reader.thumbnail(OVERVIEW_PX)
            classifier = None if models.of(results) is None else models.classifier(results)
            for shot in read_shots(reader, results, _wanted(results, choice), classifier):
                pictures.shots[shot.number] = shot
            pictures.pictured = True
    except ResultsError:
        raise
    except MissingInputError:
        pictures.left_out.append("The slide was not found: its pictures are left out.")
    except Her2EdgeError as error:
        why = naming.error(str(error))
        pictures.left_out.append(f"The slide could not be read ({why}): pictures of it are left out.")
    return pictures


def _wanted(results: Results, choice: Choice) -> dict[int, str | None]:
    """Tiles to be read, and what is explained of them: of the surest the heaviest label, of the doubtful ones
    the class that they were given."""
    wanted: dict[int, str | None] = {number: None for number, _ in choice.left_out.values()}
    wanted |= dict.fromkeys(choice.most, results.labels[-1])
    return wanted | {number: results.tiles[number].label for number in choice.doubtful}


def _values(
    results: Results, choice: Choice, pictures: Pictures, model: Model | None, naming: view.Naming
) -> dict[str, Any]:
    """What the template reads."""
    summary, answer = results.summary, results.summary.answer
    marks = class_marks(results.labels) | reason_marks(EVERY_REASON)
    colours = view.swatches(classes_of(results.labels, model), marks)
    remark = DEMO_REMARK if summary.demo else ""
    frame = Frame.of(summary.slide)
    bar = None
    if frame is not None and summary.slide.mpp is not None:
        bar = scale_bar(summary.slide.mpp / frame.scale, frame.width)
    return {
        "name": naming.shown,
        "notice": summary.notice,
        "demo": summary.demo,
        "summary": summary,
        "answer": answer,
        "headline": words.headline(answer, remark),
        "action": words.action(answer),
        "line": answer_line(answer, remark.strip(" ()")),
        "regions": "" if summary.regions is None else summary.regions.said(file=not naming.hidden),
        "reasons": [(one.code.value, one.sentence) for one in answer.reasons],
        "bounds": bounds(answer),
        "shares": view.share_rows(results, colours),
        "swatches": list(colours.values()),
        "map": _map(results, frame, marks),
        "bar": bar,
        "picture_uri": None if pictures.overview is None else jpeg_uri(pictures.overview, OVERVIEW_BYTES),
        "mask": None if pictures.overview is None else mask_uri(pictures.overview),
        "markers": list(_markers(results, choice, frame)),
        "account": view.account(results),
        "codes": [(words.why(code), count) for code, count in answer.tiles.codes.items() if count],
        "heaviest": colours[results.labels[-1]],
        "most": view.tile_views(results, choice, pictures.shots, colours, naming, "S"),
        "doubtful": view.tile_views(results, choice, pictures.shots, colours, naming, "D"),
        "left_out": view.left_out_views(results, choice, pictures.shots, colours, naming),
        "reason_marks": marks,
        "missing": pictures.left_out,
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
            " Below each: Grad-CAM, what in the tile speaks for the class; each map has its own scale. "
            "It explains the network, not the tissue."
        )
    return text


def _map(results: Results, frame: Frame | None, marks: dict[str, str]) -> ClassMap | None:
    if frame is None:
        return None
    regions, partly = results.summary.regions, results.summary.answer.tiles.unread > 0
    inside = None if regions is None else regions.inside(frame.columns)
    if regions is not None and inside is None:
        partly = False  # which places were not read is not known
    return draw_map(results.tiles, frame, results.labels, marks, partly=partly, inside=inside)


def _markers(results: Results, choice: Choice, frame: Frame | None) -> Iterator[tuple[str, float, float]]:
    """(key, x, y) of each tile of the gallery on the picture of the slide, page pixels."""
    if frame is None:
        return
    for letter, numbers in (("S", choice.most), ("D", choice.doubtful)):
        for nth, number in enumerate(numbers, start=1):
            x, y = frame.centre(frame.place(results.tiles[number]))
            x, y = _within(x, frame.width), _within(y, frame.height)
            yield f"{letter}{nth}", round(x, 1), round(y, 1)


def _within(middle: float, end: float) -> float:
    """Where a marker is not cut off."""
    return end / 2 if end < 2 * MARKER else min(max(middle, MARKER), end - MARKER)
