"""What a process that serves asks of the machine and of Python, before it begins."""

from __future__ import annotations

import ctypes
import gc
import resource

_ALLOCATED = 20_000
"""Objects that refer to others, made and not yet freed, between two looks for cycles. A page of the log is some thousand of
them, none in a cycle; Python's own 700 let the collector walk through every page several times.
"""

_MIB = 1024 * 1024
_KEPT = ((-3, 32 * _MIB), (-1, 64 * _MIB), (-2, 4 * _MIB))
"""By the numbers that glibc's malloc.h has for them: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD. Its own begin at 128 KiB, and
follow the largest block: pages of chunks and frames went back to the machine and came anew, a fault each, one for every four messages.
"""


def raise_limits() -> None:
    """As many open files as we may have: each client that dawdles holds one for a while."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def collect_rarely() -> None:
    """Leave what is loaded by now out of every look for cycles, and look for them less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATED, 20, 20)


def keep_memory() -> None:
    """Keep what was freed for what comes next, where the C library is one that can: glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for what, size in _KEPT:
            mallopt(what, size)
