"""Memory of one training step kept for the next.

The C library hands large blocks back to the system when they are freed and asks for them anew at each step, and the
system clears every page of them each time.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # numbers of the options in glibc's malloc.h


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, up to 2 GiB, for this process; does nothing where it is not glibc."""
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_MMAP_MAX, 0)
