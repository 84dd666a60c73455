"""All that her2edge installs from, in one folder, for machines without network.

    python docs/deploy/wheelhouse.py [--platform linux-aarch64] [--extras cli,slides] [--out dist/wheelhouse]

Run by `make wheelhouse`. The folder holds wheels, of the versions in constraints.txt, and their SHA-256; the
machine that gets it needs the Python version this runs with, pip and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# pip takes another machine's tags one by one: a wheel for an older system serves a newer one.
GLIBC = (28, 27, 26, 24, 17)
PLATFORMS = {
    "linux-x86_64": [*(f"manylinux_2_{minor}_x86_64" for minor in GLIBC), "manylinux2014_x86_64"],
    "linux-aarch64": [*(f"manylinux_2_{minor}_aarch64" for minor in GLIBC), "manylinux2014_aarch64"],
    "windows-x86_64": ["win_amd64"],
    "macos-arm64": [f"macosx_{major}_0_arm64" for major in range(14, 10, -1)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--platform", choices=PLATFORMS, help="default: this machine")
    parser.add_argument("--extras", default="cli,slides")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "wheelhouse")
    arguments = parser.parse_args()
    fill(arguments.out, arguments.extras, PLATFORMS.get(arguments.platform, []))
    wheels = sorted(arguments.out.glob("*.whl"))
    size = sum(wheel.stat().st_size for wheel in wheels) / 1e6
    print(f"{len(wheels)} wheels, {size:.0f} MB for Python {version()}: {arguments.out}")


def fill(out: Path, extras: str, tags: list[str]) -> None:
    """Make the folder anew: wheels of a former one go, also of one that was not finished."""
    former = list(out.iterdir()) if out.exists() else []
    if other := [path.name for path in former if path.suffix != ".whl" and path.name != "SHA256SUMS"]:
        raise SystemExit(
            f"{out} holds something else ({other[0]}), expected a new folder or a former wheelhouse"
        )
    for path in former:
        path.unlink()
    pip("wheel", "--no-deps", "--wheel-dir", str(out), str(ROOT))
    (own,) = out.glob("her2edge-*.whl")
    only = ["--only-binary", ":all:", "--constraint", str(ROOT / "constraints.txt")]
    other = [f"--platform={tag}" for tag in tags] + (["--python-version", version()] if tags else [])
    pip("download", *only, *other, "--dest", str(out), f"{own}[{extras}]")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(out.glob("*"))]
    (out / "SHA256SUMS").write_text("\n".join(sums) + "\n")


def version() -> str:
    """Of the Python that runs this, as 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def pip(verb: str, *arguments: str) -> None:
    """Run pip, or end with what it said."""
    command = [sys.executable, "-m", "pip", verb, "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"pip {verb} failed:\n{done.stderr}")


if __name__ == "__main__":
    main()
