"""NATS, Postgres and S3 as real servers for the rows. Of the product only nats3.dev is used, to start and to hurt them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nats3.dev.nats_server import NatsServer
from nats3.dev.postgres_server import PostgresServer
from nats3.dev.s3_server import S3Server

PAGE = 4096


@dataclass
class Servers:
    """NATS, Postgres and S3 that a row may kill and freeze, as long as it brings them back."""

    nats: NatsServer
    postgres: PostgresServer
    s3: S3Server

    @classmethod
    def below(cls, directory: Path) -> Servers:
        return cls(NatsServer(directory / "nats"), PostgresServer(directory / "postgres"), S3Server(directory / "s3"))

    async def start(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for server in (self.nats, self.postgres, self.s3):
                tasks.create_task(server.start())

    async def stop(self) -> None:
        for server in (self.nats, self.postgres, self.s3):
            server.resume()
            await server.kill()

    async def heal(self) -> None:
        """All of them answer, whatever a row has left behind."""
        for server in (self.nats, self.postgres, self.s3):
            server.resume()
            if not server.running:
                await server.start()


@asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    """Servers of our own in a directory that Postgres' user can reach."""
    with tempfile.TemporaryDirectory(prefix="nats3-faults-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o711)  # noqa: ASYNC240 - nothing runs yet that could wait for it
        started = Servers.below(Path(made))
        try:
            await started.start()
            yield started
        finally:
            await started.stop()


def resident(pid: int) -> int:
    """Bytes of memory that the process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * PAGE


def descriptors(pid: int) -> int:
    """Files and sockets that the process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
