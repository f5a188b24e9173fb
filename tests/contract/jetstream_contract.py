"""What every JetStream promises to the jobs of nats3. Inherit JetStreamContract in a test module and give a `world`."""

from __future__ import annotations

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from nats3.errors import Nats3Error
from nats3.jetstream.atomic import Marker
from nats3.jetstream.errors import MustBind, PublishRefused, Reason, TargetMoved
from nats3.jetstream.publisher import Publisher
from nats3.jetstream.server import JetStream
from nats3.jetstream.source import Source
from nats3.jetstream.streams import ConsumerInfo, ConsumerRefused, ConsumerSpec, StreamMissing, StreamRefused
from nats3.message import Message

ROOM = 8 * 1024 * 1024


class World(ABC):
    """A JetStream and what an administrator does to it. Stream `name` takes the subjects `name` and `name.>`."""

    def __init__(self, js: JetStream) -> None:
        self.js = js
        self.name = f"t{uuid.uuid4().hex[:12]}"

    @abstractmethod
    async def make_stream(self, **config: Any) -> None: ...

    @abstractmethod
    async def delete_stream(self) -> None: ...

    @abstractmethod
    async def publish(self, subject: str, payload: bytes = b"", block: bytes | None = None) -> None: ...

    @abstractmethod
    async def purge(self, below: int | None = None) -> None: ...

    @abstractmethod
    async def delete_message(self, seq: int) -> None: ...

    @abstractmethod
    async def edit_consumer(self, name: str, **changes: Any) -> None:
        """As a stranger does, also with `pause_until`."""

    async def fill(self, count: int) -> None:
        for number in range(1, count + 1):
            await self.publish(f"{self.name}.{number % 3}", b"%d" % number)

    def spec(self, name: str = "c", **changes: Any) -> ConsumerSpec:
        settings: dict[str, Any] = {
            "stream": self.name,
            "name": name,
            "filter_subject": "",
            "start_seq": 1,
            "ack": "all",
            "ack_wait_s": 60.0,
            "inactive_threshold_s": None,
        }
        return ConsumerSpec(**(settings | changes))

    async def consume(self, name: str = "c", **changes: Any) -> Source:
        spec = self.spec(name, **changes)
        await self.js.streams.make_consumer(spec)
        return self.js.source(self.name, name, ack=spec.ack)

    async def seqs(self) -> list[int]:
        """Seqs of every message that is in the stream now."""
        info = await self.js.streams.info(self.name)
        found = [await self.js.streams.message(self.name, seq) for seq in range(info.first, info.last + 1)]
        return [message.seq for message in found if message is not None]


def _named(value: object, name: str) -> object:
    return value.format(name) if isinstance(value, str) else value


async def until_told(world: World, *, unacknowledged: int) -> ConsumerInfo:
    """What the server tells of consumer `c` once acknowledgements under way have reached it."""
    async with asyncio.timeout(5):
        while True:
            found = await world.js.streams.consumer(world.name, "c")
            assert found is not None
            if found.unacknowledged == unacknowledged:
                return found


async def read(source: Source, count: int, room: int = ROOM) -> list[Message]:
    """The next `count` messages; no more than that is asked for."""
    found: list[Message] = []
    source.ask(count, room)
    while len(found) < count:
        delivered = await source.receive()
        assert len(delivered.again) == 0
        found += delivered.batch
    return found


