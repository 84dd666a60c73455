"""How much a way brings onto a machine: the files of the packages that it needs, with all that those need.

    python benchmarks/whole_installed.py PACKAGE...

prints it as JSON: run by the Python whose packages they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

CUDA = ("nvidia-", "cuda-", "triton")
TOLD = (
    "ai-edge-litert", "onnxruntime", "openvino", "tiatoolbox", "torch", "torchstain", "wsinfer", "zarr",
)  # fmt: skip


def main() -> None:
    try:
        print(json.dumps(installed(sys.argv[1:])))
    except ImportError as error:
        raise SystemExit(str(error)) from None


def installed(requirements: Iterable[str]) -> dict[str, Any]:
    """MB of all, MB of those that only a GPU of NVIDIA's needs, versions of those worth telling."""
    names = closure(requirements)
    return {
        "mb": size_mb(names),
        "cuda_mb": size_mb({name for name in names if name.startswith(CUDA)}),
        "versions": {name: metadata.version(name) for name in TOLD if name in names},
    }


def size_mb(names: Iterable[str]) -> float:
    """Of all files that the packages have put on the disk, without what Python compiles of them."""
    files = {Path(str(path.locate())) for name in names for path in metadata.distribution(name).files or ()}
    return round(
        sum(path.stat().st_size for path in files if path.suffix != ".pyc" and path.is_file()) / 1e6, 1
    )


def closure(requirements: Iterable[str]) -> set[str]:
    """Names of the packages that are needed here, such as "her2edge[cli]", and of those that they need.

    Raises ImportError where one is missing, or where one is installed from its source folder: then its
    files are not told.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    wanted = [Requirement(text) for text in requirements]
    seen: set[tuple[str, str]] = set()
    for one in wanted:
        distribution = _distribution(one.name)
        for extra in ("", *sorted(one.extras)):
            if (name := canonicalize_name(one.name), extra) in seen:
                continue
            seen.add((name, extra))
            wanted += [
                below for below in map(Requirement, distribution.requires or ()) if _here(below, extra)
            ]
    return {name for name, _ in seen}


def _distribution(name: str) -> metadata.Distribution:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise ImportError(f"{name} is not installed") from None
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        raise ImportError(f"{name} is installed as a link to its source: install it without --editable")
    return found


def _here(requirement: Any, extra: str) -> bool:
    """Whether it holds on this machine, with this Python and this extra."""
    return requirement.marker is None or bool(requirement.marker.evaluate({"extra": extra}))


if __name__ == "__main__":
    main()
