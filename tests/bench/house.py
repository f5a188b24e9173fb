"""The embedded servers, `nats3 serve` as a process of its own, and jobs ordered over HTTP and timed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
from nats.aio.client import Client
from nats.js import JetStreamContext

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.ports import free_port
from nats3.dev.stack import Stack
from tests.bench.machine import Watched
from tests.bench.traffic import acknowledged, connected

CHECKOUT = Path(__file__).parents[2]
"""Whose nats3 is measured: the one beside this file, wherever another is installed."""
BUCKET = "bench"
TARGET = "target"
TARGET_SUBJECT = "target.x"
LARGE, SMALL = 10_000, 1000
"""Messages in a chunk: 20 MB at most in a large one, 1 MB in a small one."""
_WITHIN_S = 120
_LEAST_RATE = 5000
"""Messages a second below which a job is stuck."""
_LOOK_S = 0.02
_STATEMENT = re.compile(rb"LOG:  (?:statement|execute [^:]*): ")


@dataclass(frozen=True, slots=True)
class Timed:
    """What one job did: messages a second, CPU seconds of nats3 for all of it, chunks, bytes of messages and objects."""

    rate: float
    cpu_s: float
    messages: int
    chunks: int
    raw_bytes: int
    stored_bytes: int
    prefix: str


class Refused(Exception):
    """The API said no; the text is its own."""


class Stuck(Exception):
    """A job did not end in time; it says itself why."""

    def __init__(self, job: dict[str, Any]) -> None:
        said = {name: job[name] for name in ("state", "reason", "progress", "last_error")}
        super().__init__(f"the {job['kind']} job {job['name']} did not end within {_WITHIN_S} s: {said}")


class House:
    """Everything that a row needs."""

    def __init__(self, stack: Stack, server: Nats3Server, client: Client, http: httpx2.AsyncClient) -> None:
        self.stack = stack
        self.server = server
        self.http = http
        self.client = client
        self.js: JetStreamContext = client.jetstream()

    @property
    def nats3(self) -> Watched:
        return Watched(self.server.pid)

    async def again(self) -> None:
        """A new process, with nothing in its memory but what a start leaves there."""
        await self.server.stop()
        await self.server.start()

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        answer = await self.http.request(method, self.server.url + path, json=body)
        if answer.is_error:
            raise Refused(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json() if answer.content else None

    async def store(self, stream: str, count: int, chunk: int, *, quiet: bool = False) -> Timed:
        """Archive a stream that holds `count` messages: recorded and acknowledged. `quiet` asks the API nothing meanwhile.

        The clock stops when the last chunk that was full is recorded: a last one that is not waits for its age.
        """
        prefix = f"p{uuid4().hex[:8]}"
        limits = {"max_bytes": 20_000_000 if chunk > SMALL else 1_000_000, "max_count": chunk, "max_age": "1s"}
        order = {"kind": "store", "stream": stream, "bucket": BUCKET, "prefix": prefix, "name": prefix}
        cpu, began = self.nats3.cpu_s(), time.time_ns()
        job = (await self.ask("POST", "/api/v2/jobs", {**order, "limits": limits}))["id"]
        try:
            async with asyncio.timeout(max(_WITHIN_S, count / _LEAST_RATE)):
                while await self._stored(job, stream, quiet=quiet) < count:  # noqa: ASYNC110 - another process's state
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise Stuck(await self.ask("GET", f"/api/v2/jobs/{job}")) from None
        cpu = self.nats3.cpu_s() - cpu
        flushed = await self.flushed(job)
        await self.ask("DELETE", f"/api/v2/jobs/{job}")
        await self.until(lambda: self._has_no_consumer(stream))
        full = [event for event in flushed if event["data"]["sealed_by"] != "age"] or flushed
        seconds = _seconds(full[-1]) - began / 1e9
        return Timed(
            rate=sum(event["data"]["count"] for event in full) / seconds,
            cpu_s=cpu,
            messages=sum(event["data"]["count"] for event in flushed),
            chunks=len(flushed),
            raw_bytes=sum(event["data"]["raw_bytes"] for event in flushed),
            stored_bytes=sum(event["data"]["stored_bytes"] for event in flushed),
            prefix=prefix,
        )

    async def load(self, stored: Timed, stream: str, mode: str = "dedupe") -> Timed:
        """Publish what was stored into the empty target stream, until the target holds all of it."""
        order = {"kind": "load", "bucket": BUCKET, "prefix": stored.prefix, "read_stream": stream, "mode": mode}
        cpu, began = self.nats3.cpu_s(), time.perf_counter()
        job = (await self.ask("POST", "/api/v2/jobs", {**order, "write_subject": TARGET_SUBJECT}))["id"]
        try:
            within_s = max(_WITHIN_S, stored.messages / _LEAST_RATE)
            await self.until(lambda: self._target_holds(stored.messages), within_s)
        except TimeoutError:
            raise Stuck(await self.ask("GET", f"/api/v2/jobs/{job}")) from None
        seconds = time.perf_counter() - began
        await self.until(lambda: self.is_completed(job))
        cpu = self.nats3.cpu_s() - cpu
        return Timed(stored.messages / seconds, cpu, stored.messages, stored.chunks, 0, 0, stored.prefix)

    async def empty_target(self) -> None:
        """A target stream as if nothing had ever been published to it."""
        if TARGET in {info.config.name for info in await self.js.streams_info()}:
            await self.js.delete_stream(TARGET)
        subjects = [f"{TARGET}.>", f"nats3.mark.{TARGET}.>"]
        await self.js.add_stream(name=TARGET, subjects=subjects, allow_atomic=True)

    async def requests(self) -> float:
        """How many requests to S3 nats3 has made."""
        return sum(await self.metric("nats3_s3_requests_total"))

    async def metric(self, name: str) -> list[float]:
        text = (await self.http.get(self.server.url + "/metrics")).text
        return [float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(name + r"[{ ]", line)]

    @asynccontextmanager
    async def statements(self) -> AsyncGenerator[Callable[[], int]]:
        """Counts what Postgres executes meanwhile, by its own log: BEGIN and COMMIT too."""
        await self._log_statements("all")
        log = self.stack.postgres.log
        skip = log.stat().st_size
        try:
            yield lambda: _statements(log, skip)
        finally:
            await self._log_statements("none")

    async def _log_statements(self, which: str) -> None:
        url = self.stack.postgres_url
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(f"ALTER SYSTEM SET log_statement = '{which}'".encode())
            await connection.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(0.2)

    async def _stored(self, job: str, stream: str, *, quiet: bool) -> int:
        floor = await acknowledged(self.js, stream)
        if quiet:
            return floor
        return min(floor, (await self.ask("GET", f"/api/v2/jobs/{job}"))["progress"]["messages"])

    async def flushed(self, job: str) -> list[dict[str, Any]]:
        """The chunks of a store job, as the log recorded them."""
        events = [event async for event in self.items(f"/api/v2/events?entity=run/{job}&limit=1000")]
        return [event for event in events if event["type"] == "chunk_flushed"]

    async def items(self, address: str | None) -> AsyncGenerator[dict[str, Any]]:
        """Everything that a listing tells, page after page."""
        while address:
            answer = await self.http.get(self.server.url + address)
            answer.raise_for_status()
            for item in answer.json()["items"]:
                yield item
            address = answer.links.get("next", {}).get("url")

    async def has_consumer(self, stream: str) -> bool:
        """Whether a job has bound it."""
        return bool(await self.js.consumers_info(stream))

    async def _has_no_consumer(self, stream: str) -> bool:
        return not await self.has_consumer(stream)

    async def _target_holds(self, count: int) -> bool:
        """Markers of an atomic load do not count."""
        state = (await self.js.stream_info(TARGET, subjects_filter=TARGET_SUBJECT)).state
        return (state.subjects or {}).get(TARGET_SUBJECT, 0) >= count

    async def is_completed(self, job: str) -> bool:
        return (await self.ask("GET", f"/api/v2/jobs/{job}"))["state"] == "completed"

    async def until(self, condition: Callable[[], Coroutine[None, None, bool]], within_s: float = _WITHIN_S) -> None:
        """Look again and again. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not await condition():  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(_LOOK_S)


def _seconds(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["recorded_at"]).timestamp()


def _statements(log: Path, skip: int) -> int:
    with log.open("rb") as file:
        file.seek(skip)
        return len(_STATEMENT.findall(file.read()))


@asynccontextmanager
async def housed(directory: Path) -> AsyncGenerator[House]:
    """All servers below `directory`, which others than us can enter."""
    async with Stack(directory) as stack:
        told = environment("", stack.nats_url, stack.postgres_url, stack.s3)
        server = Nats3Server(directory / "nats3", {**told, "PYTHONPATH": str(CHECKOUT)})
        server.port = free_port()  # the usual one may be another nats3's, which would answer in its place
        await stack.s3_server.make_bucket(BUCKET)
        await server.start()
        client = await connected(stack.nats_url)
        try:
            async with httpx2.AsyncClient(timeout=60, trust_env=False) as http:
                yield House(stack, server, client, http)
        finally:
            await client.close()
            await server.stop()