class JetStreamContract:
    """Everything a store or load worker relies on."""

    async def test_info_names_the_life_and_the_bounds_of_a_stream(self, world: World) -> None:
        await world.make_stream()
        empty = await world.js.streams.info(world.name)
        assert (empty.first, empty.last, empty.messages, empty.retention) == (1, 0, 0, "limits")
        assert empty.created > 1_600_000_000_000_000_000
        await world.fill(3)
        await world.delete_message(2)
        info = await world.js.streams.info(world.name)
        assert (info.first, info.last, info.messages, info.num_deleted) == (1, 3, 2, 1)
        assert info.created == empty.created

    async def test_what_is_deleted_between_the_first_and_the_last_is_named(self, world: World) -> None:
        await world.make_stream()
        await world.fill(9)
        assert await world.js.streams.deleted(world.name) == []
        for seq in (1, 4, 5, 8):
            await world.delete_message(seq)
        assert await world.js.streams.deleted(world.name) == [4, 5, 8]
        with pytest.raises(StreamMissing):
            await world.js.streams.deleted(f"{world.name}-missing")

    async def test_deleting_and_purging_keep_created_and_the_last_seq(self, world: World) -> None:
        await world.make_stream()
        await world.fill(5)
        before = await world.js.streams.info(world.name)
        await world.purge(below=4)
        info = await world.js.streams.info(world.name)
        assert (info.first, info.last, info.created) == (4, 5, before.created)
        await world.purge()
        info = await world.js.streams.info(world.name)
        assert (info.first, info.last, info.messages, info.created) == (6, 5, 0, before.created)

    async def test_a_stream_made_again_has_another_created(self, world: World) -> None:
        await world.make_stream()
        first = await world.js.streams.info(world.name)
        await world.delete_stream()
        await world.make_stream()
        assert (await world.js.streams.info(world.name)).created > first.created

    async def test_a_stream_that_is_not_there_is_missing(self, world: World) -> None:
        with pytest.raises(StreamMissing):
            await world.js.streams.info(world.name)
        with pytest.raises(StreamMissing):
            await world.js.streams.message(world.name, 1)
        with pytest.raises(StreamMissing):
            await world.js.streams.make_consumer(world.spec())
        with pytest.raises(StreamMissing):
            await anext(aiter(world.js.streams.tail(world.name, 1)))

    async def test_a_message_by_seq_and_by_the_next_of_a_subject(self, world: World) -> None:
        await world.make_stream()
        await world.publish(f"{world.name}.a", b"\x00\xff", b"NATS/1.0\r\nA: \xff\r\na: 2\r\n\r\n")
        await world.publish(f"{world.name}.b")
        await world.publish(f"{world.name}.a", b"3")
        message = await world.js.streams.message(world.name, 1)
        assert message is not None
        assert message[2:] == (f"{world.name}.a".encode(), b"NATS/1.0\r\nA: \xff\r\na: 2\r\n\r\n", b"\x00\xff")
        found = await world.js.streams.message(world.name, 2, next_by_subject=f"{world.name}.a")
        assert found is not None
        assert found.seq == 3
        assert await world.js.streams.message(world.name, 4, next_by_subject=f"{world.name}.>") is None
        assert await world.js.streams.message(world.name, 9) is None
        await world.delete_message(2)
        assert await world.js.streams.message(world.name, 2) is None

    async def test_the_last_message_of_a_subject(self, world: World) -> None:
        with pytest.raises(StreamMissing):
            await world.js.streams.last_message(world.name, ">")
        await world.make_stream()
        await world.fill(7)
        for filter_, seq in ((f"{world.name}.>", 7), (f"{world.name}.2", 5), (f"{world.name}.9", None)):
            found = await world.js.streams.last_message(world.name, filter_)
            assert (found and found.seq) == seq

    async def test_who_takes_a_subject(self, world: World) -> None:
        await world.make_stream()
        assert await world.js.streams.by_subject(f"{world.name}.x") == [world.name]
        assert await world.js.streams.by_subject(f"nobody.{world.name}") == []

    async def test_every_stream_is_listed_as_it_is(self, world: World) -> None:
        await world.make_stream()
        await world.fill(3)
        listed = {info.name: info for info in await world.js.streams.every()}
        known = await world.js.streams.info(world.name)
        for name in ("created", "retention", "first", "last", "messages", "subjects"):
            assert (name, getattr(listed[world.name], name)) == (name, getattr(known, name))

    async def test_a_stream_is_made_once_and_not_over_one_that_differs(self, world: World) -> None:
        config = {"name": world.name, "subjects": [f"{world.name}.>"], "storage": "memory", "max_msgs": 7}
        for _ in range(2):
            await world.js.streams.make_stream(config)
        with pytest.raises(StreamRefused):
            await world.js.streams.make_stream({**config, "max_msgs": 8})
        assert (await world.js.streams.info(world.name)).config["max_msgs"] == 7

    async def test_consumers_are_listed_with_their_metadata_and_deleted_twice_without_harm(self, world: World) -> None:
        await world.make_stream()
        await world.fill(4)
        await world.js.streams.make_consumer(world.spec("one", metadata={"nats3.job": "7"}, start_seq=3))
        (found,) = await world.js.streams.consumers(world.name)
        assert (found.name, found.metadata["nats3.job"], found.pending) == ("one", "7", 2)
        await world.js.streams.delete_consumer(world.name, "one")
        await world.js.streams.delete_consumer(world.name, "one")
        assert await world.js.streams.consumers(world.name) == []

    async def test_a_consumer_tells_what_it_has_yet_to_give_and_what_waits_for_an_acknowledgement(
        self, world: World
    ) -> None:
        await world.make_stream()
        await world.fill(5)
        streams = world.js.streams
        assert await streams.consumer(world.name, "c") is None
        source = await world.consume()
        await read(source, 3)
        await source.ack_up_to(1)
        found = await until_told(world, unacknowledged=2)
        newest = await streams.message(world.name, 5)
        assert newest is not None
        assert (found.name, found.pending) == ("c", 2)
        assert found.now >= newest.time_ns
        await source.close()
        with pytest.raises(StreamMissing):
            await streams.consumer(f"{world.name}-missing", "c")

    @pytest.mark.parametrize(
        "edit",
        [
            {"filter_subject": "{}.1"},
            {"headers_only": True},
            {"max_ack_pending": 7},
            {"pause_until": "2099-01-01T00:00:00Z"},
        ],
        ids=str,
    )
    async def test_a_consumer_is_told_as_it_was_made_until_somebody_edits_it(
        self, world: World, edit: dict[str, Any]
    ) -> None:
        await world.make_stream()
        streams, metadata = world.js.streams, {"nats3.job": "7"}
        made = await streams.make_consumer(world.spec(filter_subject=f"{world.name}.>", metadata=metadata))
        found = await streams.consumer(world.name, "c")
        assert found is not None
        assert (made.config, made.created) == (found.config, found.created)
        assert (made.config["filter_subject"], made.metadata) == (f"{world.name}.>", metadata)
        await world.edit_consumer("c", **{key: _named(value, world.name) for key, value in edit.items()})
        edited = await streams.consumer(world.name, "c")
        assert edited is not None
        assert {key for key, value in edited.config.items() if value != made.config.get(key)} == set(edit)
        assert edited.created == made.created

    async def test_a_source_gives_what_the_stream_holds_byte_for_byte_and_in_order(self, world: World) -> None:
        await world.make_stream()
        await world.fill(9)
        await world.publish(world.name, b"\r\nMSG x 1 2\r\n", b"NATS/1.0\r\nA: 1\r\nA: 2\r\n\r\n")
        source = await world.consume()
        messages = await read(source, 10)
        assert messages == [await world.js.streams.message(world.name, seq) for seq in range(1, 11)]
        await source.close()

    async def test_a_source_starts_at_its_seq_and_keeps_to_its_filter(self, world: World) -> None:
        await world.make_stream()
        await world.fill(9)
        source = await world.consume(start_seq=4, filter_subject=f"{world.name}.1")
        assert [message.seq for message in await read(source, 2)] == [4, 7]
        await source.close()

    async def test_no_more_arrives_than_was_asked_for(self, world: World) -> None:
        await world.make_stream()
        await world.fill(5)
        source = await world.consume()
        assert len(await read(source, 2)) == 2
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await source.receive()
        assert [message.seq for message in await read(source, 3)] == [3, 4, 5]
        await source.close()

    @pytest.mark.parametrize("ask", [(0, ROOM), (10, 0)])
    async def test_no_messages_or_no_bytes_ask_for_nothing(self, world: World, ask: tuple[int, int]) -> None:
        await world.make_stream()
        await world.fill(1)
        source = await world.consume()
        source.ask(*ask)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await source.receive()
        await source.close()

    async def test_the_least_bytes_are_enough_for_the_largest_message(self, world: World) -> None:
        await world.make_stream()
        await world.publish(world.name, b"x" * world.js.max_payload)
        source = await world.consume()
        assert len(await read(source, 1, room=source.least_bytes)) == 1
        await source.close()

    async def test_a_message_that_does_not_fit_is_told_and_comes_once_there_is_room(self, world: World) -> None:
        await world.make_stream()
        await world.publish(world.name, b"x" * 5000)
        source = await world.consume()
        source.ask(10, 1000)
        assert source.may_arrive == 1000
        while not source.refused:
            assert len((await source.receive()).batch) == 0
        assert source.refused == 1000
        assert [message.payload for message in await read(source, 1, room=10_000)] == [b"x" * 5000]
        assert source.refused == 0
        assert 0 < source.may_arrive <= 5000
        await source.close()

    async def test_no_more_bytes_arrive_than_were_asked_for(self, world: World) -> None:
        await world.make_stream()
        for _ in range(5):
            await world.publish(world.name, b"x" * 600_000)
        source = await world.consume()
        source.ask(100, source.least_bytes)
        first = await source.receive()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                while True:
                    first.batch.extend((await source.receive()).batch)
        assert first.batch.raw_bytes() <= source.least_bytes
        source.ask(100, 8 * source.least_bytes)
        found = len(first.batch)
        while found < 5:
            found += len((await source.receive()).batch)
        await source.close()

    async def test_what_is_published_later_arrives_without_asking_again(self, world: World) -> None:
        await world.make_stream()
        source = await world.consume()
        source.ask(10, ROOM)
        await world.fill(2)
        seqs = [message.seq for message in (await source.receive()).batch]
        while len(seqs) < 2:
            seqs += [message.seq for message in (await source.receive()).batch]
        assert seqs == [1, 2]
        await source.close()

    async def test_a_cancelled_receive_loses_nothing(self, world: World) -> None:
        await world.make_stream()
        source = await world.consume()
        source.ask(10, ROOM)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await source.receive()
        await world.fill(1)
        assert [message.seq for message in (await source.receive()).batch] == [1]
        await source.close()

    async def test_interest_streams_drop_what_all_consumers_acknowledged(self, world: World) -> None:
        await world.make_stream(retention="interest")
        source = await world.consume()
        await world.fill(5)
        await read(source, 5)
        await source.ack_up_to(3)
        assert await world.seqs() == [4, 5]
        await source.ack_up_to(3)
        await source.ack_up_to(99)
        assert await world.seqs() == []
        await source.close()

    async def test_deleting_the_last_consumer_empties_an_interest_stream(self, world: World) -> None:
        await world.make_stream(retention="interest")
        await world.js.streams.make_consumer(world.spec("old"))
        await world.fill(3)
        await world.js.streams.make_consumer(world.spec("new", start_seq=2))
        await world.js.streams.delete_consumer(world.name, "old")
        # Before 2.14 what no consumer wants any more stays until the last one goes.
        assert await world.seqs() == ([2, 3] if world.js.server_version >= (2, 14, 0) else [1, 2, 3])
        await world.js.streams.delete_consumer(world.name, "new")
        assert await world.seqs() == []

    async def test_work_queues_drop_exactly_what_was_acknowledged(self, world: World) -> None:
        await world.make_stream(retention="workqueue")
        await world.fill(6)
        source = await world.consume(ack="explicit")
        await read(source, 6)
        await source.ack_each([1, 2])
        await source.ack_each([4])
        await source.ack_each([3, 6])
        await source.ack_each([])
        assert await world.seqs() == [5]
        await source.close()

    async def test_work_queues_refuse_ack_all_and_a_second_consumer(self, world: World) -> None:
        await world.make_stream(retention="workqueue")
        with pytest.raises(ConsumerRefused) as refused:
            await world.js.streams.make_consumer(world.spec())
        assert refused.value.code == 10098
        await world.js.streams.make_consumer(world.spec(ack="explicit"))
        await world.js.streams.make_consumer(world.spec(ack="explicit"))
        with pytest.raises(ConsumerRefused) as refused:
            await world.js.streams.make_consumer(world.spec("d", ack="explicit"))
        assert refused.value.code in (10099, 10100)

    async def test_a_full_stream_of_consumers_refuses_one_more(self, world: World) -> None:
        await world.make_stream(max_consumers=1)
        await world.js.streams.make_consumer(world.spec("one"))
        with pytest.raises(ConsumerRefused) as refused:
            await world.js.streams.make_consumer(world.spec("two"))
        assert refused.value.code == 10026

    async def test_what_a_stream_allows_its_consumers_holds_for_each(self, world: World) -> None:
        await world.make_stream(consumer_limits={"inactive_threshold": 3_600_000_000_000, "max_ack_pending": 10})
        assert (await world.js.streams.info(world.name)).consumer_limits["max_ack_pending"] == 10
        with pytest.raises(ConsumerRefused) as refused:
            await world.js.streams.make_consumer(world.spec(inactive_threshold_s=3601.0))
        assert refused.value.code == 10153
        await world.js.streams.make_consumer(world.spec(inactive_threshold_s=3600.0, max_ack_pending=10))

    async def test_no_more_is_given_than_may_be_unacknowledged(self, world: World) -> None:
        await world.make_stream()
        await world.fill(7)
        source = await world.consume(max_ack_pending=4)
        assert [message.seq for message in await read(source, 4)] == [1, 2, 3, 4]
        source.ask(9, ROOM)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await source.receive()
        await source.ack_up_to(2)
        assert [message.seq for message in await read(source, 2)] == [5, 6]
        await source.close()

    async def test_a_deleted_consumer_ends_its_source(self, world: World) -> None:
        await world.make_stream()
        await world.fill(1)
        source = await world.consume()
        source.ask(10, ROOM)
        await source.receive()
        await world.js.streams.delete_consumer(world.name, "c")
        with pytest.raises(MustBind) as ended:
            await source.receive()
        assert ended.value.reason is Reason.CONSUMER_DELETED
        with pytest.raises(MustBind):
            await source.ack_up_to(1)
        await source.close()

    async def test_a_message_that_a_limit_dropped_shows_as_a_jump_of_seqs_and_not_as_a_loss(self, world: World) -> None:
        await world.make_stream(max_msgs=2)
        source = await world.consume()
        await world.fill(1)
        assert [message.seq for message in await read(source, 1)] == [1]
        await world.fill(5)
        assert [message.seq for message in await read(source, 2)] == [5, 6]
        await source.close()

    async def test_publishing_counts_the_unbroken_prefix_and_the_targets_seqs(self, world: World) -> None:
        await world.make_stream()
        await world.fill(2)
        publisher = world.js.publisher(world.name)
        assert (publisher.acked, publisher.target_seq) == (0, 0)
        await publish(publisher, world, 1500)
        await publisher.drain()
        assert (publisher.acked, publisher.target_seq, publisher.duplicates) == (1500, 1502, 0)
        assert (list(publisher.displaced), publisher.displaced_count) == ([], 0)
        assert await publisher.wait_progress() == 1500
        assert await publisher.wait_progress() == 1500
        message = await world.js.streams.message(world.name, 1502)
        assert message is not None
        assert message[2:] == (f"{world.name}.p".encode(), b"NATS/1.0\r\nNats-Msg-Id: 1499\r\n\r\n", b"1499")
        await publisher.close()

    async def test_known_ids_are_duplicates_with_the_seq_they_have(self, world: World) -> None:
        await world.make_stream()
        for duplicates in (0, 10):
            publisher = world.js.publisher(world.name)
            await publish(publisher, world, 10)
            await publisher.drain()
            assert (publisher.duplicates, publisher.target_seq, publisher.acked) == (duplicates, 10, 10)
            await publisher.close()
        assert await world.seqs() == list(range(1, 11))

    async def test_what_stands_before_a_message_that_was_to_be_before_it_is_displaced(self, world: World) -> None:
        await world.make_stream()
        first = world.js.publisher(world.name)
        await publish(first, world, 2, start=5)  # what was sent before it is lost
        await first.drain()
        again = world.js.publisher(world.name, behind=1)
        await publish(again, world, 10)
        await again.drain()
        assert (again.acked, again.duplicates, again.displaced_count) == (10, 2, 2)
        assert [(each.first, each.last) for each in again.displaced] == [(5, 6)]
        assert (again.farthest, first.farthest) == (10, 2)
        for each in (first, again):
            await each.close()

    async def test_a_strict_publisher_publishes_all_the_same(self, world: World) -> None:
        await world.make_stream()
        publisher = world.js.publisher(world.name, strict=True)
        await publish(publisher, world, 50)
        await publisher.drain()
        assert (publisher.acked, publisher.target_seq, publisher.displaced_count) == (50, 50, 0)
        await publisher.close()

    async def test_messages_without_a_header_block_and_with_any_bytes_are_published_as_they_are(
        self, world: World
    ) -> None:
        await world.make_stream()
        publisher = world.js.publisher(world.name)
        subjects = [world.name.encode()] * 3
        await publisher.send(
            subjects, [None, b"garbage", b"NATS/1.0\r\nStatus: 404\r\n\r\n"], [b"", b"\r\n", b"\xff" * 9]
        )
        await publisher.drain()
        found = [await world.js.streams.message(world.name, seq) for seq in (1, 2, 3)]
        assert [message and message[3:] for message in found] == [
            (None, b""),
            (b"garbage", b"\r\n"),
            (b"NATS/1.0\r\nStatus: 404\r\n\r\n", b"\xff" * 9),
        ]
        await publisher.close()

    async def test_a_subject_that_nobody_takes_is_refused_by_its_index(self, world: World) -> None:
        await world.make_stream()
        publisher = world.js.publisher(world.name)
        subjects = [world.name.encode(), b"nobody." + world.name.encode(), world.name.encode()]
        with pytest.raises(PublishRefused) as refused:
            await send_all(publisher, subjects)
        assert (refused.value.index, refused.value.code) == (1, PublishRefused.NO_RESPONDERS)
        assert publisher.acked == 1
        with pytest.raises(PublishRefused):
            await publisher.wait_progress()
        await publisher.close()

    async def test_another_stream_that_takes_the_subject_is_refused(self, world: World) -> None:
        await world.make_stream()
        publisher = world.js.publisher("another")
        with pytest.raises(PublishRefused) as refused:
            await send_all(publisher, [world.name.encode()])
        assert (refused.value.index, refused.value.code) == (0, PublishRefused.WRONG_STREAM)
        await publisher.close()

    async def test_exclusive_publishing_stores_every_message_right_after_the_one_before(self, world: World) -> None:
        await world.make_stream()
        await world.fill(3)
        publisher = world.js.publisher(world.name, expect_last=3)
        await publish(publisher, world, 700)
        await publisher.drain()
        assert (publisher.acked, publisher.target_seq) == (700, 703)
        await publisher.close()

    async def test_exclusive_publishing_stops_where_the_target_moved_and_keeps_an_exact_prefix(
        self, world: World
    ) -> None:
        await world.make_stream()
        publisher = world.js.publisher(world.name, expect_last=0)
        await publish(publisher, world, 5)
        await publisher.drain()
        await world.publish(world.name, b"another writer")
        with pytest.raises(TargetMoved) as moved:
            await send_all(publisher, [world.name.encode()] * 5)
        assert (moved.value.index, moved.value.code, publisher.acked) == (5, 10071, 5)
        # A plain check of the seq would have let the second one in.
        assert await world.seqs() == [1, 2, 3, 4, 5, 6]
        await publisher.close()

    async def test_atomic_batches_end_in_a_marker_and_let_others_write_in_between(self, world: World) -> None:
        await world.make_stream(allow_atomic=True)
        publisher = world.js.atomic_publisher(world.name, marker(world))
        await commit(publisher, world, 1500)
        await world.publish(world.name, b"a stranger's")
        await commit(publisher, world, 10, start=1500)
        await publisher.drain()
        assert (publisher.acked, publisher.target_seq) == (1510, 1514)
        assert await publisher.wait_progress() == 1510
        found = await world.js.streams.message(world.name, 1514)
        assert found is not None
        assert (found.subject, found.payload) == (f"{world.name}.mark".encode(), b"1510")
        await publisher.close()

    async def test_an_atomic_batch_is_refused_whole_when_the_marker_moved_or_an_id_is_known(self, world: World) -> None:
        await world.make_stream(allow_atomic=True)
        await commit(world.js.atomic_publisher(world.name, marker(world)), world, 10)
        for last, start, code in ((0, 10, 10071), (11, 7, 10201)):
            publisher = world.js.atomic_publisher(world.name, marker(world, last))
            with pytest.raises(TargetMoved) as moved:
                await commit(publisher, world, 5, start=start)
            assert (moved.value.index, moved.value.code, publisher.acked) == (0, code, 0)
        assert (await world.js.streams.info(world.name)).last == 11

    async def test_a_target_without_atomic_batches_refuses_them(self, world: World) -> None:
        await world.make_stream()
        with pytest.raises(PublishRefused) as refused:
            await commit(world.js.atomic_publisher(world.name, marker(world)), world, 10)
        assert refused.value.code == 10174
        assert (await world.js.streams.info(world.name)).last == 0

    async def test_the_tail_of_a_stream_shows_the_message_ids_that_are_there(self, world: World) -> None:
        await world.make_stream()
        publisher = world.js.publisher(world.name)
        await publish(publisher, world, 600)
        await publisher.drain()
        await publisher.close()
        await world.publish(world.name, b"no id", b"NATS/1.0\r\nA: 1\r\n\r\n")
        await world.delete_message(599)
        name = world.name.encode()
        assert [item async for page in world.js.streams.tail(world.name, 597) for item in page] == [
            (597, b"596", name + b".p"),
            (598, b"597", name + b".p"),
            (600, b"599", name + b".p"),
            (601, None, name),
        ]
        assert len([item async for page in world.js.streams.tail(world.name, 1) for item in page]) == 600
        assert [page async for page in world.js.streams.tail(world.name, 602)] == []
        assert await world.js.streams.consumers(world.name) == []

    async def test_every_refusal_is_an_error_of_nats3(self) -> None:
        assert issubclass(MustBind, Nats3Error)
        assert issubclass(TargetMoved, PublishRefused)


def marker(world: World, last: int = 0) -> Marker:
    return Marker(f"{world.name}.mark".encode(), last, lambda sent: b"%d" % sent)


async def publish(publisher: Publisher, world: World, count: int, start: int = 0) -> None:
    numbers = range(start, start + count)
    subjects: Sequence[bytes] = [f"{world.name}.p".encode()] * count
    blocks = [b"NATS/1.0\r\nNats-Msg-Id: %d\r\n\r\n" % number for number in numbers]
    await publisher.send(subjects, blocks, [b"%d" % number for number in numbers])


async def commit(publisher: Publisher, world: World, count: int, *, start: int = 0) -> None:
    """Publish, and hold nothing back for a fuller batch."""
    await publish(publisher, world, count, start=start)
    await publisher.flush()


async def send_all(publisher: Publisher, subjects: Sequence[bytes]) -> None:
    blocks = [b"NATS/1.0\r\nNats-Msg-Id: s%d\r\n\r\n" % number for number in range(len(subjects))]
    await publisher.send(subjects, blocks, [b""] * len(subjects))
    await publisher.drain()
