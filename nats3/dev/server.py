"""One real server that belongs to us: started, asked until it answers, frozen, killed, ended."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from nats3.dev.errors import NotReady, StartFailed
from nats3.dev.ports import free_port, is_free, keep
from nats3.dev.process import ASK_AGAIN_S, Command, end_leftovers, family, last_lines, send, spawn

READY_WITHIN_S = 90.0
ANSWER_WITHIN_S = 2.0


class Server(ABC):
    """A server on 127.0.0.1 with a directory of its own; its port and its secret stay through kill and start.

    Usable from the event loop that started it. `kill`, `pause` and `resume` act on its whole process family.
    """

    name: ClassVar[str]
    polite: ClassVar[signal.Signals] = signal.SIGTERM
    patience_s: ClassVar[float] = 10.0

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / f"{self.name}.log"
        self.port = 0
        self.wanted = asyncio.Event()
        """Set from `start` to `stop`: while it is, whoever watches over the server brings it back when it dies."""
        self._process: asyncio.subprocess.Process | None = None
        self._change = asyncio.Lock()

    async def start(self) -> None:
        """Return once the server itself answers. Raises StartFailed with the end of its log."""
        async with self._change:
            self.wanted.set()
            if not self.running:
                await self._prepare()
                await (self._launch() if self.port else self._launch_on_a_free_port())

    async def stop(self) -> None:
        """End it politely, after `patience_s` by force."""
        async with self._change:
            self.wanted.clear()
            process = self._process
            if process is None or process.returncode is not None:
                return
            send([process.pid], self.polite)
            send(family(process.pid), signal.SIGCONT)
            try:
                async with asyncio.timeout(self.patience_s):
                    await process.wait()
            except TimeoutError:
                await self._kill(process)

    async def kill(self) -> None:
        """SIGKILL, as a crash or the kernel would; `start` brings it back with the same port and data."""
        async with self._change:
            if self._process is not None:
                await self._kill(self._process)

    @property
    def exit_code(self) -> int | None:
        """Of the process that was started last; None while it runs."""
        return None if self._process is None else self._process.returncode

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        if self._process is not None:
            self._freeze(self._process.pid)

    def resume(self) -> None:
        if self._process is not None:
            send(family(self._process.pid), signal.SIGCONT)

    async def ended(self) -> int:
        """Wait until its process is gone; minus the signal when one ended it."""
        assert self._process is not None, "never started"
        return await self._process.wait()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "never started"
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _prepare(self) -> None:
        """Make the directory fit to start in, and end what an earlier owner left there."""
        self.directory.mkdir(parents=True, exist_ok=True)
        await end_leftovers(self._command().program, self._command().directory)

    @abstractmethod
    def _command(self) -> Command: ...

    @abstractmethod
    async def _ask(self) -> None:
        """Raise NotReady or OSError unless the server answers, and is this one."""

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _ports(self) -> Sequence[int]:
        """All that it listens on."""
        return (self.port,)

    async def _launch_on_a_free_port(self) -> None:
        """Another process may take a port between our look and the server's: then take others."""
        while True:
            self._choose_ports()
            if not keep(self._ports(), self):
                continue
            try:
                return await self._launch()
            except StartFailed:
                if all(map(is_free, self._ports())):
                    raise

    async def _launch(self) -> None:
        self._process = await spawn(self._command())
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await self._answers(self._process)
        except TimeoutError:
            await self._kill(self._process)
            raise StartFailed(self.name, f"no answer within {READY_WITHIN_S:.0f} s", last_lines(self.log)) from None

    async def _answers(self, process: asyncio.subprocess.Process) -> None:
        while True:
            if process.returncode is not None:
                raise StartFailed(self.name, f"it ended with {process.returncode}", last_lines(self.log))
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    return await self._ask()
            except (OSError, NotReady, EOFError):  # TimeoutError is an OSError
                await asyncio.sleep(ASK_AGAIN_S)

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            self._freeze(process.pid)
            send(list(reversed(family(process.pid))), signal.SIGKILL)
        await process.wait()
        await end_leftovers(self._command().program, self._command().directory)

    def _freeze(self, pid: int) -> None:
        """Stop the parent first, so that no child is born unseen."""
        send([pid], signal.SIGSTOP)
        send(family(pid)[1:], signal.SIGSTOP)


def own_secret(directory: Path) -> str:
    """A random word that lives in `directory` from the first call on, readable by its owner alone."""
    path = directory / "secret"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(20))
    return path.read_text("ascii")


ON_LINUX = sys.platform == "linux"
