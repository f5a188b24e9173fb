"""`python -m tests.api.fuzz [--requests N] [--seed N]`: requests out of the OpenAPI document, good ones and bad ones, to
all routes, by askers of every role and by some that nobody knows.

Every answer is held against the document: no 5xx, no status, media type, header or field that it does not tell of; and who
has not the role of a route never gets what it gives.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any, get_args
from urllib.parse import unquote
from uuid import uuid4

from requests import Request as Prepared
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from eventstore import migrate
from nats3.access.roles import Role, at_least
from nats3.api.app import build
from nats3.api.door import Needed
from nats3.api.routes import ROUTES
from nats3.dev.postgres_server import PostgresServer
from nats3.job.surveying import WalkBegun, WalkEnded, WalkFound
from tests.api.conftest import Api, running
from tests.api.fuzz_requests import Asked, Known, Pool, pools
from tests.api.test_tokens import admin_of, bearer, token
from tests.api.test_version_2_archive import MISSING, asked, walked
from tests.api.test_version_2_contents import archived
from tests.views.samples import random_load_events, random_store_events

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
LIVING = 40
"""Jobs that requests are about; a new one takes the place of one that is deleted, so that lists stay short."""

AT_ONCE = 4
"""Requests under way: while one waits for Postgres, others are asked and judged."""

REQUESTS_OF_A_CASE = 16
"""So many requests are made of each case that schemathesis thought of."""

ROLES = {f"{entry.method} {entry.path.replace(':path', '')}": entry.role for entry in ROUTES}
"""By method and path as the document writes it."""

_WALK = (WalkBegun(1, "node-a"), WalkFound(tuple(MISSING)), WalkEnded("done", {"chunks": 40}))
_SENT = Prepared("GET", "http://localhost/").prepare()


@dataclass(frozen=True)
class Asker:
    """Somebody with a token, or with none."""

    name: str
    role: Role | None
    headers: list[tuple[bytes, bytes]]

    @property
    def weight(self) -> int:
        """Who is let in has more to ask."""
        return {None: 1, "read": 3, "operate": 4, "admin": 6}[self.role]

    def may(self, role: Needed) -> bool:
        return role == "open" or (self.role is not None and at_least(self.role, role))


@dataclass
class Played:
    """What was asked and answered."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    by_route: dict[str, Counter[int]] = field(default_factory=dict[str, Counter[int]])
    by_asker: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])
    thinking: float = 0.0
    """Seconds of CPU in which cases were made; `seconds` of CPU in which all was asked, answered and judged."""
    asking: float = 0.0

    @property
    def requests(self) -> int:
        return self.statuses.total()

    @property
    def unheard(self) -> list[str]:
        """Routes that gave nobody what they give."""
        told = {
            route
            for route, statuses in self.by_route.items()
            if any(status < HTTPStatus.BAD_REQUEST for status in statuses)
        }
        return sorted(ROLES.keys() - told)


