"""Coverage-guided fuzzing of everything that reads bytes from outside: python -m tests.fuzz [TARGET ...] [--seconds N].

Each target runs in a process of its own, for its part of the seconds; a finding is printed with the input that makes it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

# No limit of the resident set: a child inherits the peak of its parent, which may be a whole run of tests.
_LIMITS = ("-rss_limit_mb=0", "-malloc_limit_mb=512", "-timeout=10", "-max_len=4096", "-print_final_stats=1")
NAMES = ("object", "columns", "zstd", "header", "wire")
MISSING = "atheris is made for Python before 3.14 on Linux x86-64, and is not here"


def available() -> bool:
    return find_spec("atheris") is not None


def fuzz(name: str, seconds: int, corpus: Path) -> None:
    """In this process, which it ends."""
    import atheris  # noqa: PLC0415 - only where there is one

    with atheris.instrument_imports(include=["nats3.chunk", "nats3.jetstream.frames"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - what it imports is instrumented so
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={seconds}", *_LIMITS], target.run)
    atheris.Fuzz()


def inputs_of(said: str) -> int:
    """How many inputs a process that ended has tried, by its own word; 0 where it did not come to say so."""
    lines = [line for line in said.splitlines() if "number_of_executed_units" in line]
    return int(lines[-1].split()[-1]) if lines else 0


def apart(name: str, seconds: int) -> tuple[bool, str]:
    """Whether a target withstood so many seconds in a process of its own, and what that process said."""
    with tempfile.TemporaryDirectory(prefix="nats3-fuzz-") as directory:
        command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(seconds), "--here", directory]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode == 0, done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *NAMES], help="all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for all of them together")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if not available():
        print(f"skipped: {MISSING}")
        return 0
    names = told.targets or NAMES
    if told.here is not None:
        fuzz(names[0], told.seconds, told.here)
    failed = 0
    for name in names:
        withstood, said = apart(name, max(1, told.seconds // len(names)))
        print(f"{name}: {inputs_of(said)} inputs, {'withstood' if withstood else 'FAILED'}", flush=True)
        if not withstood:
            failed += 1
            print(said[-3000:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
