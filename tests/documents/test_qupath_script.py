"""examples/qupath_classify.groovy runs her2edge from QuPath. QuPath itself is not here: a stand-in is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from shared_data import ROOT
from small_slide import draw_slide

from her2edge_cli.main import cli

SCRIPT = ROOT / "examples" / "qupath_classify.groovy"
TEXT = SCRIPT.read_text()
# The names of QuPath 0.5's qupath.lib.scripting.QP that the script uses, on a slide with two annotations.
STAND_IN = """
package qupath.lib.scripting
class QP {
    static final String PROJECT_BASE_DIR = "{%PROJECT}"
    static final List REGIONS = System.getenv("NO_REGIONS") ? [] : ["Tumor", "Stroma"]
    static getCurrentServer() { new Server() }
    static getAnnotationObjects() { REGIONS.collect { new Drawn(it) } }
    static void exportObjectsToGeoJson(Collection objects, String path, String option, String... more) {
        assert objects*.name == ["Tumor"] && option == "FEATURE_COLLECTION"
        new File(path).text = System.getenv("REGIONS")
    }
    static boolean importObjectsFromFile(String path) { println "imported ${path}"; true }
    static void fireHierarchyUpdate() { println "updated" }
}
class Server {
    def getURIs() { new LinkedHashSet([new File(System.getenv("SLIDE")).toURI()]) }
    def getPixelCalibration() { this }
    double getAveragedPixelSizeMicrons() { System.getenv("MPP") as double }
}
class Drawn {
    String name
    Drawn(String name) { this.name = name }
    def getPathClass() { this }
    def getName() { name }
}
"""
SIDE = 6 * tiny.SIZE


def test_it_is_short_and_uses_options_that_classify_has() -> None:
    assert len(TEXT.splitlines()) <= 60
    assert "Research use only" in TEXT
    known = {word for one in cli.commands["classify"].params for word in one.opts}
    used = set(re.findall(r'"(--[a-z-]+)"', TEXT))
    assert used == {"--model", "--out", "--json", "--region", "--class", "--mpp"}
    assert used <= known


@pytest.fixture
def qupath(tmp_path: Path) -> dict[str, str]:
    """An environment in which the script finds QuPath's stand-in, a slide, a region on it, and her2edge."""
    program = shutil.which("groovy")
    if (
        os.name != "posix"
        or program is None
        or subprocess.run([program, "--version"], check=False).returncode
    ):
        pytest.skip("needs groovy, and a Java that it finds")
    stand_in = tmp_path / "qupath" / "lib" / "scripting" / "QP.groovy"
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text(STAND_IN)
    command = tmp_path / "her2edge"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m her2edge_cli "$@"\n')
    command.chmod(0o755)
    ring = [[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE], [0, 0]]
    properties = {"objectType": "annotation", "classification": {"name": "Tumor"}}
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "geometry": geometry, "properties": properties}
    own = {
        "HER2EDGE": str(command),
        "HER2EDGE_MODEL": str(tiny.INT8),
        "HER2EDGE_OUT": str(tmp_path / "out"),
        "SLIDE": str(draw_slide(tmp_path / "slide.png", 10, 8)),
        "REGIONS": json.dumps({"type": "FeatureCollection", "features": [feature]}),
        "MPP": str(tiny.MPP),
    }
    return os.environ | own


def groovy(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    place = Path(environment["HER2EDGE"]).parent
    command = ["groovy", "-cp", str(place), str(SCRIPT)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=300, check=False, cwd=place
    )


@pytest.mark.slow
def test_tiles_inside_the_region_are_classified_and_imported(qupath: dict[str, str]) -> None:
    done = groovy(qupath)
    assert done.returncode == 0, done.stdout + done.stderr
    (imported,) = re.findall(r"^imported (.*)$", done.stdout, re.MULTILINE)
    assert Path(imported).name == "tiles.geojson"
    rows = Path(imported).with_name("tiles.csv").read_text().splitlines()[1:]
    assert len(rows) == 6 * 6  # the tiles wholly inside the region
    assert re.search(r"^(answered|not_assessable): ", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_without_a_region_the_whole_slide_is_read(qupath: dict[str, str]) -> None:
    done = groovy(qupath | {"NO_REGIONS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--region" not in done.stdout
    assert "answered: 2+" in done.stdout


@pytest.mark.slow
def test_what_her2edge_refuses_ends_the_script_with_its_line(qupath: dict[str, str]) -> None:
    done = groovy(qupath | {"HER2EDGE_MODEL": qupath["SLIDE"]})
    assert done.returncode != 0
    assert "ended with exit code 78" in done.stderr
    assert "imported" not in done.stdout
    assert "slide.png" in done.stdout
