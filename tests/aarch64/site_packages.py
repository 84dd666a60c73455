"""The wheelhouse of linux-aarch64, made as `make wheelhouse` does, and installed by this machine's pip."""

from __future__ import annotations

import hashlib
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = "linux-aarch64"


def installed(work: Path) -> Path:
    """The folder of packages for aarch64. Others than ours are installed again where their wheels changed."""
    house, site = work / "wheelhouse", work / "site"
    maker = runpy.run_path(str(ROOT / "docs" / "deploy" / "wheelhouse.py"))
    maker["fill"](house, "cli,slides", maker["PLATFORMS"][PLATFORM])
    (own,) = house.glob("her2edge-*.whl")
    others = [path for path in sorted(house.glob("*.whl")) if path != own]
    stamp, sums = (
        site / "wheels.sha256",
        "\n".join(f"{_sha256(path)}  {path.name}" for path in (own, *others)),
    )
    if not stamp.exists() or stamp.read_text() != sums:
        shutil.rmtree(site, ignore_errors=True)
        _install(house, site, maker)
        stamp.write_text(sums)
    return site


def _install(house: Path, site: Path, maker: dict[str, Any]) -> None:
    tags = [f"--platform={tag}" for tag in maker["PLATFORMS"][PLATFORM]]
    kind = ["--implementation=cp", f"--python-version={maker['version']()}", "--only-binary=:all:", *tags]
    from_there = ["--no-index", f"--find-links={house}", f"--target={site}", "her2edge[cli,slides]"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, *kind, *from_there], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"pip install for {PLATFORM} failed:\n{done.stderr}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
