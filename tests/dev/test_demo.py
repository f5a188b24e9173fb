"""The demo ends with 0 when every byte came back, and sees it when one did not."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

from nats3.dev.demo import Demo
from nats3.dev.demo_api import Api
from nats3.dev.demo_data import Data
from nats3.dev.natswire import Said, Wire

COUNT = 300


def messages() -> list[Said]:
    return [Said(b"x", b"NATS/1.0\r\nN: %d\r\n\r\n" % number, b"payload %d" % number) for number in range(COUNT)]


@dataclass(frozen=True, slots=True)
class Stage:
    """A demo over a stream that holds what a load would have brought back."""

    demo: Demo
    task: Any

    async def verdict(self, came: list[Said]) -> tuple[list[str], int]:
        async for _ in self.demo.wire.publish(came):
            pass
        return await self.demo._compare(self.task)


@pytest.fixture
async def stage(nats_url: str) -> AsyncIterator[Stage]:
    name = f"DEMO{uuid.uuid4().hex}"

    def published() -> list[Said]:
        return [said._replace(subject=name.encode() + b".x") for said in messages()]

    data = Data("test", f"{name}.>", name, lambda: iter(published()), lambda: COUNT)
    async with await Wire.open(nats_url) as wire, Api("http://127.0.0.1:1") as api:
        await wire.api(f"STREAM.CREATE.{name}", {"name": name, "subjects": [data.subjects]})
        demo = Demo(data, wire, api, progress := Progress(disable=True))
        yield Stage(demo, progress.add_task("compare"))
        await wire.api(f"STREAM.DELETE.{name}")


async def test_what_came_back_whole_has_no_difference(stage: Stage) -> None:
    assert await stage.verdict(list(stage.demo.data.messages())) == ([], 0)


SPOILED: dict[str, tuple[Callable[[list[Said]], list[Said]], str, int]] = {
    "one flipped bit": (lambda all_: [all_[0]._replace(payload=b"paylobd 0"), *all_[1:]], "message 1: payload", 1),
    "a header lost": (lambda all_: [*all_[:-1], all_[-1]._replace(header=None)], f"message {COUNT}: header", 1),
    "two swapped": (lambda all_: [all_[1], all_[0], *all_[2:]], "message 1: header", 2),
    "the last missing": (lambda all_: all_[:-1], "1 messages did not come back", 1),
    "one twice": (lambda all_: [*all_, all_[-1]], f"message {COUNT + 1}: nothing was published there", 1),
    "nothing at all": (lambda _: [], f"{COUNT} messages did not come back", COUNT),
}


@pytest.mark.parametrize("case", SPOILED)
async def test_whatever_is_not_as_it_was_is_counted_and_named(stage: Stage, case: str) -> None:
    spoil, named, count = SPOILED[case]
    shown, found = await stage.verdict(spoil(list(stage.demo.data.messages())))
    assert found == count
    assert shown[0].startswith(named)


async def ran(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `nats3 <words>`."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nats3", *words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await program.communicate()
    return program.returncode or 0, out.decode(), err.decode()


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_flights_leave_for_s3_and_come_back_whole(server_directory: Path) -> None:
    code, out, err = await ran("demo", "--messages", "2500")
    assert code == 0, out + err
    assert "EQUAL: all 2,500 messages came back in order, byte for byte" in out
    assert "chunk_flushed" in out
    assert "load_completed" in out


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_lines_of_a_file_leave_for_s3_and_come_back_whole(server_directory: Path) -> None:
    file = server_directory / "lines.ndjson"
    file.write_bytes(b"".join(b'{"n":%d}\n' % number for number in range(100)) + b"\n\xff\x00no JSON at all")
    code, out, err = await ran("demo", "--input", str(file))
    assert code == 0, out + err
    assert "EQUAL: all 102 messages" in out


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_dev_prints_where_all_is_and_ends_with_its_servers(server_directory: Path) -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nats3", "dev", "--data", str(server_directory / "data")),
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdout is not None
    lines = [(await program.stdout.readline()).decode() for _ in range(7)]
    assert [line.split()[0] for line in lines if line.strip()] == ["NATS", "Postgres", "S3", "API", "curl", "-d"]
    async with Api(lines[3].split()[1]) as api:
        made = await api.store({"name": "first", "stream": "ORDERS", "subject": "orders.>", "bucket": "archive"})
        assert (await api.job(made))["name"] == "first"
    program.send_signal(signal.SIGTERM)
    assert await program.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(lines[0].split()[1].rpartition(":")[2]))
