"""`nats3 serve` as a program of its own, configured by the environment alone, as in production."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from nats3.dev.errors import NotReady
from nats3.dev.ports import LOOPBACK, free_port, is_free
from nats3.dev.process import Command
from nats3.dev.s3_server import S3Access
from nats3.dev.server import Server

USUAL_PORT = 8080


def environment(address: str, nats_url: str, postgres_url: str, s3: S3Access) -> dict[str, str]:
    """All that `nats3 serve` must be told."""
    return {
        "NATS3_SERVER_ADDR": address,
        "NATS3_NATS_URL": nats_url,
        "NATS3_POSTGRES_URL": postgres_url,
        "NATS3_POSTGRES_MIGRATE": "true",
        "NATS3_S3_ENDPOINT": s3.endpoint,
        "NATS3_S3_REGION": s3.region,
        "NATS3_S3_ACCESS": s3.access,
        "NATS3_S3_SECRET": s3.secret,
    }


class Nats3Server(Server):
    """Listens on 8080 where that is asked for and free, so that two runs do not meet there. `settings` are environment variables; the address is added to them."""

    name: ClassVar[str] = "nats3"
    # It has 30 s to flush what it holds.
    patience_s: ClassVar[float] = 35.0

    def __init__(self, directory: Path, settings: Mapping[str, str], *, at_usual_port: bool = False) -> None:
        super().__init__(directory)
        self.settings = settings
        self._at_usual_port = at_usual_port

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @override
    def _choose_ports(self) -> None:
        usual = self._at_usual_port and is_free(USUAL_PORT) and not self.port
        self.port = USUAL_PORT if usual else free_port()

    @override
    def _command(self) -> Command:
        return Command(
            Path(sys.executable),
            ("-m", "nats3", "serve"),
            directory=self.directory,
            log=self.log,
            environment={**self.settings, "NATS3_SERVER_ADDR": f"{LOOPBACK}:{self.port}"},
        )

    @override
    async def _ask(self) -> None:
        """/ready: NATS, Postgres and S3 answer it."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        try:
            writer.write(f"GET /ready HTTP/1.1\r\nHost: {LOOPBACK}:{self.port}\r\nConnection: close\r\n\r\n".encode())
            status = int((await reader.readuntil(b"\r\n")).split()[1])
        finally:
            writer.close()
        if status != HTTPStatus.OK:
            raise NotReady(f"/ready answered {status}")
