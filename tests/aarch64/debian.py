"""Packages of another Debian suite or architecture, by name: nothing of this system's own is touched.

apt-get runs with folders of its own, and with the machine's own sources in which the suite's name is
replaced. It checks signatures as always. Needs apt-get and dpkg-deb, no root.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SUITES = {(3, 11): "bookworm", (3, 13): "trixie"}  # which Debian has which Python
KINDS = ("APT::Architecture", "APT::Architectures")
SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))


@dataclass(frozen=True)
class DebianRoot:
    """An unpacked arm64 system: its folder, Debian's suite, and versions by package."""

    folder: Path
    suite: str
    packages: dict[str, str]

    def kept(self) -> dict[str, str]:
        """What a result says of it."""
        names = ("libc6", "libstdc++6", f"python{_python()}")
        return {"suite": self.suite} | {name: self.packages[name] for name in names}


def debian_root(folder: Path) -> DebianRoot:
    """Python of this minor version and what it needs, for arm64, unpacked; taken as it is if it is there."""
    suite = SUITES.get(sys.version_info[:2])
    if suite is None:
        known = " or ".join(".".join(map(str, one)) for one in SUITES)
        raise SystemExit(
            f"found Python {_python()}, expected {known}, which a Debian has: run with PYTHON=python3.11"
        )
    stamp = folder / "packages.json"
    if not stamp.exists():
        wanted = (f"python{_python()}", "libstdc++6")
        archives = download(folder.with_name("root-packages"), suite, "arm64", *wanted)
        unpack(archives, folder)
        stamp.write_text(json.dumps(dict(sorted(map(name_and_version, archives)))))
    return DebianRoot(folder, suite, json.loads(stamp.read_text()))


def _python() -> str:
    return "{}.{}".format(*sys.version_info[:2])


def download(
    folder: Path, suite: str, architecture: str | None, *names: str, alone: bool = False
) -> list[Path]:
    """The archives of these packages and, unless `alone`, of all they depend on.

    architecture: Debian's word, None: this machine's. SystemExit with what apt-get said where it failed.
    """
    if platform.system() != "Linux" or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise SystemExit(
            "found no apt-get and dpkg-deb, expected a Debian: run it there, or in its container"
        )
    archives = folder / "cache" / "archives"
    for part in (folder / "lists" / "partial", archives / "partial", folder / "sources"):
        part.mkdir(parents=True, exist_ok=True)
    for former in archives.glob("*.deb"):
        former.unlink()
    (folder / "status").touch()
    for path, text in sources(suite):
        (folder / "sources" / path.name).write_text(text)
    kind = {} if architecture is None else dict.fromkeys(KINDS, architecture)
    options = kind | {
        "Dir::State": folder, "Dir::State::status": folder / "status", "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": folder / "sources",
        "APT::Sandbox::User": "root", "Acquire::Languages": "none",
    }  # fmt: skip
    apt = ["apt-get", "--quiet", *(f"-o{name}={value}" for name, value in options.items())]
    _run([*apt, "update"], folder)
    get = ["download"] if alone else ["install", "--yes", "--no-install-recommends", "--download-only"]
    _run([*apt, *get, *names], archives)
    return sorted(archives.glob("*.deb"))


def sources(suite: str) -> Iterator[tuple[Path, str]]:
    """(file, text) of the machine's own sources of Debian's suites, `suite` in the place of its own."""
    words = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    own = words.get("VERSION_CODENAME", "").strip('"')
    if words.get("ID") != "debian" or not own:
        raise SystemExit(f"found {words.get('ID')}, expected Debian: its packages are asked for by name")
    listed, folder = SOURCES
    for path in (listed, *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))):
        if path.exists() and (text := replaced(path.read_text(), own, suite)):
            yield path, text


def replaced(text: str, own: str, suite: str) -> str:
    """The sources with another suite; what is not of a suite, or is a comment, goes."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    parts = re.split(r"\n\s*\n", "\n".join(lines)) if "URIs:" in text else lines
    word = re.compile(rf"(?<![\w.-]){own}(?=-updates|-security|\s|$|/)")
    return "".join(f"{word.sub(suite, part)}\n\n" for part in parts if word.search(part))


def unpack(archives: Sequence[Path], folder: Path) -> None:
    """Lay the packages' files into a new folder, whole or not at all; no script of theirs runs."""
    part = folder.with_name(f"{folder.name}.part")
    for former in (part, folder):
        shutil.rmtree(former, ignore_errors=True)
    part.mkdir(parents=True)
    for archive in archives:
        _run(["dpkg-deb", "--extract", archive, part], part)
    part.rename(folder)


def name_and_version(archive: Path) -> tuple[str, str]:
    """Of an archive's file name: `libc6_2.36-9_arm64.deb`; apt writes the colon of an epoch as %3a."""
    name, version, _ = archive.stem.split("_")
    return name, version.replace("%3a", ":")


def _run(command: Sequence[str | Path], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{(done.stderr or done.stdout)[-2000:]}")
