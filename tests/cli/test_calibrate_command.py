"""her2edge calibrate as a user meets it, and its model's answers from classify to summary.json."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import tiffs
from model_v2 import TINY, tiny_v2
from scored_results import Case, write_case, write_cohort
from signing import KEY
from small_slide import draw_slide

from her2edge import Model, Options, SlideReader, TileClassifier, classify_slide
from her2edge.errors import OptionError
from her2edge.model.file import read_members
from her2edge.model.manifest import dump_manifest
from her2edge.model.protocol import SlideProtocol, TilesRead
from her2edge.model.slide_records import CalibrationSlides
from her2edge.results import fit_slide
from her2edge.stain import StainFit
from her2edge.version import RELEASE
from her2edge_cli.main import main
from her2edge_quantize.model_file.archive import assemble
from her2edge_quantize.model_file.sign import sign

LABELS = ("0/1+", "2+", "3+")


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A model, 27 scored slides and their results."""
    shutil.copy(TINY[3], tmp_path / "model.tflite")
    write_slides(tmp_path, slides())
    return tmp_path


def slides(per_class: int = 9) -> list[Case]:
    rng = np.random.default_rng(0)
    return [
        Case(
            f"{k}-{n}.svs",
            label,
            patient=f"P{k}-{n}",
            chances=rng.dirichlet(np.eye(3)[k] * 2 + 1, 20),
        )
        for k, label in enumerate(LABELS)
        for n in range(per_class)
    ]


def write_slides(lab: Path, cases: list[Case]) -> None:
    for case in cases:
        write_case(lab / "results", case)
    write_cohort(lab / "cohort.csv", cases)


def calibrate(lab: Path, *more: str, out: str = "out.tflite", model: str = "model.tflite") -> int:
    paths = ("--cohort", lab / "cohort.csv", "--results", lab / "results", "--out", lab / out)
    return main(["calibrate", str(lab / model), *map(str, paths), *more])


def test_the_report_is_printed_and_written_beside_a_model_that_says_its_level(lab, capsys) -> None:
    assert calibrate(lab) == 0
    printed = capsys.readouterr()
    text = (lab / "out.tflite.calibration.md").read_text(encoding="utf-8")
    assert printed.out.startswith(text)
    level = "90 % of patients (9 slides per class; such a calibration may be as low as 72 %)"
    assert level in text
    for words in ("| mean set size |", "| single labels |", "all labels, which is no answer", "every tile"):
        assert words in text
    assert "Scanners: Leica GT450" in text
    assert "does not say, or not completely, which patients trained it" in printed.err
    assert main(["inspect", str(lab / "out.tflite")]) == 0
    assert level in capsys.readouterr().out
    assert main(["inspect", "--card", str(lab / "out.tflite")]) == 0
    assert level in capsys.readouterr().out


def test_a_signed_model_needs_to_be_signed_again_and_that_is_said(lab, capsys) -> None:
    (lab / "signed.tflite").write_bytes(sign((lab / "model.tflite").read_bytes(), KEY))
    model = Model.load(lab / "signed.tflite", trust="anyone")
    shutil.rmtree(lab / "results")
    write_slides(lab, [replace(case, model=model) for case in slides()])
    assert calibrate(lab, model="signed.tflite") == 0
    assert "sign it again with `her2edge sign`" in capsys.readouterr().err
    assert Model.load(lab / "out.tflite", trust="anyone").signer is None


def test_an_output_among_the_inputs_is_refused_and_nothing_is_touched(lab, capsys) -> None:
    before = (lab / "model.tflite").read_bytes()
    assert calibrate(lab, out="model.tflite") == 2
    assert calibrate(lab, out="cohort.csv") == 2
    assert calibrate(lab, out="results") == 73
    assert (lab / "model.tflite").read_bytes() == before
    assert "Traceback" not in capsys.readouterr().err


def test_a_former_output_is_replaced_whole_and_stays_where_the_slides_are_refused(lab, capsys) -> None:
    (lab / "out.tflite").write_bytes(b"former")
    write_cohort(lab / "cohort.csv", [*slides(), replace(slides()[0], name="absent.svs", patient="Q")])
    assert calibrate(lab) == 65
    assert "absent.svs (row 29)" in capsys.readouterr().err
    assert (lab / "out.tflite").read_bytes() == b"former"
    write_cohort(lab / "cohort.csv", slides())
    assert calibrate(lab) == 0
    assert Model.load(lab / "out.tflite", trust="anyone").manifest.calibration_slides is not None


@pytest.mark.parametrize("content", [b"", b"slide,x\n", None])
def test_a_tile_table_that_is_empty_or_not_the_runs_is_refused(lab, capsys, content) -> None:
    table = next((lab / "results").glob("*/tiles.csv"))
    before = table.read_bytes()
    table.write_bytes(before.replace(b"0.", b"nan", 1) if content is None else content)
    assert calibrate(lab) == 65
    assert "tiles.csv changed since" in capsys.readouterr().err
    assert not (lab / "out.tflite").exists()


