"""What docs/deploy says works: the bundle without network, the service, the container's recipe."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from her2edge_cli.watch import watch

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "deploy"
UNIT = DEPLOY / "her2edge-watch.service"
CONTAINER = DEPLOY / "Containerfile"


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]


def no_network() -> list[str]:
    """A command before another that takes its network away, where the system lets us."""
    prefix = ["unshare", "--map-root-user", "--net"]
    tried = shutil.which("unshare") and run(*prefix, "true").returncode == 0
    return prefix if tried else []


@pytest.mark.slow
def test_the_wheelhouse_installs_and_classifies_from_local_files_only(tmp_path: Path) -> None:
    house = tmp_path / "wheelhouse"
    made = run(sys.executable, DEPLOY / "wheelhouse.py", "--out", house)
    assert made.returncode == 0, made.stderr
    assert {path.suffix for path in house.iterdir()} == {".whl", ""}
    assert run("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=house).returncode == 0
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
    offline = no_network()
    options = {"cwd": tmp_path, "env": environment | {"PIP_CONFIG_FILE": os.devnull}}
    install = ("-m", "pip", "install", "--no-index", "--find-links", house, "her2edge[cli,slides]")
    installed = run(*offline, python, *install, **options)
    assert installed.returncode == 0, installed.stderr
    demo = run(*offline, tmp_path / "env" / "bin" / "her2edge", "demo", "--out", tmp_path / "demo", **options)
    assert demo.returncode == 0, demo.stderr
    assert "synthetic-3p-5.png: 3+" in demo.stdout


@pytest.mark.parametrize("also", ["SHA256SUMS", "other-1.0-py3-none-any.whl"])
def test_a_folder_that_holds_something_else_is_not_emptied_for_a_wheelhouse(
    tmp_path: Path, also: str
) -> None:
    """A folder of downloads has sums too."""
    (tmp_path / "thesis.txt").write_text("years")
    (tmp_path / also).write_text("")
    made = run(sys.executable, DEPLOY / "wheelhouse.py", "--out", tmp_path)
    assert made.returncode == 1
    assert "holds something else" in made.stderr
    assert (tmp_path / "thesis.txt").read_text() == "years"


def test_a_wheelhouse_that_was_not_finished_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a network that broke off: without its sums, with some of its wheels."""
    wheelhouse = runpy.run_path(str(DEPLOY / "wheelhouse.py"))
    fill = wheelhouse["fill"]
    fail = True

    def pip(verb: str, *arguments: str) -> None:
        if verb == "wheel":
            (tmp_path / "her2edge-1.0-py3-none-any.whl").write_text("own")
        elif fail:
            (tmp_path / "old-1.0-py3-none-any.whl").write_text("half")
            raise SystemExit("no network")

    monkeypatch.setitem(fill.__globals__, "pip", pip)
    with pytest.raises(SystemExit, match="no network"):
        fill(tmp_path, "cli", [])
    fail = False
    fill(tmp_path, "cli", [])
    assert {path.name for path in tmp_path.iterdir()} == {"her2edge-1.0-py3-none-any.whl", "SHA256SUMS"}


def exec_start() -> list[str]:
    found = re.search(r"^ExecStart=(.+)$", UNIT.read_text(), re.MULTILINE)
    assert found
    return shlex.split(found[1])


def test_the_service_and_the_container_start_a_command_there_is() -> None:
    """Renaming an option turns this red."""
    _, verb, *arguments = exec_start()
    assert verb == "watch"
    assert watch.make_context("watch", arguments).params["isolate"]
    found = re.search(r"^CMD (\[.+\])$", CONTAINER.read_text(), re.MULTILINE)
    assert found
    verb, *arguments = re.findall(r'"([^"]+)"', found[1])
    assert verb == "watch"
    assert watch.make_context("watch", arguments).params["isolate"]


def test_systemd_knows_every_line_of_the_unit_and_rates_it_safe(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("needs systemd-analyze")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(exec_start()[0], sys.executable))
    checked = run(tool, "verify", "--man=no", unit)
    assert (checked.returncode, checked.stderr) == (0, "")
    rated = run(tool, "security", "--offline=true", "--threshold=10", unit)  # 1.0 of 10: "OK" ends at 5
    assert rated.returncode == 0, rated.stdout[-300:]


def test_the_containers_recipe_is_linted_and_never_root() -> None:
    text = CONTAINER.read_text()
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == "10001"
    tool = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if tool is None:
        pytest.skip('needs hadolint: pip install ".[dev]"')
    checked = run(tool, CONTAINER)
    assert (checked.returncode, checked.stdout) == (0, "")