class Fuzz:
    """Askers at one application, which runs on the same loop."""

    def __init__(self, api: Api, seed: int) -> None:
        self._api = api
        self._app = build(api.services)
        self._chance = Random(seed)
        self._seed = seed
        self._known = Known()
        self._askers: list[Asker] = []
        self.played = Played()

    async def play(self, requests: int) -> Played:
        """So many requests, spread over all routes and askers."""
        await self._furnish()
        began = time.process_time()
        made = await asyncio.to_thread(pools, requests // REQUESTS_OF_A_CASE, self._seed)
        self.played.thinking = time.process_time() - began
        line = self._line(made, requests)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(self._ask_all(line))
        self.played.asking = time.process_time() - began - self.played.thinking
        return self.played

    def _line(self, made: list[Pool], requests: int) -> Iterator[tuple[Asked, Asker]]:
        for number in range(requests):
            (asker,) = self._chance.choices(self._askers, [each.weight for each in self._askers])
            yield made[number % len(made)].any(self._chance, self._known), asker

    async def _ask_all(self, line: Iterator[tuple[Asked, Asker]]) -> None:
        for request, asker in line:
            await self._ask(request, asker)

    # --- the world

    async def _furnish(self) -> None:
        """Jobs with histories, chunks with messages, surveys with findings, and a token for every asker."""
        for number in range(LIVING):
            await self._order("store" if number % 2 else "load")
        for number, job in enumerate(self._known.jobs[:10]):
            said = random_store_events if number % 2 else random_load_events
            await self._api.run(job, *said(Random(number), 20))
        for _ in range(3):
            path, _chunk = await archived(self._api)
            self._known.chunks.append(path.rpartition("/")[2])
        for bucket in ("bucket-1", "bucket-2"):
            survey = await asked(self._api, bucket=bucket)
            await walked(self._api, survey, *_WALK[: 1 if bucket == "bucket-2" else 3])
            self._known.surveys.append(survey)
        self._known = replace(self._known, head=int(await self._api.services.log.head()))
        await self._invite()

    async def _invite(self) -> None:
        admin = await admin_of(self._api)
        self._askers = [Asker("nobody", None, []), Asker("a liar", None, _shown("n3_0123456789abcdef_" + "x" * 43))]
        for role in get_args(Role):
            self._askers.append(Asker(role, role, _shown(await token(self._api, role, admin))))
        scope = {"streams": ["jobs"]}
        self._askers.append(
            Asker("operate in a scope", "operate", _shown(await token(self._api, "operate", admin, scope=scope)))
        )
        late = await token(self._api, "admin", admin, expires_in="1h")
        self._api.clock.now += timedelta(hours=2)
        self._askers.append(Asker("an admin too late", None, _shown(late)))
        gone = await token(self._api, "admin", admin)
        self._askers.append(Asker("an admin that was", None, _shown(gone)))
        for text in (gone, await token(self._api, "read", admin)):
            self._known.tokens.append(text.split("_")[1])
        await self._api.client.delete(f"/api/v2/tokens/{gone.split('_')[1]}", headers=bearer(admin))
        self._api.client.headers["Authorization"] = f"Bearer {admin}"

    async def _order(self, kind: str) -> None:
        order = {"kind": kind, "bucket": "bucket-1", "stream" if kind == "store" else "read_stream": "jobs"}
        answer = await self._api.client.post("/api/v2/jobs", json=order)
        self._known.jobs.append(answer.json()["id"])

    async def _replace(self, made: str) -> None:
        """A job that a request made is one to ask about; the one before it goes, so that lists do not grow."""
        place = self._chance.randrange(LIVING)
        gone, self._known.jobs[place] = self._known.jobs[place], made
        await self._api.client.delete(f"/api/v2/jobs/{gone}")

    # --- a request

    async def _ask(self, request: Asked, asker: Asker) -> None:
        answer = await self._answer(request, asker)
        played, status = self.played, answer.status_code
        played.statuses[status] += 1
        played.by_asker[asker.name] += 1
        played.by_route.setdefault(request.route, Counter())[status] += 1
        try:
            request.case.validate_response(answer, checks=CHECKS)
        except BaseExceptionGroup as group:
            played.faults += [f"{asker.name}: {request}: {fault}" for fault in group.exceptions]
        except AssertionError as fault:
            played.faults.append(f"{asker.name}: {request}: {fault}")
        if status < HTTPStatus.BAD_REQUEST and not asker.may(ROLES[request.route]):
            played.faults.append(f"{asker.name} was let in: {request}: {status}")
        if status in (HTTPStatus.OK, HTTPStatus.CREATED) and request.route.endswith(("/job", "/jobs")):
            made = answer.json() if request.method == "POST" else {}
            if "id" in made:  # a dry run makes none
                await self._replace(made["id"])

    async def _answer(self, request: Asked, asker: Asker) -> Response:
        wire = _Wire(request.body)
        headers = [(b"host", b"localhost"), *request.headers, *asker.headers]
        if request.body:
            headers.append((b"content-length", str(len(request.body)).encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(request.path),
            "raw_path": request.path.encode(),
            "query_string": request.query,
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 80),
        }
        async with asyncio.timeout(60):
            await self._app(scope, wire.receive, wire.send)
        return Response(
            wire.status, wire.headers, bytes(wire.body), _SENT, 0.0, verify=False, stream_cut_short=wire.cut
        )


class _Wire:
    """Both ends of one exchange. Who follows the log leaves after its first words."""

    def __init__(self, body: bytes) -> None:
        self._sent: bytes | None = body
        self._over = asyncio.Event()
        self.cut = False
        self.status = 0
        self.headers: dict[str, list[str]] = {}
        self.body = bytearray()

    async def receive(self) -> dict[str, Any]:
        body, self._sent = self._sent, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            for name, value in message["headers"]:
                self.headers.setdefault(name.decode(), []).append(value.decode("latin-1"))
            return
        self.body += message.get("body", b"")
        self.cut = any("event-stream" in value for value in self.headers.get("content-type", ()))
        if self.cut or not message.get("more_body"):
            self._over.set()


def _shown(text: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {text}".encode())]


def told(played: Played, seconds: float) -> str:
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(played.statuses.items()))
    cost = 1000 * played.asking / max(1, played.requests)
    return (
        f"{played.requests} requests by {len(played.by_asker)} askers to {len(played.by_route)} routes in {seconds:.0f} s; "
        f"{played.thinking:.0f} s of CPU to think of them, {cost:.1f} ms of CPU each; {statuses}"
    )


async def fuzzed(directory: Path, requests: int, seed: int) -> tuple[Played, list[str]]:
    """A world of its own; what was played, and what was wrong."""
    async with _database(directory) as url, running(url) as api:
        began = time.monotonic()
        played = await Fuzz(api, seed).play(requests)
        print(told(played, time.monotonic() - began), flush=True)
        return played, [*played.faults, *(f"crashed: {crash!r}" for crash in api.told.crashes)]


@asynccontextmanager
async def _database(directory: Path) -> AsyncIterator[str]:
    server = PostgresServer(directory / "postgres", durable=False)
    await server.start()
    try:
        await asyncio.to_thread(migrate.migrate, server.url)
        yield server.url
    finally:
        await server.kill()


def run(requests: int, seed: int) -> tuple[Played, list[str]]:
    with tempfile.TemporaryDirectory(prefix="nats3-fuzz-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # for the user that Postgres runs as
        return asyncio.run(fuzzed(directory, requests, seed))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.api.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=uuid4().int % 10**6)
    given = parser.parse_args()
    played, faults = run(given.requests, given.seed)
    print(*faults[:20], sep="\n\n")
    print("routes that gave nobody what they give:", ", ".join(played.unheard) or "none")
    print(f"{len(faults)} faults, seed {given.seed}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
