"""The world outside as the API asks of it: streams, buckets, and the connections that lead to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What an order needs to know of a stream. `retention` is None where it does not exist."""

    exists: bool
    retention: Literal["limits", "interest", "workqueue"] | None = None


class StreamSeen(Protocol):
    """A stream that is there. `created` is in ns, `first` and `last` are seqs (first = last + 1 when it is empty)."""

    @property
    def name(self) -> str: ...

    @property
    def created(self) -> int: ...

    @property
    def retention(self) -> Literal["limits", "interest", "workqueue"]: ...

    @property
    def subjects(self) -> Sequence[str]: ...

    @property
    def messages(self) -> int: ...

    @property
    def first(self) -> int: ...

    @property
    def last(self) -> int: ...


class World(Protocol):
    """What is there outside. None means that nobody answered."""

    async def stream(self, connection: str, name: str) -> StreamFacts | None: ...

    async def is_taken(self, connection: str, subject: str) -> bool | None:
        """Whether a stream takes what is published on `subject`, or on some subject of it where it is a filter."""
        ...

    async def bucket_exists(self, place: str) -> bool | None: ...

    async def every_stream(self, connection: str) -> Sequence[StreamSeen]:
        """Raises Unavailable."""
        ...

    @property
    def nats_names(self) -> frozenset[str]:
        """The connections of NATS that this node has."""
        ...

    @property
    def s3_names(self) -> frozenset[str]:
        """Those of S3."""
        ...
