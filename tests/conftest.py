"""Real servers for tests: one of each per session, started by the first test that asks.

| fixture | gives |
|---|---|
| `nats_url` | URL of the session's nats-server with JetStream; take stream names of your own |
| `fresh_nats` | a nats-server of this test alone: `.url`, `await .kill() / .start() / .stop()`, `.pause() / .resume()` |
| `postgres_url` | URL of a database made for this test, on the session's Postgres (fsync off), dropped after it |
| `fresh_postgres` | a Postgres of this test alone, fsync on, with the same methods |
| `s3` | `.endpoint .region .access .secret .bucket`: the session's SeaweedFS, a bucket made for this test |
| `fresh_s3` | a SeaweedFS of this test alone; `.access` has endpoint and keys, `await .make_bucket(name)` |
| `server_directory` | an empty directory for servers that a test starts itself (also reachable by Postgres' user) |

A test that asks for none of them, directly or through other fixtures, is marked `pure`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import TypeVar

import hypothesis
import psycopg
import pytest
from blockbuster import BlockBuster

from nats3.dev.nats_server import NatsServer
from nats3.dev.postgres_server import PostgresServer
from nats3.dev.s3_server import S3Access, S3Server
from nats3.dev.server import Server

T = TypeVar("T")

MANY_EXAMPLES_S = 120
"""For a thousand examples; beside other work the usual 20 s have been too short for them."""

# How long an example takes says how busy the machine is, not whether the example holds.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

# pytest-timeout declares its option as text and refuses the number in pyproject.toml; asked here first, it reads neither.
os.environ.setdefault("PYTEST_TIMEOUT", "20")

# Tests that draw anew in each run: set here, so that all processes of a run draw the same. A failing test prints its seed.
for seed in ("FAULTS_SEED", "KILLS_SEED"):
    os.environ.setdefault(seed, str(SystemRandom().randrange(1 << 30)))
# Of histories one in a hundred thousand may still find what nobody thought of: `make faults` looks for it, in a million
# others each time. A red `make test` is to say that the change is wrong.
os.environ.setdefault("HISTORIES_SEED", "20261124")

SERVER_FIXTURES = frozenset(
    {"nats_url", "fresh_nats", "postgres_url", "fresh_postgres", "s3", "fresh_s3", "server_directory"}
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SERVER_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.pure)
        if hypothesis.is_hypothesis_test(getattr(item, "obj", None)) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(MANY_EXAMPLES_S))


@pytest.fixture(scope="session")
def loop_guard() -> BlockBuster:
    """Calls that would hold up the event loop raise, when they come out of the product.

    | exception | reason |
    |---|---|
    | nats3.dev | starts servers and reads their logs for a developer; no job runs in its process |
    | nats3.config | reads the file of settings before there is a loop; only tests call it within one |
    | eventstore.migrate, .migrations | run before the loop or in a thread; only tests call them within one |
    | eventstore/migrate.py known | lists the migrations in the wheel when a node starts, before it works |
    | ThreadPoolExecutor shutdown | the end of a node waits for its threads when nothing else is left to run |
    | nats-py _get_nkeys_seed | reads the seed's few bytes anew at each login, so that a new one counts |
    | aiobotocore load_credentials | looks for a profile of AWS where no keys are configured, once per client |
    """
    guard = BlockBuster(
        ["actors", "eventstore", "nats3"],
        excluded_modules=["nats3.dev", "nats3.config", "eventstore.migrate", "eventstore.migrations"],
    )
    for function in guard.functions.values():
        function.can_block_in("eventstore/migrate.py", "known")
        function.can_block_in("nats/aio/client.py", "_get_nkeys_seed")
        function.can_block_in("aiobotocore/credentials.py", "load_credentials")
        function.can_block_in("concurrent/futures/thread.py", "shutdown")
    return guard


@pytest.fixture(autouse=True)
def unblocked_loop(request: pytest.FixtureRequest, loop_guard: BlockBuster) -> Iterator[None]:
    if not asyncio.iscoroutinefunction(getattr(request.node, "obj", None)):
        yield
        return
    loop_guard.activate()
    yield
    loop_guard.deactivate()


class Keeper:
    """A thread with an event loop that owns the session's servers. It outlives them: Linux ends them with it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._thread.start()
        self._servers: list[Server] = []

    def start(self, server: Server) -> None:
        self._servers.append(server)
        self.run(server.start())

    def run(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        for server in self._servers:
            self.run(server.kill())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _directory() -> Path:
    """Not tmp_path: pytest closes that to other users, and Postgres does not run as root."""
    directory = Path(tempfile.mkdtemp(prefix="nats3-test-"))
    directory.chmod(0o711)
    return directory


@pytest.fixture
def server_directory() -> Iterator[Path]:
    directory = _directory()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def session_directory(pytestconfig: pytest.Config) -> Path:
    """Removed when all is over: hundreds of databases took longer than the last test may."""
    directory = _directory()
    pytestconfig.add_cleanup(partial(shutil.rmtree, directory, ignore_errors=True))
    return directory


@pytest.fixture(scope="session")
def keeper(session_directory: Path) -> Iterator[Keeper]:
    """Asks for the directory, so that the servers are gone before it is."""
    keeper = Keeper()
    yield keeper
    keeper.close()


@pytest.fixture(scope="session")
def session_nats(keeper: Keeper, session_directory: Path) -> NatsServer:
    server = NatsServer(session_directory / "nats")
    keeper.start(server)
    return server


@pytest.fixture(scope="session")
def session_postgres(keeper: Keeper, session_directory: Path) -> PostgresServer:
    server = PostgresServer(session_directory / "postgres", durable=False)
    keeper.start(server)
    return server


@pytest.fixture(scope="session")
def session_s3(keeper: Keeper, session_directory: Path) -> S3Server:
    server = S3Server(session_directory / "s3")
    keeper.start(server)
    return server


@pytest.fixture
def nats_url(session_nats: NatsServer) -> str:
    return session_nats.url


@pytest.fixture
def postgres_url(session_postgres: PostgresServer) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(session_postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield session_postgres.url_of(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def s3(keeper: Keeper, session_s3: S3Server) -> S3Access:
    bucket = f"test-{uuid.uuid4().hex}"
    keeper.run(session_s3.make_bucket(bucket))
    return replace(session_s3.access, bucket=bucket)


@pytest.fixture
async def fresh_nats(server_directory: Path) -> AsyncIterator[NatsServer]:
    server = NatsServer(server_directory / "nats")
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def fresh_postgres(server_directory: Path) -> AsyncIterator[PostgresServer]:
    server = PostgresServer(server_directory / "postgres")
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def fresh_s3(server_directory: Path) -> AsyncIterator[S3Server]:
    server = S3Server(server_directory / "s3")
    await server.start()
    yield server
    await server.kill()
