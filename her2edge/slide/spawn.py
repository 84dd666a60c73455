"""Starting the process that decodes: with this one's Python, modules and caution."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from her2edge.errors import RuntimeUnavailable, SlideReadError

# Imports come from where they come from here, in the same order. Not by PYTHONPATH: it would put installed
# packages before the standard library, and who starts Python with -I or -E wants no variable to be read.
_MAIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from her2edge.slide.child import main; main()"
)


def start_child() -> subprocess.Popen[bytes]:
    """A process of `her2edge.slide.child`, its requests and replies on pipes.

    Raises RuntimeUnavailable where this program is no Python and names none, SlideReadError where the system
    lets no process start.
    """
    command = [_python(), *_flags(), "-P", "-c", _MAIN, json.dumps(_import_path())]
    try:
        if sys.platform == "win32":  # no window opens, and Ctrl-C is the parent's to handle
            flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, creationflags=flags
            )
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
    except OSError as error:
        raise SlideReadError(f"the process for decoding cannot be started ({error.strerror})") from error


def _python() -> str:
    """The interpreter that `multiprocessing` would start."""
    from multiprocessing.spawn import get_executable  # brings sockets and pickle along, which are not used

    return checked_python(os.fsdecode(get_executable() or ""), frozen=getattr(sys, "frozen", False))


def checked_python(program: str, *, frozen: bool) -> str:
    """The program, if it is a Python; never one that embeds a Python, which would open its own window, or
    start itself without end. frozen: whether this program is such a one. Raises RuntimeUnavailable."""
    if frozen and (program == sys.executable or not Path(program).is_file()):
        program = ""
    if not Path(program).name.lower().startswith(("python", "pypy")):
        raise RuntimeUnavailable(
            f"found {Path(program).name or 'no program'!r} to decode in, expected a Python interpreter: if "
            f"your program embeds Python, name its interpreter with multiprocessing.set_executable(), or "
            f"read without isolation"
        )
    return program


def _flags() -> list[str]:
    """What this Python was told not to believe."""
    if sys.flags.isolated:
        return ["-I"]
    chosen = (("-E", sys.flags.ignore_environment), ("-s", sys.flags.no_user_site))
    return [flag for flag, on in chosen if on]


def _import_path() -> list[str]:
    """`sys.path`, without the working folder, which is "" there: a slide's folder holds no modules."""
    places = [entry for entry in sys.path if isinstance(entry, str) and entry]
    own = str(Path(__file__).resolve().parents[2])
    return places if own in places else [*places, own]
