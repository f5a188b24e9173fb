"""What a process that serves asks of the machine."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CHUNKS = """
import resource, sys
from nats3.serve.process import keep_memory
if sys.argv[1:]:
    keep_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def chunks():
    held = [bytearray(15 << 20) for _ in range(3)]

chunks(), chunks()
before = faults()
chunks()
print(faults() - before)
"""


def faults(*told: str) -> int:
    """Pages that the machine had to give again for three chunks of 15 MiB, after others of that size were freed."""
    shown = subprocess.run([sys.executable, "-c", CHUNKS, *told], capture_output=True, check=True, text=True)
    return int(shown.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked")
def test_memory_of_chunks_that_are_gone_is_kept_for_the_next() -> None:
    assert faults("keep") < 100
