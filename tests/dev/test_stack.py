"""The embedded stack lives and dies with its owner."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nats3.dev import sigv4
from nats3.dev.errors import DirectoryInUse, StartFailed
from nats3.dev.pgwire import ask
from nats3.dev.postgres_server import PostgresServer
from nats3.dev.process import PROC, family
from nats3.dev.stack import Stack

OWNER = """
import asyncio, os, signal, sys
from pathlib import Path
from nats3.dev.stack import Stack

signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it, and we inherit that

async def main():
    async with Stack(Path(sys.argv[1])) as stack:
        print(*(server.pid for server in stack.servers), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

# Starting three servers and a second program takes long on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


async def until(true: Callable[[], bool]) -> None:
    """Ask the system again until it is so; the test's own time-out bounds it."""
    while not true():  # noqa: ASYNC110 - no signal tells of the end of another's child
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """A zombie is dead: nobody here may be its parent."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def owner_of(directory: Path) -> tuple[asyncio.subprocess.Process, list[int]]:
    """Another process that runs a stack in `directory`, and the pids of its servers."""
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(directory), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    return owner, [int(word) for word in (await owner.stdout.readline()).split()]


async def postgres_answers(stack: Stack) -> bool:
    url = stack.postgres_url
    secret = url.partition("nats3:")[2].partition("@")[0]
    return await ask(stack.postgres.port, "nats3", secret, "nats3", "SELECT 1")


async def test_all_three_servers_answer_and_end_with_their_owner(server_directory: Path) -> None:
    async with Stack(server_directory) as stack:
        pids = [pid for server in stack.servers for pid in family(server.pid)]
        assert await postgres_answers(stack)
        assert await sigv4.request(stack.s3, "GET", "/") == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", stack.nats.port)
        assert b'"jetstream":true' in await reader.readline()
        writer.close()
    assert not [pid for pid in pids if alive(pid)]


@pytest.mark.parametrize("name", ["nats", "postgres", "s3_server"])
async def test_a_server_that_dies_comes_back_at_its_old_port(server_directory: Path, name: str) -> None:
    said: list[str] = []
    async with Stack(server_directory, say=said.append) as stack:
        server = getattr(stack, name)
        port, pid = server.port, server.pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda: server.running and server.pid != pid)
        await server.start()  # returns once it answers
        assert server.port == port
    assert [server.name in line for line in said] == [True]


async def test_a_server_that_was_stopped_on_purpose_stays_down(server_directory: Path) -> None:
    async with Stack(server_directory) as stack:
        await stack.nats.stop()
        os.kill(stack.postgres.pid, signal.SIGKILL)
        old = stack.postgres.pid
        await until(lambda: stack.postgres.pid != old)
        assert not stack.nats.running


async def test_two_stacks_at_once_do_not_meet(server_directory: Path) -> None:
    async with Stack(server_directory / "one") as one, Stack(server_directory / "two") as two:
        ports = [server.port for stack in (one, two) for server in stack.servers]
        assert len(set(ports)) == 6
        await one.s3_server.make_bucket("only-in-one")
        assert await sigv4.request(one.s3, "HEAD", "/only-in-one") == 200
        assert await sigv4.request(two.s3, "HEAD", "/only-in-one") == 404


async def test_a_directory_has_one_owner_at_a_time(server_directory: Path) -> None:
    async with Stack(server_directory):
        with pytest.raises(DirectoryInUse):
            async with Stack(server_directory):
                pass


async def test_an_error_of_the_caller_comes_out_as_it_is(server_directory: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Stack(server_directory):
            raise ZeroDivisionError


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_no_server_outlives_an_owner_that_is_ended(server_directory: Path, number: signal.Signals) -> None:
    owner, pids = await owner_of(server_directory)
    members = [member for pid in pids for member in family(pid)]
    owner.send_signal(number)
    await owner.wait()
    await until(lambda: not any(alive(pid) for pid in members))


async def test_the_next_start_ends_what_a_killed_owner_left_frozen(server_directory: Path) -> None:
    owner, pids = await owner_of(server_directory)
    postgres = pids[1]
    members = family(postgres)
    for pid in members:
        os.kill(pid, signal.SIGSTOP)
    owner.kill()
    await owner.wait()
    assert alive(postgres), "frozen, it cannot follow the signal that the kernel sent"
    async with Stack(server_directory) as stack:
        assert not any(alive(pid) for pid in members)
        assert await postgres_answers(stack)


async def test_data_and_a_stale_pid_file_survive_a_crash(server_directory: Path) -> None:
    server = PostgresServer(server_directory / "one")
    await server.start()
    secret = server.url.partition("nats3:")[2].partition("@")[0]
    await ask(server.port, "nats3", secret, "nats3", "CREATE TABLE kept AS SELECT 1")
    await server.kill()
    stale = server_directory / "one" / "data" / "postmaster.pid"
    again = PostgresServer(server_directory / "one")
    async with PostgresServer(server_directory / "other") as other:
        # Its number is another program's by now, and of the same user, which Postgres itself takes for a living owner.
        stale.write_text("\n".join([str(other.pid), *stale.read_text().splitlines()[1:]]))
        async with again:
            assert await ask(again.port, "nats3", secret, "nats3", "SELECT * FROM kept")
        assert other.running


async def test_a_server_that_ends_at_once_says_why(server_directory: Path) -> None:
    server = PostgresServer(server_directory, max_connections=-1)
    with pytest.raises(StartFailed, match="max_connections"):
        await server.start()