def test_a_model_of_schema_1_is_refused(lab, capsys) -> None:
    import tiny

    shutil.copy(tiny.INT8, lab / "model.tflite")
    assert calibrate(lab) == 78
    assert "without a novelty limit (schema 1)" in capsys.readouterr().err


def test_too_few_slides_are_written_with_a_warning(lab, capsys) -> None:
    write_cohort(lab / "cohort.csv", slides()[:-1])
    assert calibrate(lab) == 0
    printed = capsys.readouterr()
    assert "warning: Uncalibrated: sets need 9 slides of each label" in printed.err
    assert "2-8.svs has results but is not in cohort.csv" in printed.err


_ABSENT = """
import sys
ABSENT = {"keras", "tensorflow", "shapely", "sklearn", "openslide", "matplotlib"}

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nothing())
from her2edge_cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_it_runs_without_keras_tensorflow_shapely_and_scikit_learn(lab) -> None:
    command = ["calibrate", "model.tflite", "--cohort", "cohort.csv", "--results", "results"]
    run = subprocess.run(
        [sys.executable, "-c", _ABSENT, *command, "--out", "out.tflite"],
        cwd=lab,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert (lab / "out.tflite").exists()


def _calibrated(
    model: Model, thresholds: tuple[float, ...], scanners: tuple[str, ...] = (), sites: tuple[str, ...] = ()
) -> bytes:
    """The model file with sets of labels whose probability is at least 1 - their threshold."""
    record = CalibrationSlides(
        scores={label: (score,) * 9 for label, score in zip(LABELS, thresholds, strict=True)},
        scanners=scanners,
        sites=sites,
        protocol=SlideProtocol(
            tiles=TilesRead(stain="per_tile", release=RELEASE),
            limits_sha256=model.manifest.limits_sha256,
            min_tissue_tiles=1,
        ),
    )
    members = read_members(TINY[3].read_bytes())[0]
    members["manifest.json"] = dump_manifest(
        msgspec.structs.replace(model.manifest, calibration_slides=record)
    )
    return assemble(model.flatbuffer, members)


@pytest.mark.parametrize(
    ("thresholds", "scanners", "reason"),
    [
        ((1.0, 1.0, 1.0), (), "all_classes"),
        ((0.0, 0.0, 0.0), (), "no_class"),
        ((1.0, 0.0, 1.0), (), "contradictory"),
        ((1.0, 1.0, 1.0), ("Leica GT450",), "unknown_scanner"),
    ],
)
def test_what_a_calibration_says_of_a_slide_goes_from_classify_to_its_summary(
    tmp_path, capsys, thresholds, scanners, reason
) -> None:
    (tmp_path / "m.tflite").write_bytes(_calibrated(tiny_v2(), thresholds, scanners))
    picture = draw_slide(tmp_path / "slide.png")
    arguments = ["classify", picture, "--model", tmp_path / "m.tflite", "--out", tmp_path / "out"]
    code = main([*map(str, arguments), "--mpp", "0.5", "--min-tissue-tiles", "1"])
    assert code in (0, 3)
    (summary,) = (tmp_path / "out").glob("*/summary.json")
    answer = json.loads(summary.read_bytes())["answer"]
    assert reason in [one["code"] for one in answer["reasons"]], answer
    assert answer["calibration"] == dict.fromkeys(LABELS, 9)
    assert answer["promise"]["level"] == 0.9


def _from_basel(place: Path) -> Path:
    """A slide below `place/in`, a model calibrated in Basel and Bern, a list that says Basel, one Genf."""
    (place / "in").mkdir()
    picture = cv2.imread(str(draw_slide(place / "slide.png")))[:, :, ::-1]
    half = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}  # um per pixel
    tiffs.write(place / "in" / "slide.tif", picture, **half)
    data = _calibrated(tiny_v2(), (1.0, 1.0, 1.0), sites=("Basel", "Bern"))
    (place / "m.tflite").write_bytes(data)
    for site in ("Basel", "Genf"):
        (place / f"{site}.csv").write_text(f"slide,site\nin/slide.tif,{site}\n")
    return place / "in" / "slide.tif"


def _answered(out: Path) -> tuple[str | None, bool]:
    """The site in summary.json, and whether the answer says that nobody knows it."""
    (path,) = out.glob("*/summary.json")
    summary = json.loads(path.read_bytes())
    return summary["slide"]["site"], "unknown_scanner" in [
        one["code"] for one in summary["answer"]["reasons"]
    ]


@pytest.mark.parametrize(
    ("more", "site", "unknown"),
    [
        ((), None, True),
        (("--cohort", "Basel.csv"), "Basel", False),
        (("--cohort", "Genf.csv"), "Genf", True),
        (("--site", "bern"), "bern", False),
        (("--site", "Bern", "--cohort", "Genf.csv"), "Genf", True),
    ],
)
@pytest.mark.parametrize("verb", ["classify", "watch"])
def test_a_site_outside_the_calibration_is_said_by_every_command(
    tmp_path, monkeypatch, verb, more, site, unknown
) -> None:
    picture = _from_basel(tmp_path)
    monkeypatch.chdir(tmp_path)
    first = [str(picture)] if verb == "classify" else ["in", "--once", "--still", "0", "--poll", "0.05"]
    fixed = ["--model", "m.tflite", "--out", "out", "--min-tissue-tiles", "1"]
    assert main([verb, *first, *fixed, *more]) == 0
    assert _answered(tmp_path / "out") == (site, unknown)


def test_results_of_another_site_are_not_taken_for_complete_where_the_site_counts(tmp_path) -> None:
    picture = _from_basel(tmp_path)

    def run(model: Model, site: str | None) -> bool:
        classifier = TileClassifier(model)
        out = tmp_path / model.sha256[:8]
        ran = classify_slide(picture, out, classifier, min_tissue_tiles=1, site=site)
        assert ran.complete_before or _answered(out)[0] == site
        return ran.complete_before

    calibrated = Model.load(tmp_path / "m.tflite")
    assert [run(calibrated, site) for site in ("Genf", "Basel", "Basel", None)] == [False, False, True, False]
    assert [run(tiny_v2(), site) for site in ("Genf", "Basel")] == [False, True]  # no answer depends on it
    with pytest.raises(OptionError, match="found site=3"):
        run(calibrated, 3)


WAYS = {
    "as calibrated": ((), {}, None),
    "stains off": (("--stain", "off"), {}, "stains per-tile, here off"),
    "stains of the slide": (("--stain", "slide"), {}, "stains per-tile, here slide"),
    "a fit that is given": (("--stain", "fit.json"), {}, "here given ("),
    "a scale against the file": (("--mpp", "0.4"), {}, "scale the file's, here 0.8 times the file's"),
    "the file's own scale": (("--mpp", "0.5"), {}, None),
    "regions": (("--region", "drawn.geojson"), {}, "here inside regions (every class)"),
    "until settled": (("--until-settled",), {}, "read every tile, here until settled"),
    "a minimum": (("--min-tissue-tiles", "2"), {}, "fewest tiles that vote 1, here 2"),
    "no self-test": ((), {"self_test": False}, "self-test passed, here left out"),
    "a fallback": ((), {"fallback": "fit.json"}, "stains per-tile, here per-tile ("),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_slide_read_otherwise_than_the_calibration_promises_nothing(tmp_path, monkeypatch, way) -> None:
    """Through the command where it has the option, else through Python."""
    more, options, words = WAYS[way]
    picture = _from_basel(tmp_path)
    monkeypatch.chdir(tmp_path)
    with SlideReader(picture) as slide:
        fit_slide(slide).save("fit.json")
    whole = [[0, 0], [384, 0], [384, 256], [0, 256], [0, 0]]
    drawn = {"type": "Polygon", "coordinates": [whole]}
    feature = {"type": "Feature", "geometry": drawn, "properties": {"objectType": "annotation"}}
    Path("drawn.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    if options:
        if "fallback" in options:
            options = {"fallback": StainFit.load(options["fallback"])}
        classifier = TileClassifier(Model.load(tmp_path / "m.tflite"), Options(**options))
        classify_slide(picture, tmp_path / "out", classifier, min_tissue_tiles=1)
    else:
        fixed = ["--model", "m.tflite", "--out", "out", "--min-tissue-tiles", "1"]
        assert main(["classify", str(picture), *fixed, *more]) in (0, 3)
    (path,) = (tmp_path / "out").glob("*/summary.json")
    answer = json.loads(path.read_bytes())["answer"]
    said = [one["sentence"] for one in answer["reasons"] if one["code"] == "uncalibrated"]
    assert (answer["promise"] is None) == (words is not None) == bool(said), answer["reasons"]
    assert words is None or words in said[0]


def test_results_without_a_self_test_are_not_taken_for_complete_where_one_is_run(tmp_path) -> None:
    picture = _from_basel(tmp_path)
    model = Model.load(tmp_path / "m.tflite")
    untested, tested = (TileClassifier(model, Options(self_test=one)) for one in (False, True))
    runs = [
        classify_slide(picture, tmp_path / "out", one, min_tissue_tiles=1, site="Bern")
        for one in (untested, untested, tested)
    ]
    assert [run.complete_before for run in runs] == [False, True, False]
    assert [run.answer.promise is None for run in runs] == [True, True, False]
