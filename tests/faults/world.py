"""What a row of the matrix plays in: real servers, one `nats3 serve` as a program, and its public API.

Of the product only nats3.dev is used, to start and to hurt the servers.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2
import psycopg

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.ports import own_port
from nats3.dev.s3_server import S3Access
from tests.faults import checker
from tests.faults.checker import Archive, Bucket, Log, Verdict
from tests.faults.ledger import Ledger, messages
from tests.faults.plain_nats import Kept, Plain
from tests.faults.plain_nats import Refused as Denied
from tests.faults.servers import Servers

LOOK_S = 0.05
CODE = os.environ.get("FAULTS_PYTHONPATH")
"""Where another checkout of the product lies that is to be played with."""
TREE = Path(CODE) if CODE else Path(__file__).parents[2]

Answer = dict[str, Any]


class Failed(AssertionError):
    """A row did not hold."""


class Refused(Failed):
    """The API said no."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


@dataclass
class World:
    """One row's share of the servers: a database, a bucket and streams of its own, and one nats3."""

    servers: Servers
    directory: Path
    seed: int
    name: str
    database: str
    verdict: Verdict = field(default_factory=Verdict)
    notes: list[str] = field(default_factory=list)
    nodes: list[Nats3Server] = field(default_factory=list)
    _plain: Plain | None = None
    _bucket: Bucket | None = None
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.directory / "ledger")

    # --- names

    @property
    def source(self) -> str:
        return f"S{self.name}"

    @property
    def target(self) -> str:
        return f"T{self.name}"

    @property
    def bucket_name(self) -> str:
        return f"b-{self.name.lower()}"

    @property
    def subject(self) -> bytes:
        """Of the source; what stands behind is free."""
        return b"s.%b.{}" % self.name.encode()

    @property
    def filter(self) -> str:
        return f"s.{self.name}.>"

    @property
    def write_subject(self) -> str:
        return f"t.{self.name}"

    # --- parts

    @property
    def s3(self) -> S3Access:
        return self.servers.s3.access

    @property
    def postgres_url(self) -> str:
        return self.servers.postgres.url_of(self.database)

    @property
    def log(self) -> Log:
        return Log(self.postgres_url)

    @property
    def bucket(self) -> Bucket:
        if self._bucket is None:
            self._bucket = Bucket(self.s3.endpoint, self.s3.access, self.s3.secret)
        return self._bucket

    @property
    def node(self) -> Nats3Server:
        return self.nodes[0]

    async def nats(self) -> Plain:
        """A connection that stands; made anew after an outage."""
        try:
            if self._plain is not None:
                await self._plain.api("INFO", within=2.0)
                return self._plain
        except (OSError, Denied):  # a cluster that elects says no
            pass
        if self._plain is not None:
            await self._plain.close()
        self._plain = await Plain.connect(self.servers.nats.url)
        return self._plain

    def node_over(
        self, nats_url: str = "", postgres_url: str = "", s3: S3Access | None = None, **more: str
    ) -> Nats3Server:
        """Another `nats3 serve`, not started yet, perhaps over proxies; `more` is of its environment."""
        settings = environment("", nats_url or self.servers.nats.url, postgres_url or self.postgres_url, s3 or self.s3)
        settings |= ({"PYTHONPATH": CODE} if CODE else {}) | more
        node = Nats3Server(self.directory / f"nats3-{len(self.nodes)}", settings)
        node.port = own_port(node)  # not the usual one: somebody else's nats3 may answer there
        self.nodes.append(node)
        return node

    # --- streams

    async def make_stream(self, name: str = "", **config: Any) -> Answer:
        """The source, unless named otherwise."""
        nats = await self.nats()
        name = name or self.source
        subjects = [self.filter] if name == self.source else [self.write_subject]
        return await nats.api(f"STREAM.CREATE.{name}", {"name": name, "subjects": subjects, **config})

    async def make_target(self, **config: Any) -> Answer:
        return await self.make_stream(self.target, **config)

    async def publish(self, count: int, *, size: int = 120, within: float = 10.0) -> None:
        """That many more messages to the source, through the ledger."""
        nats = await self.nats()
        made = messages(self.subject, count, len(self.ledger.entries), size=size, seed=self.seed)
        await self.ledger.publish(nats, made, within=within)

    async def believe_the_stream(self) -> None:
        """Put what the source shows into the ledger: the server takes an inline status and some lines off by itself."""
        kept = {each.seq: each for each in await self.read(self.source)}
        for entry in self.ledger.acknowledged:
            shown = kept[entry.seq or 0]
            self.ledger.entries[entry.n] = replace(
                entry, subject=shown.subject, header=shown.header, payload=shown.payload
            )

    async def read(self, stream: str) -> list[Kept]:
        nats = await self.nats()
        return [kept async for kept in nats.read(stream)]

    # --- the API

    async def call(
        self, method: str, path: str, body: object = None, node: Nats3Server | None = None, key: str = ""
    ) -> Any:
        """One call of the public API; the body of the answer. Raises Refused unless it is 2xx. `key`: done once."""
        headers = {"Idempotency-Key": key} if key else {}
        async with httpx2.AsyncClient(base_url=(node or self.node).url, timeout=20, headers=headers) as client:
            answer = (
                await client.request(method, path, json=body)
                if body is not None
                else await client.request(method, path)
            )
        if answer.status_code >= 300:
            raise Refused(answer.status_code, f"{method} {path}: {answer.status_code} {answer.text[:400]}")
        return answer.json() if answer.content else None

    async def store(self, *, max_count: int = 100, max_age: str = "1s", **order: Any) -> str:
        """Order a store job of the source; its id."""
        body = {
            "kind": "store",
            "name": f"store-{self.name}",
            "stream": self.source,
            "bucket": self.bucket_name,
            "limits": {"max_bytes": 1_000_000, "max_count": max_count, "max_age": max_age},
            **order,
        }
        return (await self.call("POST", "/api/v2/jobs", body))["id"]

    async def load(self, key: str = "", /, **order: Any) -> str:
        body = {
            "kind": "load",
            "name": f"load-{self.name}",
            "read_stream": self.source,
            "bucket": self.bucket_name,
            "write_subject": self.write_subject,
            **order,
        }
        return (await self.call("POST", "/api/v2/jobs", body, key=key))["id"]

    async def job(self, job: str) -> Answer:
        return await self.call("GET", f"/api/v2/jobs/{job}")

    async def word(self, job: str, kind: str) -> str:
        """The state in version 1's words."""
        return (await self.call("GET", f"/{kind}/job?job_id={job}"))["status"]

    # --- waiting

    async def until(self, what: str, holds: Callable[[], Awaitable[object]], within: float = 30.0) -> float:
        """Seconds until it held. Raises Failed when it does not; what cannot be asked just now does not hold."""
        began = monotonic()
        last: object = None
        while monotonic() - began < within:
            try:
                last = await holds()
                if last:
                    return monotonic() - began
            except (OSError, httpx2.HTTPError, Failed, psycopg.Error, TimeoutError) as error:
                last = error
            await asyncio.sleep(LOOK_S)
        raise Failed(f"not within {within:.0f} s: {what}; last: {str(last)[:300]}")

    async def until_bound(self) -> None:
        """The source has a consumer: from now on an interest stream keeps what is published."""

        async def bound() -> bool:
            return (await (await self.nats()).api(f"STREAM.INFO.{self.source}"))["state"]["consumer_count"] > 0

        await self.until("there is a consumer", bound)

    async def until_stored(self, job: str, count: int | None = None, within: float = 30.0) -> float:
        """Until so many messages are recorded: all that the stream took, unless said otherwise."""
        if count is None:
            count = len(self.ledger.acknowledged)
        return await self.until(f"{count} messages archived", lambda: self._is_stored(job, count), within)

    async def _is_stored(self, job: str, count: int) -> bool:
        found = (await self.job(job))["progress"]["messages"]
        if found >= count:
            return True
        raise Failed(f"{found} are archived")

    async def until_word(self, job: str, kind: str, word: str, within: float = 30.0) -> float:
        async def says() -> bool:
            said = await self.word(job, kind)
            if said != word:
                raise Failed(f"{said}; {(await self.job(job))['reason']}")
            return True

        return await self.until(f"{kind} job says {word}", says, within)

    async def until_degraded(self, job: str, within: float = 30.0) -> float:
        async def is_degraded() -> bool:
            said = await self.job(job)
            if said["state"] != "degraded":
                raise Failed(f"{said['state']}; {said['reason']}")
            return True

        return await self.until(f"{job} is degraded", is_degraded, within)

    async def count(self, stream: str) -> int:
        return (await (await self.nats()).api(f"STREAM.INFO.{stream}"))["state"]["messages"]

    async def until_count(self, stream: str, count: int, within: float = 30.0) -> float:
        async def has() -> bool:
            found = await self.count(stream)
            if found < count:
                raise Failed(f"{found} are there")
            return True

        return await self.until(f"{stream} has {count} messages", has, within)

    async def stays_running(self, job: str, kind: str, seconds: float, *, or_done: bool = False) -> None:
        """Look again and again: the API answers `Running`, or not at all while Postgres is away; never anything else.

        `or_done`: what it had read before may have been enough to end.
        """
        fine = {"Running", "Success"} if or_done else {"Running"}
        end = monotonic() + seconds
        while monotonic() < end:
            try:
                word = await self.word(job, kind)
            except (OSError, httpx2.HTTPError, Failed):
                word = "Running"
            if word not in fine:
                raise Failed(f"the {kind} job says {word} during an outage: {await self.job(job)}")
            await asyncio.sleep(0.5)

    def note(self, text: str) -> None:
        self.notes.append(text)

    # --- checking

    def archive(self, job: str, *, deleted: bool = False) -> Archive:
        return checker.archive(self.log, self.bucket, job, self.verdict, deleted=deleted)

    async def check_store(self, job: str, *, stream: bool = True) -> Archive:
        """Everything that was acknowledged is archived as it should be."""
        found = await asyncio.to_thread(self.archive, job)
        checker.stored(self.ledger.entries, found, self.verdict)
        if stream:
            checker.as_in_stream(await self.read(self.source), found, self.verdict, found.lives[-1]["ordinal"])
        self.hold()
        return found

    async def check_load(
        self, planned: Sequence[tuple[bytes, bytes | None, bytes]], *, same: bool = False, displaced: int = 0
    ) -> None:
        target = [kept for kept in await self.read(self.target) if not kept.subject.startswith(b"nats3.mark.")]
        subject = None if same else self.write_subject.encode()
        checker.loaded(planned, target, self.verdict, subject, displaced=displaced)
        self.hold()

    def hold(self) -> None:
        if self.verdict.wrong:
            raise Failed(str(self.verdict))

    def last_lines(self) -> str:
        """What the nodes said last."""
        texts = []
        for node in self.nodes:
            if node.log.exists():
                texts += [f"--- {node.log}", *node.log.read_text("utf-8", "replace").splitlines()[-15:]]
        return "\n".join(texts)

    def bugs(self) -> list[str]:
        """Reasons why an actor had to be started again that are nobody's fault but the product's."""
        lines = [line for node in self.nodes if node.log.exists() for line in node.log.read_text("utf-8").splitlines()]
        said = [json.loads(line) for line in lines if line.startswith("{") and '"actor ' in line]
        restarts = [each for each in said if each["event"] == "actor restarted" and each["kind"] == "bug"]
        return [each["reason"] for each in restarts] + [
            each.get("exception", "")[-300:] for each in said if each["event"] == "actor failed"
        ]

    def sessions(self) -> str:
        """What Postgres is doing for whom, where it can be asked."""
        try:
            rows = self.log.ask(
                "SELECT application_name, state, wait_event, now() - state_change AS since, left(query, 100) AS query"
                " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND (state <> 'idle' OR wait_event_type = 'Lock')"
            )
        except psycopg.Error as error:
            return f"no answer from Postgres: {error}"
        return "\n".join(str(row) for row in rows)

    async def forget(self) -> None:
        """Close what leads to the servers, so that the next one who asks goes to those of then."""
        plain, self._plain = self._plain, None
        bucket, self._bucket = self._bucket, None
        if plain is not None:
            await plain.close()
        if bucket is not None:
            bucket.close()

    async def close(self) -> None:
        for node in self.nodes:
            node.resume()
            await node.kill()
        await self.forget()
        self.ledger.close()
