"""How far a job is behind is the server's word, asked for only while there is something to ask about."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typing_extensions import override

from nats3.errors import Unavailable
from nats3.jetstream.memory import MemoryJetStream, MemoryStreams
from nats3.jetstream.streams import ConsumerInfo, ConsumerSpec
from nats3.job.order import StoreOrder
from nats3.work.backlog import Backlog

SECOND = 1_000_000_000


@dataclass
class Heard:
    lags: list[tuple[str, str, int, float]] = field(default_factory=list[tuple[str, str, int, float]])

    def lag(self, job: str, stream: str, pending: int, oldest: float) -> None:
        self.lags.append((job, stream, pending, oldest))


class World:
    """A stream, its consumer and a job that stands at `cursor`."""

    def __init__(self, subject: str = "") -> None:
        self.server = MemoryJetStream()
        self.server.make_stream("S", ["s.>"])
        self.heard = Heard()
        self.state = SimpleNamespace(cursor=0)
        self.subject = subject

    async def backlog(self, streams: MemoryStreams | None = None) -> Backlog:
        spec = ConsumerSpec("S", "c", self.subject, 0, "all", 30, None)
        await self.server.streams.make_consumer(spec)
        bound, run = SimpleNamespace(consumer=SimpleNamespace(name="c")), SimpleNamespace(state=self.state)
        order = StoreOrder("j", "S", self.subject, "b")
        told = streams or self.server.streams
        return Backlog(order, cast("Any", bound), cast("Any", run), told, cast("Any", self.heard))

    async def tell(self, backlog: Backlog) -> tuple[int, float]:
        await backlog.tell(await self.server.streams.info("S"))
        return self.heard.lags[-1][2:]


async def test_messages_wait_until_they_are_acknowledged_and_the_oldest_has_the_age_of_the_server() -> None:
    world = World()
    backlog = await world.backlog()
    for _ in range(3):
        world.server.publish("s.1")
        world.server.advance(SECOND)
    source = world.server.source("S", "c")
    source.ask(2, 1 << 20)
    await source.receive()
    pending, oldest = await world.tell(backlog)
    assert pending == 3
    assert oldest == pytest.approx(3, abs=0.1)
    await source.ack_up_to(2)
    world.state.cursor = 2
    pending, oldest = await world.tell(backlog)
    assert pending == 1
    assert oldest == pytest.approx(1, abs=0.1)


async def test_what_the_job_does_not_want_is_no_backlog() -> None:
    world = World("s.mine")
    backlog = await world.backlog()
    world.server.publish("s.other")
    assert await world.tell(backlog) == (0, 0)
    world.server.publish("s.mine")
    assert (await world.tell(backlog))[0] == 1


async def test_nobody_is_asked_while_all_is_archived_and_a_silent_server_changes_nothing() -> None:
    class Silent(MemoryStreams):
        @override
        async def consumer(self, stream: str, name: str) -> ConsumerInfo | None:
            raise Unavailable("nats", "no answer")

    world = World()
    backlog = await world.backlog(Silent(world.server))
    assert await world.tell(backlog) == (0, 0)
    world.server.publish("s.1")
    await backlog.tell(await world.server.streams.info("S"))
    assert world.heard.lags == [("j", "S", 0, 0)]
