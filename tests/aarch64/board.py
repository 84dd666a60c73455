"""A board that is emulated, and this machine: both run Python with the same arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = os.pathsep.join(str(ROOT / part) for part in (".", "cli", "quantize", "training"))
Environment = dict[str, str | Path]
MINUTES = 90  # emulated, with kernels that are compiled for the first time


@dataclass(frozen=True)
class Board:
    """qemu: the program. root: an arm64 system. site: packages. work: kernels and home. cpu: qemu's word."""

    qemu: Path
    root: Path
    site: Path
    work: Path
    cpu: str
    name = "aarch64"

    def python(self, *arguments: str | Path) -> str:
        """What Python prints there. SystemExit with its words where it fails."""
        python = self.root / "usr" / "bin" / "python{}.{}".format(*sys.version_info[:2])
        emulated: list[str | Path] = [self.qemu, "-cpu", self.cpu, "-L", self.root, python]
        home, kernels = self.work / "home", self.work / "kernels"
        own: Environment = {"PYTHONPATH": self.site, "NUMBA_CACHE_DIR": kernels, "HOME": home}
        return _run([*emulated, *arguments], own | _folders(home), self.name)


@dataclass(frozen=True)
class Here:
    """This machine, with the code of this checkout, of which the board's wheel was built."""

    work: Path
    name = "x86-64"

    def python(self, *arguments: str | Path) -> str:
        """As `Board.python`."""
        own: Environment = {"PYTHONPATH": PACKAGES}
        return _run([sys.executable, *arguments], own | _folders(self.work / "here"), self.name)


def _folders(home: Path) -> Environment:
    """So that no key, profile or setting of the user's decides anything."""
    home.mkdir(parents=True, exist_ok=True)
    return {name: home / name.lower() for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")}


def _run(command: list[str | Path], own: Environment, where: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    environment = kept | {name: str(value) for name, value in own.items()} | {"PYTHONNOUSERSITE": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60 * MINUTES
    )
    if done.returncode:
        told = " ".join(str(part) for part in command[-8:])
        raise SystemExit(
            f"on {where} `{told}` ended with {done.returncode}:\n{done.stdout}{done.stderr[-3000:]}"
        )
    return done.stdout
