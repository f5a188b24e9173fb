"""Waits out what passes: an Endpoint that tries again, for ever or for a while, and says so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from nats3.errors import Nats3Error, Unavailable
from nats3.objects.outage import QUESTION_S, Outage, Outages
from nats3.objects.store import Endpoint, Listed, ObjectHead, Put
from nats3.objects.translate import Rejected, Unclear

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


class Patient:
    """An Endpoint over another: Unavailable is tried again for ever, every other error is the caller's.

    A store that is away is asked small questions by all who wait for it together (`nats3.objects.outage`), and whoever has this
    one's `outages` waits with us: work flows again as soon as one of them is answered. What the store itself refuses is tried
    again after a wait of its own.
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
        outages: Outages | None = None,
    ) -> None:
        """`attempts` in a row, and what is wrong is the caller's too; None: for ever. Such a one asks for itself alone."""
        self._store = store
        self._signal = signal
        self._backoff = backoff
        self._sleep = sleep
        self._chance = chance
        self._attempts = attempts
        self._outages = outages or Outages(store, sleep)

    def at_most(self, attempts: int) -> Patient:
        """The same with less patience: Unavailable is the caller's after so many attempts in a row."""
        return Patient(
            self._store, self._signal, self._backoff, sleep=self._sleep, chance=self._chance, attempts=attempts
        )

    async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
        """As promised by ObjectStore, however long it takes."""
        return await self._insist("put", bucket, lambda: self._store.put_new(bucket, key, body, sha256), len(body))

    async def get(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> bytes:
        """As promised by ObjectStore, however long it takes."""
        return await self._insist("get", bucket, lambda: self._store.get(bucket, key, start, length))

    async def head(self, bucket: str, key: str) -> ObjectHead:
        """As promised by ObjectStore, however long it takes."""
        return await self._insist("head", bucket, lambda: self._store.head(bucket, key), 0)

    async def list(self, bucket: str, prefix: str, after: str = "") -> AsyncIterator[list[Listed]]:
        """As promised by ObjectStore, however long it takes: goes on after the last key that was given out."""
        pages = self._store.list(bucket, prefix, after)
        tries = self._tries("list", bucket)
        while True:
            await tries.ready()
            try:
                page = await anext(pages, None)
            except Unavailable as fault:
                await tries.failed(fault)
                pages = self._store.list(bucket, prefix, after)
                continue
            tries.answered()
            if page is None:
                return
            after = page[-1].key
            yield page

    async def delete(self, bucket: str, key: str, etag: str | None = None) -> None:
        """As promised by ObjectStore, however long it takes."""
        await self._insist("delete", bucket, lambda: self._store.delete(bucket, key, etag), 0)

    async def bucket_exists(self, bucket: str) -> bool:
        """As promised by Buckets, however long it takes."""
        return await self._insist("head_bucket", bucket, lambda: self._store.bucket_exists(bucket), 0)

    async def _insist(
        self, operation: str, bucket: str, call: Callable[[], Awaitable[T]], sends: int | None = None
    ) -> T:
        """Hurried after an outage where it is known how many bytes it `sends` and it fetches none."""
        tries = self._tries(operation, bucket)
        while True:
            await tries.ready()
            try:
                answer = await _within(tries.hurry(sends), call)
            except Unavailable as fault:
                await tries.failed(fault)
            except Nats3Error:
                tries.answered()
                raise
            else:
                tries.answered()
                return answer

    def _tries(self, operation: str, bucket: str) -> _Tries:
        outage = self._outages.of(bucket) if self._attempts is None else None
        return _Tries(operation, self._signal, self._wait, self._attempts, outage)

    async def _wait(self, attempt: int) -> None:
        await self._sleep(self._backoff.wait(attempt, self._chance()))


class _Hurried(Unavailable):
    """Given up because the store had just come back: that it is there is known."""


class _Tries:
    """The attempts of one call, from 1. What counts for waits are those since the store's last return."""

    def __init__(
        self,
        operation: str,
        signal: FaultSignal,
        wait: Callable[[int], Awaitable[None]],
        limit: int | None,
        outage: Outage | None,
    ) -> None:
        self._operation = operation
        self._signal = signal
        self._wait = wait
        self._limit = limit
        self._outage = outage
        self._returns = outage.returns if outage else 0
        self._count = 0
        self._before = 0
        self._began = _now()

    async def ready(self) -> None:
        """Wait while the store is away, with all who do: a question without an answer is an attempt of each of them."""
        if self._outage is not None:
            while self._outage.is_on and not await self._outage.is_over():
                self._count += 1
                self._signal.failed(self._operation, self._outage.reason, self._count)
            if self._outage.returns != self._returns:
                self._returns, self._before = self._outage.returns, self._count
        self._began = _now()

    def hurry(self, sends: int | None) -> float | None:
        """Seconds that the attempt may take; None: as many as it likes."""
        if self._outage is None or sends is None:
            return None
        return self._outage.hurry(self._count - self._before, sends)

    async def failed(self, fault: Unavailable) -> None:
        """Say so and wait, or raise the fault where this was the last attempt."""
        self._count += 1
        self._signal.failed(self._operation, fault.reason, self._count)
        if self._limit is not None and self._count >= self._limit:
            raise fault
        tried = self._count - self._before
        if self._outage is not None and _is_away(fault) and (tried > 1 or _now() - self._began > QUESTION_S):
            self._outage.begin(fault.reason)
        await self._wait(tried)

    def answered(self) -> None:
        """The store did it, or said why it never will."""
        if self._outage is not None:
            self._outage.worked()
        if self._count:
            self._signal.recovered(self._operation)
            self._count = self._before = 0


async def _within(seconds: float | None, call: Callable[[], Awaitable[T]]) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await call()
    except TimeoutError as late:
        raise _Hurried("s3", f"it is back, and has not answered within {seconds:.1f} s") from late


def _is_away(fault: Unavailable) -> bool:
    """Whether nothing was heard of the store itself."""
    return not isinstance(fault, (Rejected, Unclear, _Hurried))


def _now() -> float:
    return asyncio.get_running_loop().time()
