"""Waits out what passes: an Endpoint that tries again, for ever or for a while, and says so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from nats3.errors import Nats3Error, Unavailable
from nats3.objects.store import Endpoint, Listed, ObjectHead, Put

T = TypeVar("T")


class FaultSignal(Protocol):
    """Hears of faults that are being waited out, so that a job can say `degraded` and why."""

    def failed(self, operation: str, reason: str, attempt: int) -> None:
        """Attempt number `attempt`, from 1, of `operation` failed and will be made again."""
        ...

    def recovered(self, operation: str) -> None:
        """The store answers again. Comes once for each call that had failed before."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait: `first` seconds, doubled with each attempt up to `cap`, times a random part of it.

    The cap is 3 s and not the 20 s of the first design: work must flow again within 5 s of the store's return, and that
    is the wait that was just begun plus one connection. The random part spreads the callers; the store sees at most
    the requests in flight that `S3Settings.in_flight` allows.
    """

    first: float = 0.05
    cap: float = 3.0

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds before the attempt after number `attempt` (from 1); `chance` is in [0, 1)."""
        doublings = min(attempt - 1, 32)
        return min(self.cap, self.first * 2**doublings) * chance


_PROBE_S = 2.0
"""How long the store may take to answer a small question."""

_PROBES_APART_S = 0.5


class Patient:
    """An Endpoint over another: Unavailable is tried again for ever, every other error is the caller's.

    A store that takes requests and says nothing holds each for as long as one may be silent, and the one that was sent last before
    its return as well. So once a request took long to fail, the next ones wait until the store has answered a small one.
    """

    def __init__(
        self,
        store: Endpoint,
        signal: FaultSignal,
        backoff: Backoff = Backoff(),
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        attempts: int | None = None,
    ) -> None:
        """`attempts` in a row, and what is wrong is the caller's too; None: for ever."""
        self._store = store
        self._signal = signal
        self._backoff = backoff
        self._sleep = sleep
        self._chance = chance
        self._attempts = attempts
        self._is_silent = False

    def at_most(self, attempts: int) -> Patient:
        """The same with less patience: Unavailable is the caller's after so many attempts in a row."""
        return Patient(
            self._store, self._signal, self._backoff, sleep=self._sleep, chance=self._chance, attempts=attempts
        )

    async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
        """As promised by ObjectStore, however long it takes."""
        return await self._insist("put", bucket, lambda: self._store.put_new(bucket, key, body, sha256))

    async def get(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> bytes:
        """As promised by ObjectStore, however long it takes."""
        return await self._insist("get", bucket, lambda: self._store.get(bucket, key, start, length))

    async def head(self, bucket: str, key: str) -> ObjectHead:
        """As promised by ObjectStore, however long it takes."""
        return await self._insist("head", bucket, lambda: self._store.head(bucket, key))

    async def list(self, bucket: str, prefix: str, after: str = "") -> AsyncIterator[list[Listed]]:
        """As promised by ObjectStore, however long it takes: goes on after the last key that was given out."""
        pages = self._store.list(bucket, prefix, after)
        attempt = 0
        while True:
            await self._until_heard(bucket)
            began = _now()
            try:
                page = await anext(pages, None)
            except Unavailable as fault:
                attempt += 1
                await self._wait("list", fault, attempt, began)
                pages = self._store.list(bucket, prefix, after)
                continue
            if attempt:
                self._signal.recovered("list")
                attempt = 0
            if page is None:
                return
            after = page[-1].key
            yield page

    async def delete(self, bucket: str, key: str, etag: str | None = None) -> None:
        """As promised by ObjectStore, however long it takes."""
        await self._insist("delete", bucket, lambda: self._store.delete(bucket, key, etag))

    async def bucket_exists(self, bucket: str) -> bool:
        """As promised by Buckets, however long it takes."""
        return await self._insist("head_bucket", bucket, lambda: self._store.bucket_exists(bucket))

    async def _insist(self, operation: str, bucket: str, call: Callable[[], Awaitable[T]]) -> T:
        attempt = 0
        while True:
            await self._until_heard(bucket)
            began = _now()
            try:
                answer = await call()
            except Unavailable as fault:
                attempt += 1
                await self._wait(operation, fault, attempt, began)
            except Nats3Error:
                self._answered(operation, attempt)
                raise
            else:
                self._answered(operation, attempt)
                return answer

    async def _wait(self, operation: str, fault: Unavailable, attempt: int, began: float) -> None:
        self._signal.failed(operation, fault.reason, attempt)
        if self._attempts is not None and attempt >= self._attempts:
            raise fault
        if self._attempts is None and _now() - began > _PROBE_S:
            self._is_silent = True
        await self._sleep(self._backoff.wait(attempt, self._chance()))

    async def _until_heard(self, bucket: str) -> None:
        while self._is_silent and not await self._answers(bucket):
            await self._sleep(_PROBES_APART_S)
        self._is_silent = False

    async def _answers(self, bucket: str) -> bool:
        """Whatever it says: who refuses is there."""
        try:
            async with asyncio.timeout(_PROBE_S):
                await self._store.bucket_exists(bucket)
        except (Unavailable, TimeoutError):
            return False
        except Nats3Error:
            return True
        return True

    def _answered(self, operation: str, attempt: int) -> None:
        if attempt:
            self._signal.recovered(operation)


def _now() -> float:
    return asyncio.get_running_loop().time()
