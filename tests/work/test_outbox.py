"""Events go into their stream once each in the order of positions, whoever else publishes there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from eventstore import Append, Fence, MemoryStore, NewEvent, Position, Recorded, Version
from eventstore.relay import NotKept
from nats3.jetstream import api
from nats3.jetstream.connection import Connection
from nats3.jetstream.server import NatsJetStream
from nats3.jetstream.settings import NatsSettings
from nats3.work.outbox import Mailbox, Outbox, Topics

LOG = "5d3f8a52-6a4e-4a55-8fd8-3f5bd1c3b0a1"
JOB = uuid4()


@dataclass
class Scene:
    connection: Connection
    js: NatsJetStream
    store: MemoryStore
    stream: str

    def outbox(self, *, make: bool = True) -> Outbox:
        return Outbox(self.js, Mailbox(self.stream, f"{self.stream}.event", make), LOG, Topics(self.store))

    async def ready(self) -> Outbox:
        """An outbox whose stream is there."""
        outbox = self.outbox()
        with pytest.raises(NotKept, match="no stream takes"):
            await outbox.take(events(1))
        return outbox

    async def found(self) -> list[str]:
        """Ids of the messages of the stream, in their order."""
        return [(each.id or b"?").decode() async for page in self.js.streams.tail(self.stream, 1) for each in page]


@pytest.fixture
async def scene(nats_url: str) -> AsyncIterator[Scene]:
    store = MemoryStore()
    created = NewEvent("job_created", {"kind": "store", "order": {"name": "orders"}})
    await store.append([Append(f"job/{JOB}", Version(0), Fence(0), (created,))])
    async with Connection.open(NatsSettings(nats_url), 10) as connection:
        yield Scene(connection, NatsJetStream(connection), store, f"E{uuid4().hex[:8]}")


def events(*positions: int, size: int = 1, entity: str = f"run/{JOB}") -> list[Recorded]:
    return [
        Recorded(
            Position(at), entity, Version(at), Fence(1), "chunk_flushed", 1, UUID(int=at),
            datetime(2026, 11, 23, tzinfo=UTC), UUID(int=9), "run", None, None, {"text": "x" * size},
        )
        for at in positions
    ]  # fmt: skip


def ids(*positions: int) -> list[str]:
    return [f"{LOG}:{at}" for at in positions]


async def test_a_stream_is_made_only_when_that_is_asked_for(scene: Scene) -> None:
    for _ in range(2):
        with pytest.raises(NotKept, match="no stream takes"):
            await scene.outbox(make=False).take(events(1))
    outbox = await scene.ready()
    assert await outbox.take(events(1, 2, 3)) == 3
    assert await scene.found() == ids(1, 2, 3)
    assert (await scene.js.streams.info(scene.stream)).config["subjects"] == [f"{scene.stream}.event.>"]


async def test_a_message_is_the_event_on_the_subject_of_its_job(scene: Scene) -> None:
    outbox = await scene.ready()
    await outbox.take(events(7))
    await outbox.take(events(8, entity="projection/jobs"))
    first, second = [await scene.js.streams.message(scene.stream, seq) for seq in (1, 2)]
    assert first is not None
    assert second is not None
    assert first.subject.decode() == f"{scene.stream}.event.store.orders.chunk_flushed"
    assert second.subject.decode() == f"{scene.stream}.event.projection.jobs.chunk_flushed"
    assert json.loads(first.payload)["id"] == f"{LOG}:7"
    assert json.loads(first.payload)["data"] == {"text": "x"}


@pytest.mark.parametrize("ordered", [None, {"kind": "store"}, {"moves": ["a", "b"]}])
async def test_the_events_of_a_job_of_which_kind_and_name_are_not_to_be_known_go_by_its_id(
    scene: Scene, ordered: dict[str, object] | None
) -> None:
    """Its history was read out of a bucket, or a newer program ordered it."""
    outbox, job = await scene.ready(), uuid4()
    if ordered is not None:
        created = NewEvent("job_created", ordered, schema_version=99)
        await scene.store.append([Append(f"job/{job}", Version(0), Fence(0), (created,))])
    assert await outbox.take(events(7, entity=f"run/{job}")) == 1
    message = await scene.js.streams.message(scene.stream, 1)
    assert message is not None
    assert message.subject.decode() == f"{scene.stream}.event.run.{job}.chunk_flushed"


async def test_an_event_stands_under_the_name_that_its_job_had_when_it_happened(scene: Scene) -> None:
    """The one that renames it under the old name, whose readers learn the new one from it."""
    await _rename(scene, 1, "parcels")
    await _run(scene, 0)
    outbox = await scene.ready()
    await outbox.take(await scene.store.read_log(Position(0), 10))
    assert await _names(scene, 3) == ["orders", "orders", "parcels"]
    await _rename(scene, 2, "letters")
    await _run(scene, 1)
    await outbox.take(await scene.store.read_log(Position(3), 10))
    assert await _names(scene, 5) == ["orders", "orders", "parcels", "parcels", "letters"]


async def test_a_name_that_was_given_while_another_node_published_is_learnt(scene: Scene) -> None:
    outbox = await scene.ready()
    await outbox.take(events(1))
    await _rename(scene, 1, "parcels")
    await scene.outbox().take(await scene.store.read_log(Position(1), 1))
    assert await outbox.holds() == 2
    await outbox.take(events(3))
    assert await _names(scene, 3) == ["orders", "orders", "parcels"]


async def test_what_is_there_already_is_not_there_twice(scene: Scene) -> None:
    outbox = await scene.ready()
    await outbox.take(events(1, 2, 3))
    todo = events(1, 2, 3, 4, 5)
    while todo:
        todo = todo[await outbox.take(todo) :]
    assert await scene.found() == ids(1, 2, 3, 4, 5)


async def test_a_strangers_message_in_between_costs_no_event_and_no_order(scene: Scene, nats_url: str) -> None:
    outbox = await scene.ready()
    await outbox.take(events(1, 2))
    todo = events(2, 3, 4)
    async with Connection.open(NatsSettings(nats_url), 10) as stranger:
        await stranger.link().request(f"{scene.stream}.event.stranger".encode(), b"", 5, None)
    while todo:
        todo = todo[await outbox.take(todo) :]
    assert await scene.found() == [*ids(1, 2), "?", *ids(3, 4)]


async def test_what_the_stream_has_lost_is_seen_before_more_is_published(scene: Scene) -> None:
    outbox = await scene.ready()
    assert await outbox.holds() == 0
    await outbox.take(events(1, 2, 3))
    assert await outbox.holds() == 3
    await outbox.take(events(4, 5))
    await _ask(scene, f"STREAM.DELETE.{scene.stream}", {})
    await scene.ready()
    await scene.outbox().take(events(1, 2, 3))
    with pytest.raises(NotKept):
        await outbox.take(events(6))
    assert await outbox.holds() == 3


async def test_a_stream_that_was_emptied_cannot_tell(scene: Scene) -> None:
    outbox = await scene.ready()
    await outbox.take(events(1, 2, 3))
    await _ask(scene, f"STREAM.PURGE.{scene.stream}", {})
    assert await outbox.holds() is None


async def test_behind_a_refused_event_nothing_is_taken(scene: Scene) -> None:
    """A message that the stream refuses for its size: those behind it must wait for it."""
    config = {**Mailbox(scene.stream, f"{scene.stream}.event", make=True).config(), "max_msg_size": 3000}
    await scene.js.streams.make_stream(config)
    batch = [*events(1, 2), *events(3, size=4000), *events(4, 5)]
    assert await scene.outbox().take(batch) == 2
    with pytest.raises(NotKept):
        await scene.outbox().take(batch[2:])
    assert await scene.found() == ids(1, 2)


async def test_an_event_larger_than_a_message_goes_without_its_data(scene: Scene) -> None:
    outbox = await scene.ready()
    await outbox.take(events(1, size=scene.js.max_payload))
    message = await scene.js.streams.message(scene.stream, 1)
    assert message is not None
    assert json.loads(message.payload)["dataref"] == "/api/v2/events/1"


async def test_a_stream_that_cannot_be_made_is_told(scene: Scene) -> None:
    await scene.js.streams.make_stream({"name": f"{scene.stream}X", "subjects": [f"{scene.stream}.event.a"]})
    with pytest.raises(NotKept, match="cannot make stream"):
        await scene.outbox().take(events(1))


async def _rename(scene: Scene, version: int, name: str) -> None:
    changed = NewEvent("job_changed", {"order": {"name": name}})
    await scene.store.append([Append(f"job/{JOB}", Version(version), Fence(0), (changed,))])


async def _run(scene: Scene, version: int) -> None:
    await scene.store.append([Append(f"run/{JOB}", Version(version), Fence(0), (NewEvent("run_recovered", {}),))])


async def _names(scene: Scene, count: int) -> list[str]:
    """The names in subject and attribute of the first messages of the stream, which agree."""
    names = []
    for seq in range(1, count + 1):
        message = await scene.js.streams.message(scene.stream, seq)
        assert message is not None
        names.append(message.subject.decode().split(".")[3])
        assert json.loads(message.payload)["name"] == names[-1]
    return names


async def _ask(scene: Scene, action: str, body: dict[str, object]) -> None:
    assert "error" not in await api.ask(scene.connection, action, body)
