"""qemu-user: where it comes from, and whether it is new enough."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from debian import download, unpack

OLDEST = (10, 0)  # 7.2 crashes where LiteRT opens a network; 8 and 9 were not tried
NAMES = ("qemu-aarch64", "qemu-aarch64-static")
SUITE, PACKAGE = "trixie", "qemu-user"  # the first Debian with 10
Version = tuple[int, int, int]


@dataclass(frozen=True)
class Qemu:
    """A qemu-aarch64 and its version, (major, minor, micro)."""

    path: Path
    version: Version

    @property
    def text(self) -> str:
        return ".".join(map(str, self.version))


def parse_version(said: str) -> Version:
    """(major, minor, micro) of what `qemu-aarch64 --version` prints; ValueError where it states none."""
    found = re.search(r"\bversion (\d+)\.(\d+)(?:\.(\d+))?", said)
    if found is None:
        raise ValueError(f"found {said.splitlines()[:1]}, expected qemu's version")
    major, minor, micro = found.groups(default="0")
    return int(major), int(minor), int(micro)


def look_at(path: Path) -> Qemu:
    """The program with its version. SystemExit where it is none or cannot be started."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=60)
        return Qemu(path, parse_version(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise SystemExit(f"{path.name} is not a qemu that runs here: {error}") from None


def check_new(qemu: Qemu) -> Qemu:
    """The same. SystemExit where it is too old."""
    if qemu.version < (*OLDEST, 0):
        raise SystemExit(
            f"found {qemu.path.name} {qemu.text}, expected {OLDEST[0]} or newer (7.2 crashes where LiteRT "
            "opens a network): name another with QEMU=FILE, or leave QEMU out and Debian's is taken"
        )
    return qemu


def find_qemu(given: Path | None, folder: Path) -> Qemu:
    """The one that was named, else a new one on PATH, else Debian's, kept in `folder`."""
    if given is not None:
        return check_new(look_at(given))
    for found in filter(None, map(shutil.which, NAMES)):
        qemu = look_at(Path(found))
        if qemu.version >= (*OLDEST, 0):
            return qemu
    path = folder / "usr" / "bin" / NAMES[0]
    if not path.exists():
        (package,) = download(folder.with_name("qemu-packages"), SUITE, None, PACKAGE, alone=True)
        unpack([package], folder)
    return check_new(look_at(path))
