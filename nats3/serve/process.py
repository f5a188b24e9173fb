"""What a process that serves asks of the machine and of Python, before it begins."""

from __future__ import annotations

import gc
import resource

_ALLOCATED = 20_000
"""Objects that refer to others, made and not yet freed, between two looks for cycles. A page of the log is some thousand of
them, none in a cycle; Python's own 700 let the collector walk through every page several times.
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
