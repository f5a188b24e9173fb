"""A store that reaches SeaweedFS through the fault proxy, with its counters: what tests of this room play in."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from nats3.dev.s3_server import S3Access
from nats3.objects.patient import Patient
from nats3.objects.s3 import S3Settings, S3Store
from nats3.objects.store import Put
from tests.faults.s3_proxy import Rewrite, S3Proxy

BODY = random.Random(1).randbytes(100_000)
SHA = sha256(BODY).hexdigest()
PROBE = 13
"""Requests of a probe of a store that can do all."""


@dataclass
class Counting:
    """A Meter."""

    requests: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    bytes_put: int = 0
    bytes_got: int = 0

    def put(self, size: int) -> None:
        self.bytes_put += size

    def got(self, size: int) -> None:
        self.bytes_got += size

    def request(self, operation: str) -> None:
        self.requests[operation] += 1

    def answered(self, operation: str, seconds: float) -> None:
        assert seconds >= 0
        self.answers[operation] += 1


@dataclass
class Told:
    """A FaultSignal that remembers."""

    failures: list[tuple[str, str, int]] = field(default_factory=list)
    recoveries: list[str] = field(default_factory=list)

    def failed(self, operation: str, reason: str, attempt: int) -> None:
        self.failures.append((operation, reason, attempt))

    def recovered(self, operation: str) -> None:
        self.recoveries.append(operation)


@dataclass
class Scene:
    """A store that reaches SeaweedFS through the proxy; its bucket is probed and the counters stand at zero."""

    proxy: S3Proxy
    store: S3Store
    bucket: str
    meter: Counting
    told: Told = field(default_factory=Told)
    waits: list[float] = field(default_factory=list)
    while_waiting: Callable[[], object] = lambda: None

    async def put(self, key: str = "k", body: bytes = BODY) -> Put:
        return await self.store.put_new(self.bucket, key, body, sha256(body).hexdigest())

    async def get(self, key: str = "k") -> bytes:
        return await self.store.get(self.bucket, key)

    def patient(self) -> Patient:
        return Patient(self.store, self.told, sleep=self._sleep, chance=lambda: 0.5)

    async def _sleep(self, seconds: float) -> None:
        """No time passes; what the test wants to happen meanwhile does."""
        self.waits.append(seconds)
        happening = self.while_waiting()
        if asyncio.iscoroutine(happening):
            await happening


@asynccontextmanager
async def scene_of(s3: S3Access, *rules: Rewrite, **changes: object) -> AsyncIterator[Scene]:
    async with S3Proxy(s3.endpoint, s3.access, s3.secret) as proxy:
        for rule in rules:
            proxy.always(rule)
        meter = Counting()
        settings = S3Settings(proxy.endpoint, s3.region, s3.access, s3.secret, **changes)
        async with S3Store.open(settings, meter) as store:
            await store.abilities(s3.bucket)
            proxy.requests.clear()
            meter.requests.clear()
            meter.answers.clear()
            yield Scene(proxy, store, s3.bucket, meter)


@asynccontextmanager
async def unprobed(s3: S3Access) -> AsyncIterator[tuple[S3Proxy, S3Store]]:
    async with (
        S3Proxy(s3.endpoint, s3.access, s3.secret) as proxy,
        S3Store.open(S3Settings(proxy.endpoint, s3.region, s3.access, s3.secret)) as store,
    ):
        yield proxy, store
