"""What is there outside, as the API asks it: streams, buckets, and whether anybody answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from eventstore import EventStore, LogUnavailable
from nats3.errors import Nats3Error, Unavailable
from nats3.jetstream.streams import Retention, StreamInfo, StreamMissing, Streams
from nats3.objects.store import AccessDenied
from nats3.place import MAIN, place_of

_PATIENCE_S = 3.0
_CHECK_S = 2.0
"""For each that is asked whether it answers: `check` has 3 s, and what hangs needs some time to be let go of."""

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
        streams: Mapping[str, Streams],
        bucket_exists: Callable[[str], Awaitable[bool]],
        s3_names: Collection[str] = (MAIN,),
    ) -> None:
        """`unmade` names the views that nobody can read yet; `streams` are those of each connection of NATS."""
        self._store = store
        self._unmade = unmade
        self._streams = streams
        self._bucket_exists = bucket_exists
        self.nats_names = frozenset(streams)
        self.s3_names = frozenset(s3_names)

    async def stream(self, connection: str, name: str) -> StreamSeen | None:
        """None when nobody answers, or this node has no such connection."""
        streams = self._streams.get(connection)
        if streams is None:
            return None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return StreamSeen(exists=True, retention=(await streams.info(name)).retention)
        except StreamMissing:
            return StreamSeen(exists=False)
        except (Nats3Error, TimeoutError):
            return None

    async def is_taken(self, connection: str, subject: str) -> bool | None:
        """Whether a stream takes what is published on `subject`; None when nobody answers, or there is no such connection."""
        streams = self._streams.get(connection)
        if streams is None:
            return None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return bool(await streams.by_subject(subject))
        except (Nats3Error, TimeoutError):
            return None

    async def every_stream(self, connection: str = MAIN) -> list[StreamInfo]:
        """All streams of the account. Raises Unavailable."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._streams[connection].every()
        except TimeoutError:
            raise Unavailable("nats", f"no answer within {_PATIENCE_S:g} s") from None

    async def bucket_exists(self, place: str) -> bool | None:
        """None when nobody answers, or may not say."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._bucket_exists(place)
        except (Nats3Error, TimeoutError):
            return None

    async def check(self) -> Mapping[str, str | None]:
        """What is wrong with each, None where it answers; a connection with a name stands as `s3.cold`."""
        asks = {"postgres": self._ask_postgres}
        asks |= {_called("nats", name): partial(self._ask_nats, name) for name in self.nats_names}
        asks |= {_called("s3", name): partial(self._ask_s3, name) for name in self.s3_names}
        async with asyncio.TaskGroup() as tasks:
            asked = {called: tasks.create_task(_fault(ask)) for called, ask in asks.items()}
        return {called: task.result() for called, task in asked.items()}

    async def _ask_nats(self, name: str) -> None:
        await self._streams[name].by_subject("nats3.ready")

    async def _ask_postgres(self) -> None:
        await self._store.head()
        if unmade := await self._unmade():
            raise LogUnavailable(f"views are being made: {', '.join(sorted(unmade))}")

    async def _ask_s3(self, name: str) -> None:
        try:
            await self._bucket_exists(place_of(name, _ANY_BUCKET))
        except AccessDenied:
            return


def _called(kind: str, name: str) -> str:
    return kind if name == MAIN else f"{kind}.{name}"


async def _fault(ask: Callable[[], Awaitable[None]]) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_S):
            await ask()
    except TimeoutError:
        return f"no answer within {_CHECK_S:g} s"
    except LogUnavailable as away:
        return away.reason
    except Unavailable as away:
        return away.reason
    except Nats3Error as fault:
        return str(fault)
    return None
