"""Does her2edge say the same on ARM? The wheelhouse of linux-aarch64 under qemu-user, beside this machine.

    make test-aarch64 [QEMU=FILE] [CPU=cortex-a76] [STUDENT=MODEL.tflite] [SAVE=NAME]

Takes qemu-user 10 or newer, an arm64 root of Debian packages and the wheelhouse as pip installs it on a
board; then `doctor`, `classify` and the stain kernels run on both sides and are compared. What is downloaded,
unpacked and compiled stays in build/aarch64. Exit code 1, and a line with figures, if something is not as it
must be. A pass says that these comparisons hold under emulation, and nothing of other tiles or of speed.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib import import_module
from pathlib import Path

from board import Board
from compared import stated
from debian import debian_root
from qemu import find_qemu
from sides import both_sides
from site_packages import installed
from taught import student_model

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))
WORK = ROOT / "build" / "aarch64"


def main() -> None:
    given = arguments()
    if platform.machine() not in ("x86_64", "AMD64"):
        raise SystemExit(f"found {platform.machine()}, expected x86-64: on ARM run `make test` instead")
    began = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    say("qemu-user ...")
    qemu = find_qemu(given.qemu, WORK / "qemu")
    say(f"qemu-user {qemu.text}; an arm64 root ...")
    root = debian_root(WORK / "root")
    say(f"{len(root.packages)} packages of Debian {root.suite}; the wheelhouse of linux-aarch64 ...")
    site = installed(WORK)
    board = Board(qemu.path, root.folder, site, WORK, given.cpu)
    say("a student ...")
    student = student_model(WORK / "student", given.student)
    checks, found = both_sides(board, student, WORK / "compared", say)
    versions = {"qemu": qemu.text, "cpu": given.cpu, "debian": root.kept()}
    for check in checks:
        print(check)
    print(f"{sum(not check.holds for check in checks)} of {len(checks)} checks failed")
    result = versions | found | {"checks": [stated(check) for check in checks]}
    (WORK / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    if given.save:
        print(import_module("harness").save("aarch64", result, given.save))
    say(f"{(time.monotonic() - began) / 60:.0f} minutes")
    raise SystemExit(int(not all(check.holds for check in checks)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/aarch64", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--qemu", type=Path, help="qemu-aarch64, 10 or newer; else that of PATH, or Debian's")
    parser.add_argument(
        "--cpu", default="cortex-a72", help="of qemu's list: cortex-a72 (Raspberry Pi 4), ..."
    )
    parser.add_argument(
        "--student", type=Path, help="a student's model file; else one that is taught briefly"
    )
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    return parser.parse_args()


def say(line: str) -> None:
    print(f"aarch64: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
