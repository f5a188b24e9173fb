"""What is there outside, as the API asks it: streams, buckets, and whether anybody answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from eventstore import EventStore, LogUnavailable
from nats3.errors import Nats3Error, Unavailable
from nats3.jetstream.streams import Retention, StreamInfo, StreamMissing, Streams
from nats3.objects.store import AccessDenied

_PATIENCE_S = 3.0
_ANY_BUCKET = "nats3-ready"
"""Whether it exists does not matter: any answer says that the store is there."""


@dataclass(frozen=True, slots=True)
class StreamSeen:
    """`retention` is None where the stream does not exist."""

    exists: bool
    retention: Retention | None = None


class Outside:
    """The world and its readiness."""

    def __init__(
        self,
        store: EventStore,
        unmade: Callable[[], Awaitable[Collection[str]]],
        streams: Streams,
        bucket_exists: Callable[[str], Awaitable[bool]],
    ) -> None:
        """`unmade` names the views that nobody can read yet."""
        self._store = store
        self._unmade = unmade
        self._streams = streams
        self._bucket_exists = bucket_exists

    async def stream(self, name: str) -> StreamSeen | None:
        """None when nobody answers."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return StreamSeen(exists=True, retention=(await self._streams.info(name)).retention)
        except StreamMissing:
            return StreamSeen(exists=False)
        except (Nats3Error, TimeoutError):
            return None

    async def every_stream(self) -> list[StreamInfo]:
        """All streams of the account. Raises Unavailable."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._streams.every()
        except TimeoutError:
            raise Unavailable("nats", f"no answer within {_PATIENCE_S:g} s") from None

    async def bucket_exists(self, name: str) -> bool | None:
        """None when nobody answers, or may not say."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._bucket_exists(name)
        except (Nats3Error, TimeoutError):
            return None

    async def check(self) -> Mapping[str, str | None]:
        """What is wrong with each, None where it answers."""
        async with asyncio.TaskGroup() as tasks:
            asked = {
                "nats": tasks.create_task(_fault(self._ask_nats)),
                "postgres": tasks.create_task(_fault(self._ask_postgres)),
                "s3": tasks.create_task(_fault(self._ask_s3)),
            }
        return {name: task.result() for name, task in asked.items()}

    async def _ask_nats(self) -> None:
        await self._streams.by_subject("nats3.ready")

    async def _ask_postgres(self) -> None:
        await self._store.head()
        if unmade := await self._unmade():
            raise LogUnavailable(f"views are being made: {', '.join(sorted(unmade))}")

    async def _ask_s3(self) -> None:
        try:
            await self._bucket_exists(_ANY_BUCKET)
        except AccessDenied:
            return


async def _fault(ask: Callable[[], Awaitable[None]]) -> str | None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await ask()
    except TimeoutError:
        return f"no answer within {_PATIENCE_S:g} s"
    except LogUnavailable as away:
        return away.reason
    except Unavailable as away:
        return away.reason
    except Nats3Error as fault:
        return str(fault)
    return None
