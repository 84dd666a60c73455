"""What machine this is, as far as it matters to speed and to equal results."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from pathlib import Path

import msgspec

from her2edge import _jit

# Architectures have other names on Windows and macOS.
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
# What int8 and half-precision kernels look for; the first word is LLVM's.
_FEATURES = (
    "avx2", "fma", "avx512f", "avx512bw", "avx512vnni", "avxvnni", "avx512bf16", "avx512fp16", "amx-int8",
    "amx-bf16", "neon", "dotprod", "i8mm", "bf16", "fullfp16", "sve",
)  # fmt: skip

CPUINFO = Path("/proc/cpuinfo")
_VNNI = {"avx512vnni", "avxvnni", "amx-int8"}


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A processor as this process sees it. cores: those it may use; features: LLVM's names."""

    processor: str
    architecture: str
    cores: int
    features: tuple[str, ...]


def architecture() -> str:
    """ "x86_64", "aarch64", ...: the same name on every operating system."""
    name = platform.machine().lower()
    return _ARCHITECTURES.get(name, name)


def usable_cores() -> int:
    """Cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def kernel_cache() -> Path | None:
    """The private folder of compiled kernels, made if need be; None where there is none that is private."""
    return _jit.cache_folder()


def this_machine() -> Machine:
    """This one; reads the processor's features through LLVM, which Numba brings."""
    from llvmlite import binding

    has = binding.get_host_cpu_features()
    features = tuple(name for name in _FEATURES if has.get(name))
    return Machine(_processor(), architecture(), usable_cores(), features)


def saturates(machine: Machine) -> bool:
    """Whether sums of 8-bit products may overflow in libraries that do them in 16 bits: x86 before VNNI."""
    return machine.architecture == "x86_64" and not _VNNI & set(machine.features)


def tells_processor(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the system tells libraries what processor this is: on Linux they read it from /proc, and take
    other instructions where that is not mounted, which give other bits."""
    if sys.platform != "linux":
        return True
    try:
        return bool(cpuinfo.read_bytes())
    except OSError:
        return False


def _processor() -> str:
    """The name on the box, where the system tells it."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = CPUINFO.read_text("utf-8", "replace").splitlines()
    names = (
        value for key, _, value in (line.partition(":") for line in lines) if key.strip() == "model name"
    )
    return next(names, platform.processor() or platform.machine()).strip()
