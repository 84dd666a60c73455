"""How the C library keeps memory, in the command's own process: what is given back is given back.

glibc makes a heap for each thread, and keeps in them whatever was once in use, arrays of up to 32 MB: tens of
megabytes that no other thread finds. So there is one heap, and what is larger than a tile is mapped by
itself, and goes when it is freed. Were tiles mapped, too, a small network's would cost 3 % more: their pages
are cleared each time. The SDK never sets this: it is the whole process's.
"""

import ctypes

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # of glibc's malloc.h
_LARGE = 3 << 19  # bytes; a tile of 512 px has half as many


def keep_small() -> None:
    """Not for what computes in many threads of native code. Elsewhere than on glibc nothing is done."""
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    set_option(_ARENA_MAX, 1)
    set_option(_MMAP_THRESHOLD, _LARGE)
