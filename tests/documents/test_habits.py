"""What a project keeps beside its code: how to cite it, forms, hooks, hosted checks, all of them true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from shared_data import ROOT

from her2edge import __version__

yaml = pytest.importorskip("yaml")
GITHUB = ROOT / ".github"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERBS = set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
NAMED = ("CITATION.cff", "SECURITY.md", "mkdocs.yml", ".pre-commit-config.yaml", "docs/releasing.md")
KEPT = [*(ROOT / name for name in NAMED), *sorted(path for path in GITHUB.rglob("*") if path.is_file())]
schemas = pytest.mark.skipif(find_spec("check_jsonschema") is None, reason="needs check-jsonschema")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def check(schema: str, *paths: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_citation_is_of_this_software_and_of_the_paper() -> None:
    citation = load(ROOT / "CITATION.cff")
    assert (citation["title"], citation["version"]) == ("her2edge", __version__)
    assert PROJECT["project"]["version"] == __version__
    assert citation["license"] == PROJECT["project"]["license"]
    assert [one["name"] for one in citation["authors"]] == [
        one["name"] for one in PROJECT["project"]["authors"]
    ]
    (paper,) = citation["references"]
    assert paper["doi"] == "10.48084/etasr.12140"
    recipe = (ROOT / "training" / "her2edge_training" / "recipes" / "paper_se_resnet50.py").read_text()
    assert f"Joshi et al. {paper['year']}, doi {paper['doi']}" in recipe


def test_the_newest_version_of_the_changelog_is_this_one_on_its_day() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\d\S+) - (\S+)$", text, re.MULTILINE)
    assert versions[0] == (__version__, str(load(ROOT / "CITATION.cff")["date-released"]))
    assert text.index("## Unreleased") < text.index(f"## {__version__}")


@schemas
def test_forms_workflow_and_citation_are_of_their_schemas() -> None:
    check("vendor.github-workflows", *sorted((GITHUB / "workflows").glob("*.yml")))
    check("vendor.github-issue-forms", *FORMS)
    check("vendor.github-issue-config", GITHUB / "ISSUE_TEMPLATE" / "config.yml")
    check("vendor.citation-file-format", ROOT / "CITATION.cff")


@pytest.mark.skipif(find_spec("yamllint") is None, reason="needs yamllint")
def test_yaml_is_clean() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_hosted_checks_run_verbs_of_the_makefile_and_nothing_else() -> None:
    jobs = load(GITHUB / "workflows" / "ci.yml")["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert lines
    for line in lines:
        verb = re.fullmatch(r"make ([a-z0-9-]+)", line)
        assert verb, line
        assert verb[1] in VERBS, line
    assert {"make check", "make test", "make docs-site", "make release", "make sbom"} <= set(lines)


def test_hosted_checks_cover_the_systems_and_versions_that_are_promised() -> None:
    matrix = load(GITHUB / "workflows" / "ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    systems = [re.sub(r"-\d[\d.]*", "", name) for name in matrix["system"]]
    assert systems == ["ubuntu", "ubuntu-arm", "macos", "windows"]
    assert PROJECT["project"]["requires-python"] == f">={matrix['python'][0]}"


def test_hooks_run_the_tools_of_make_check() -> None:
    (local,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"  # nothing is fetched from elsewhere
    (recipe,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    tools = set(re.findall(r"\$\(BIN\)/([\w-]+)", recipe))
    assert {hook["entry"].split()[0] for hook in local["hooks"]} <= {f".venv/bin/{tool}" for tool in tools}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_asks_for_what_is_needed_and_for_no_patient(path: Path) -> None:
    form = load(path)
    asked = [one for one in form["body"] if one["type"] != "markdown"]
    assert any(one["validations"]["required"] for one in asked)
    if path.name == "bug.yml":
        text = json.dumps(form)
        assert "her2edge doctor --json" in text
        assert "Leave out names" in text
        assert "SECURITY.md" in text


def test_verbs_of_the_checklist_exist() -> None:
    for path in (
        ROOT / "docs" / "releasing.md",
        ROOT / "CONTRIBUTING.md",
        GITHUB / "pull_request_template.md",
    ):
        for words in re.findall(r"`make ([a-z0-9 -]+?)`", path.read_text(encoding="utf-8")):
            assert set(words.split()) <= VERBS, (path.name, words)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_address_is_invented(path: Path) -> None:
    """We have neither a page nor a post-box; an action is named, a font is not fetched."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?://|[\w.+-]+@[\w-]+\.[a-z]{2,}", text)
