"""The consumer of one binding: nobody else ever had it, and it counts only while it is as it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nats3.jetstream.errors import MustBind, Reason
from nats3.jetstream.streams import ConsumerInfo, ConsumerSpec, Streams

_JOB = "nats3.job"
_BIND = "nats3.bind"


def marks(job_id: str, fence: int, bind: int) -> dict[str, str]:
    """What a consumer's metadata says of whose it is: a job's, and of which bind."""
    return {_JOB: job_id, _BIND: f"{fence}-{bind}"}


class OwnConsumer:
    """Made of `spec`, whose metadata are `marks`."""

    def __init__(self, streams: Streams, spec: ConsumerSpec) -> None:
        self._streams = streams
        self._spec = spec
        self._made: ConsumerInfo | None = None

    @property
    def name(self) -> str:
        return self._spec.name

    async def make(self) -> None:
        """Raises ConsumerRefused, StreamMissing."""
        self._made = await self._streams.make_consumer(self._spec)

    async def require_unchanged(self) -> None:
        """All that came until now was given by the consumer that we made, unless an edit of it was undone meanwhile:
        the server counts no edits. Raises MustBind.
        """
        self._judge(await self._streams.consumer(self._spec.stream, self.name))

    async def look(self) -> None:
        """`require_unchanged` and `delete_older`, with one request between them where there is nothing to be done."""
        there = await self._streams.consumers(self._spec.stream)
        listed = next((consumer for consumer in there if consumer.name == self.name), None)
        if listed is None:  # a list leaves out a consumer whose server is away
            await self.require_unchanged()
        else:
            self._judge(listed)
        await self._delete_older_of(there)

    def _judge(self, now: ConsumerInfo | None) -> None:
        if now is None or self._made is None or now.created != self._made.created:
            raise MustBind(Reason.CONSUMER_DELETED)
        if now.config != self._made.config:
            keys = now.config.keys() | self._made.config.keys()
            edited = sorted(key for key in keys if now.config.get(key) != self._made.config.get(key))
            raise MustBind(Reason.CONSUMER_EDITED, ", ".join(edited))

    async def delete_older(self) -> int:
        """Delete what earlier activations and binds of this job left behind, or made late; how many there were."""
        return await self._delete_older_of(await self._streams.consumers(self._spec.stream))

    async def _delete_older_of(self, there: Sequence[ConsumerInfo]) -> int:
        job_id, own = self._spec.metadata[_JOB], _place(self._spec.metadata)
        older = [
            consumer.name
            for consumer in there
            if consumer.metadata.get(_JOB) == job_id and consumer.name != self.name and _place(consumer.metadata) < own
        ]
        for name in older:
            await self._streams.delete_consumer(self._spec.stream, name)
        return len(older)


def _place(metadata: Mapping[str, str]) -> tuple[int, int]:
    activation, _, bind = metadata.get(_BIND, "").partition("-")
    return int(activation or 0), int(bind or 0)


async def forget_consumers(streams: Streams, stream: str, job_id: str) -> None:
    """Delete every consumer that any activation of the job made."""
    for consumer in await streams.consumers(stream):
        if consumer.metadata.get(_JOB) == job_id:
            await streams.delete_consumer(stream, consumer.name)
