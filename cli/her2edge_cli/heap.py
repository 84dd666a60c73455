"""How the C library keeps memory, in the command's own process: what is given back is given back.

glibc makes a heap for each thread, and keeps in them whatever was once in use. Of arrays of tiles that is
tens of megabytes that no other thread finds. So there is one heap, and what has the size of a tile is
mapped by itself, and goes when it is freed. The SDK never sets this: it is the whole process's.
"""

import ctypes

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # of glibc's malloc.h
_TILE = 256 << 10  # bytes; what is larger is mapped


def keep_small() -> None:
    """Not for what computes in many threads of native code. Elsewhere than on glibc nothing is done."""
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    set_option(_ARENA_MAX, 1)
    set_option(_MMAP_THRESHOLD, _TILE)
