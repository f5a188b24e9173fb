"""A child process on the leash, its log, and what an earlier owner left running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nats3.dev import leash

LOG_LINES = 20
PROC = Path("/proc")
ASK_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a program runs as; uid 0 means: as whoever we are."""

    uid: int = 0
    gid: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `directory` becomes its working directory, by which a later owner finds what was left behind."""

    program: Path
    arguments: Sequence[str]
    directory: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    account: Account = field(default_factory=Account)
    death: signal.Signals = signal.SIGKILL
    """What the kernel sends it when we die."""


async def spawn(command: Command) -> asyncio.subprocess.Process:
    """Start it in a session of its own, so that a Ctrl-C meant for us does not reach it. Linux ends it when we die."""
    account = command.account
    words = (os.getpid(), int(command.death), account.uid, account.gid, command.program, *command.arguments)
    with command.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", leash.__file__),
            *map(str, words),
            cwd=command.directory,
            env={"PATH": os.defpath, **command.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def last_lines(log: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:])
    return ""


def family(pid: int) -> list[int]:
    """`pid` and, on Linux, all that descend from it, parents first."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def left_behind(program: Path, directory: Path) -> list[int]:
    """Processes of `program` that work in `directory`. Asked only by the owner of the directory's lock, so none is ours."""
    return [pid for pid in _pids() if _links(pid, "cwd", directory) and _links(pid, "exe", program)]


async def end_leftovers(program: Path, directory: Path) -> None:
    """Kill what an earlier owner left running in `directory`; return when it is gone."""
    while pids := left_behind(program, directory):
        send(pids, signal.SIGKILL)
        await asyncio.sleep(ASK_AGAIN_S)


def _pids() -> Iterator[int]:
    if PROC.joinpath("self").exists():
        yield from (int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())


def _parents() -> Iterator[tuple[int, int]]:
    for pid in _pids():
        with contextlib.suppress(OSError):
            # The name before it stands in brackets and may hold anything, brackets and blanks too.
            after_name = (PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2]
            yield pid, int(after_name.split()[1])


def _links(pid: int, name: str, target: Path) -> bool:
    try:
        link = (PROC / str(pid) / name).readlink()
    except OSError:
        return False
    return str(link).removesuffix(" (deleted)") == str(target.resolve())
