"""`python -m tests.api.fuzz [--requests N] [--seed N]`: requests out of the OpenAPI document, good ones and bad ones, to all routes.

Every answer is held against the document: no 5xx, no status, media type, header or field that it does not tell of.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import httpx2
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from eventstore import migrate
from nats3.api.openapi import document
from nats3.api.routes import ROUTES
from nats3.dev.postgres_server import PostgresServer
from tests.api.conftest import Api, running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
LIVING = 40
"""Jobs that requests are about; as many again are made by the requests themselves."""


@dataclass
class Played:
    """What was asked and answered."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    by_route: dict[str, Counter[int]] = field(default_factory=dict[str, Counter[int]])
    faults: list[str] = field(default_factory=list[str])

    @property
    def requests(self) -> int:
        return self.statuses.total()


def strict(described: dict[str, Any]) -> dict[str, Any]:
    """The document with every answer closed: here a field that it does not tell of is a fault."""
    closed = copy.deepcopy(described)
    del closed["components"]["securitySchemes"]  # the client shows a token of its own; none is to be made up
    for methods in closed["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    for schema in closed["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return closed


class Fuzz:
    """One client that asks from a thread of its own; the application runs on the loop."""

    def __init__(self, api: Api, loop: asyncio.AbstractEventLoop, seed: int) -> None:
        self._api = api
        self._loop = loop
        self._chance = Random(seed)
        self._seed = seed
        self.jobs: list[str] = []
        self.played = Played()

    def play(self, requests: int) -> Played:
        """About so many requests, spread over all routes, half of them as described and half not."""
        schema = schemathesis.openapi.from_dict(strict(document(ROUTES)))
        operations = [result.ok() for result in schema.get_all_operations()]
        self._sign_in()
        for _ in range(LIVING):
            self._order()
        each = max(1, requests // (2 * len(operations)))
        for operation in operations:
            self._ask_for(operation, GenerationMode.POSITIVE, each)
            if operation.query or len(operation.body) > 0:
                self._ask_for(operation, GenerationMode.NEGATIVE, each)
        return self.played

    def _sign_in(self) -> None:
        """The first token that a request makes would lock out all that come after it."""
        made = asyncio.run_coroutine_threadsafe(
            self._api.client.post("/api/v2/tokens", json={"name": "fuzz", "role": "admin"}), self._loop
        ).result()
        self._api.client.headers["Authorization"] = f"Bearer {made.json()['token']}"

    def _ask_for(self, operation: Any, mode: GenerationMode, count: int) -> None:
        strategy = operation.as_strategy(generation_mode=mode)

        @seeded(self._seed)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def ask(case: Any) -> None:
            self._ask(case)

        with suppress(Unsatisfiable):  # it found no way to get this one wrong
            ask()

    def _ask(self, case: Any) -> None:
        self._aim(case)
        sent = case.as_transport_kwargs(base_url="http://localhost")
        answer = self._send(sent)
        self.played.statuses[answer.status_code] += 1
        route = f"{case.method} {case.operation.path}"
        self.played.by_route.setdefault(route, Counter())[answer.status_code] += 1
        if answer.status_code in (200, 201) and case.method == "POST" and route.endswith(("/job", "/jobs")):
            self.jobs[self._chance.randrange(len(self.jobs))] = answer.json()["id"]
        try:
            case.validate_response(answer, checks=CHECKS)
        except BaseExceptionGroup as group:
            self.played.faults += [f"{sent}: {fault}" for fault in group.exceptions]
        except AssertionError as fault:
            self.played.faults.append(f"{sent}: {fault}")

    def _aim(self, case: Any) -> None:
        """At something that is there, often; and at no answer that never ends."""
        if "follow" in (case.query or {}):
            case.query["follow"] = "false"
        if self._chance.random() < 0.6:
            if "{id}" in case.operation.path and "/jobs/" in case.operation.path:
                case.path_parameters["id"] = self._job()
            elif "{id}" in case.operation.path and "/chunks/" in case.operation.path:
                case.path_parameters["id"] = str(self._chance.randrange(1, 2000))
            elif "/entities/" in case.operation.path:
                case.path_parameters["id"] = f"{self._chance.choice(('job', 'run'))}/{self._job()}"
            elif "{name}" in case.operation.path:
                case.path_parameters["name"] = self._chance.choice(("jobs", "chunks", "coverage"))
            elif "{position}" in case.operation.path:
                case.path_parameters["position"] = str(self._chance.randrange(1, 2000))
            if "job_id" in (case.query or {}):
                case.query["job_id"] = self._job()

    def _job(self) -> str:
        return self._chance.choice(self.jobs)

    def _order(self) -> None:
        kind = self._chance.choice(("store", "load"))
        order = {"kind": kind, "bucket": "bucket-1", "stream" if kind == "store" else "read_stream": "jobs"}
        answer = self._send({"method": "POST", "url": "http://localhost/api/v2/jobs", "json": order})
        self.jobs.append(answer.json()["id"])

    def _send(self, sent: dict[str, Any]) -> httpx2.Response:
        content = sent.get("data")
        request = self._api.client.request(
            sent["method"],
            sent["url"],
            params=sent.get("params"),
            headers=sent.get("headers"),
            **({"json": sent["json"]} if "json" in sent else {"content": content}),
        )
        return asyncio.run_coroutine_threadsafe(request, self._loop).result(60)


async def fuzzed(api: Api, requests: int, seed: int) -> Played:
    fuzz = Fuzz(api, asyncio.get_running_loop(), seed)
    return await asyncio.to_thread(fuzz.play, requests)


def told(played: Played, seconds: float) -> str:
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(played.statuses.items()))
    return f"{played.requests} requests in {seconds:.0f} s ({played.requests / seconds:.0f}/s); {statuses}"


async def _alone(directory: Path, requests: int, seed: int) -> int:
    server = PostgresServer(directory / "postgres", durable=False)
    await server.start()
    try:
        await asyncio.to_thread(migrate.migrate, server.url)
        async with running(server.url) as api:
            began = time.monotonic()
            played = await fuzzed(api, requests, seed)
            print(told(played, time.monotonic() - began))
            faults = [*played.faults, *(f"crashed: {crash!r}" for crash in api.told.crashes)]
    finally:
        await server.kill()
    print(*faults[:20], sep="\n\n")
    print(f"{len(faults)} faults, seed {seed}")
    return 1 if faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.api.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=uuid4().int % 10**6)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nats3-fuzz-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # for the user that Postgres runs as
        return asyncio.run(_alone(directory, asked.requests, asked.seed))


if __name__ == "__main__":
    sys.exit(main())
