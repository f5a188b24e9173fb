"""Debian's Postgres 15 beside the one out of the wheel, where it is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from nats3.dev import postgres_cluster
from nats3.dev.postgres_server import USER, PostgresServer
from nats3.dev.server import own_secret

INSTALL = Path("/usr/lib/postgresql/15")


class Debian15(PostgresServer):
    """The same cluster and settings, made and served by Debian's programs."""

    @override
    async def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        cluster = replace(postgres_cluster.prepare(self.directory, self.log), install=INSTALL)
        if not cluster.is_made:
            await postgres_cluster.make(cluster, USER, own_secret(self.directory))
        await super()._prepare()
        self._cluster = cluster
