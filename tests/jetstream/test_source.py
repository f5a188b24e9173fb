"""A pull source before a server that misbehaves in every way that was thought of: complete, or a reason."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from nats3.errors import Nats3Error
from nats3.jetstream.connection import Connection
from nats3.jetstream.errors import MustBind, Reason
from nats3.jetstream.inflow import MOST
from nats3.jetstream.settings import NatsSettings
from nats3.jetstream.source import Patience, PullSource
from tests.jetstream.wire_script import ScriptedServer, scripted_server

ROOM = 1024 * 1024
SID = b"2"


def delivery(dseq: int, seq: int, payload: bytes = b"x", delivered: int = 1, consumer: bytes = b"C") -> bytes:
    place = b"s.a %b $JS.ACK.S.%b.%d.%d.%d.%d.0" % (SID, consumer, delivered, seq, dseq, 1_000 + seq)
    return b"MSG %b %d\r\n%b\r\n" % (place, len(payload), payload)


def status(line: bytes, fields: bytes = b"", pull: int = 1, inbox: bytes = b"") -> bytes:
    block = b"NATS/1.0 %b\r\n%b\r\n" % (line, fields)
    return b"HMSG %b.%d %b %d %d\r\n%b\r\n" % (inbox, pull, SID, len(block), len(block), block)


class Stage:
    def __init__(self, script: ScriptedServer, source: PullSource) -> None:
        self.script = script
        self.source = source

    @property
    def inbox(self) -> bytes:
        line = next(line for line in bytes(self.script.heard).split(b"\r\n") if line.endswith(b".* " + SID))
        return line.split(b" ")[1].removesuffix(b".*")

    def pulls(self) -> list[dict[str, int]]:
        """Every pull request that the server heard."""
        lines = bytes(self.script.heard).split(b"\r\n")
        return [json.loads(line) for line in lines if line.startswith(b'{"batch"')]

    async def seqs(self, count: int) -> list[int]:
        found: list[int] = []
        while len(found) < count:
            found += (await self.source.receive()).batch.seqs
        return found

    async def reason(self) -> Reason:
        with pytest.raises(MustBind) as must:
            await self.source.receive()
        assert isinstance(must.value, Nats3Error)
        return must.value.reason


@asynccontextmanager
async def staged(patience: Patience = Patience()) -> AsyncGenerator[Stage, None]:  # noqa: B008 - frozen
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        source = PullSource(connection.link(), "$JS.API", "S", "C", patience=patience)
        source.ask(10, ROOM)
        await script.wait_for(b'{"batch"')
        yield Stage(script, source)


async def test_a_pull_says_how_much_how_long_and_that_it_wants_heartbeats() -> None:
    async with staged() as stage:
        assert stage.pulls() == [{"batch": 10, "max_bytes": ROOM, "expires": 30 * 10**9, "idle_heartbeat": 5 * 10**9}]


async def test_busy_sources_share_what_may_come_over_a_connection_until_one_ends() -> None:
    async with staged() as stage:
        other = PullSource(stage.source._link, "$JS.API", "S", "D")
        stage.source.ask(10, 2 * MOST)
        other.ask(10, 2 * MOST)
        assert other.may_arrive == MOST // 2
        await stage.source.close()
        other.ask(10, 2 * MOST)
        assert other.may_arrive == MOST
        await other.close()


async def test_a_missing_delivery_ends_the_source_after_what_came_before_it() -> None:
    async with staged() as stage:
        stage.script.say(delivery(1, 5) + delivery(2, 6) + delivery(4, 8))
        assert await stage.seqs(2) == [5, 6]
        assert await stage.reason() is Reason.DELIVERY_LOST


async def test_a_missing_delivery_is_seen_in_bulk_too() -> None:
    async with staged() as stage:
        stage.script.say(delivery(1, 5))
        await stage.seqs(1)
        stage.script.say(delivery(2, 6) + delivery(4, 8))
        assert await stage.seqs(1) == [6]
        assert await stage.reason() is Reason.DELIVERY_LOST


async def test_a_delivery_below_the_one_before_is_out_of_order() -> None:
    async with staged() as stage:
        stage.script.say(delivery(1, 5) + delivery(2, 4))
        assert await stage.seqs(1) == [5]
        assert await stage.reason() is Reason.OUT_OF_ORDER


@pytest.mark.parametrize("seqs", [(5, 9), (6, 6), (7, 6)])
async def test_seqs_that_do_not_rise_are_seen_in_bulk_too(seqs: tuple[int, int]) -> None:
    async with staged() as stage:
        stage.script.say(delivery(1, 5))
        await stage.seqs(1)
        stage.script.say(delivery(2, seqs[0]) + delivery(3, seqs[1]))
        with pytest.raises(MustBind) as must:
            await stage.seqs(9)
        assert must.value.reason is Reason.OUT_OF_ORDER


async def test_a_gap_of_seqs_is_no_loss() -> None:
    async with staged() as stage:
        stage.script.say(delivery(1, 5) + delivery(2, 900))
        assert await stage.seqs(2) == [5, 900]


async def test_redelivered_messages_come_apart_from_new_ones() -> None:
    async with staged() as stage:
        again = delivery(3, 5, b"again", delivered=2)
        stage.script.say(delivery(1, 5) + delivery(2, 6) + again + delivery(4, 9, delivered=3))
        delivered = await stage.source.receive()
        assert delivered.batch.seqs == [5, 6, 9]
        assert [message.payload for message in delivered.again] == [b"again"]


async def test_a_delivery_of_another_consumer_ends_the_source() -> None:
    async with staged() as stage:
        stage.script.say(delivery(1, 5, consumer=b"D"))
        assert await stage.reason() is Reason.FOREIGN_DELIVERY


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"409 Consumer Deleted", Reason.CONSUMER_DELETED),
        (b"409 Leadership Change", Reason.LEADERSHIP_CHANGED),
        (b"409 Server Shutdown", Reason.CONNECTION_LOST),
        (b"409 Exceeded MaxWaiting", Reason.PULL_REFUSED),
        (b"400 Bad Request", Reason.PULL_REFUSED),
        (b"503", Reason.CONSUMER_DELETED),
    ],
)
async def test_statuses_that_end_a_source_do_so_by_their_meaning(line: bytes, reason: Reason) -> None:
    async with staged() as stage:
        stage.script.say(status(line, inbox=stage.inbox))
        assert await stage.reason() is reason


@pytest.mark.parametrize("line", [b"404 No Messages", b"408 Request Timeout", b"409 Batch Completed"])
async def test_a_pull_that_ends_is_renewed_for_what_may_still_arrive(line: bytes) -> None:
    async with staged() as stage:
        stage.script.say(delivery(1, 5, b"x" * 100))
        await stage.seqs(1)
        stage.script.say(delivery(2, 6, b"x" * 100) + delivery(3, 7, b"x" * 100))
        await stage.seqs(2)
        size = 3 * (len(b"s.a$JS.ACK.S.C.1.5.1.1005.0") + 100)
        left = b"Nats-Pending-Messages: 7\r\nNats-Pending-Bytes: %d\r\n" % (ROOM - size)
        stage.script.say(status(line, left, inbox=stage.inbox))
        await stage.script.wait_for(b'{"batch"', 2)
        assert (stage.pulls()[1]["batch"], stage.pulls()[1]["max_bytes"]) == (7, ROOM - size)


async def test_a_status_that_names_no_rest_is_renewed_too() -> None:
    async with staged() as stage:
        stage.script.say(status(b"408 Request Timeout", inbox=stage.inbox))
        await stage.script.wait_for(b'{"batch"', 2)
        assert stage.pulls()[1]["batch"] == 10


async def test_a_message_larger_than_a_whole_pull_is_no_endless_loop() -> None:
    async with staged() as stage:
        left = b"Nats-Pending-Messages: 10\r\nNats-Pending-Bytes: %d\r\n" % ROOM
        stage.script.say(status(b"409 Message Size Exceeds MaxBytes", left, inbox=stage.inbox))
        assert await stage.reason() is Reason.PULL_REFUSED


async def test_a_heartbeat_that_agrees_is_nothing_and_one_that_does_not_is_the_end() -> None:
    async with staged() as stage:
        stage.script.say(delivery(1, 5))
        stage.script.say(status(b"100 Idle Heartbeat", b"Nats-Last-Consumer: 1\r\n", inbox=stage.inbox))
        stage.script.say(delivery(2, 6))
        assert await stage.seqs(2) == [5, 6]
        stage.script.say(status(b"100 Idle Heartbeat", b"Nats-Last-Consumer: 3\r\n", inbox=stage.inbox))
        assert await stage.reason() is Reason.HEARTBEAT_DISAGREES


async def test_statuses_among_deliveries_are_heard_in_their_place() -> None:
    async with staged() as stage:
        stage.script.say(delivery(1, 5))
        await stage.seqs(1)
        agrees = [
            delivery(n, 4 + n)
            + status(b"100 Idle Heartbeat", b"Nats-Last-Consumer: %d\r\n" % n, inbox=stage.inbox)
            + status(b"409 Batch Completed", inbox=stage.inbox)
            for n in range(2, 6)
        ]
        stage.script.say(b"".join(agrees) + delivery(6, 10))
        assert await stage.seqs(5) == [6, 7, 8, 9, 10]


async def test_a_status_that_ends_the_source_does_so_between_what_came_before_and_after_it() -> None:
    async with staged() as stage:
        stage.script.say(delivery(1, 5))
        await stage.seqs(1)
        disagrees = status(b"100 Idle Heartbeat", b"Nats-Last-Consumer: 4\r\n", inbox=stage.inbox)
        stage.script.say(delivery(2, 6) + delivery(3, 7) + disagrees + delivery(4, 8) + delivery(5, 9))
        assert await stage.seqs(2) == [6, 7]
        assert await stage.reason() is Reason.HEARTBEAT_DISAGREES


async def test_silence_while_a_pull_is_open_ends_the_source() -> None:
    async with staged(Patience(silence_s=0.2)) as stage:
        assert await stage.reason() is Reason.HEARTBEATS_MISSED


async def test_a_user_header_that_looks_like_a_status_is_a_message() -> None:
    async with staged() as stage:
        block = b"NATS/1.0 404 No Messages\r\nStatus: 409\r\n\r\n"
        head = b"HMSG s.a 2 $JS.ACK.S.C.1.7.1.9.0 %d %d\r\n" % (len(block), len(block))
        stage.script.say(head + block + b"\r\n")
        delivered = await stage.source.receive()
        assert delivered.batch[0].header == block


async def test_what_a_stranger_sends_to_the_inbox_is_no_message_and_no_end() -> None:
    async with staged() as stage:
        stage.script.say(b"MSG %b.1 2 5\r\nhello\r\n" % stage.inbox + delivery(1, 5))
        assert await stage.seqs(1) == [5]


async def test_an_ack_names_the_delivery_exactly_and_waits_for_the_server() -> None:
    async with staged(Patience(ack_s=0.2)) as stage:
        stage.script.say(delivery(1, 5) + delivery(2, 6) + delivery(3, 9))
        await stage.seqs(3)
        with pytest.raises(MustBind) as must:
            await stage.source.ack_up_to(8)
        assert must.value.reason is Reason.ACK_UNCONFIRMED
        assert b"PUB $JS.ACK.S.C.1.6.2.0.0 " in stage.script.heard


async def test_explicit_acks_name_each_delivery_also_a_repeated_one() -> None:
    async with staged(Patience(ack_s=0.2)) as stage:
        stage.script.say(delivery(1, 5) + delivery(2, 6) + delivery(3, 5, delivered=2) + delivery(4, 7))
        await stage.seqs(3)
        with pytest.raises(ValueError, match="8"):
            await stage.source.ack_each([5, 8])
        with pytest.raises(MustBind):
            await stage.source.ack_each([5, 6, 7])
        heard = bytes(stage.script.heard)
        assert b"PUB $JS.ACK.S.C.2.5.3.0.0  4\r\n+ACK\r\nPUB $JS.ACK.S.C.1.6.2.0.0  4\r\n+ACK\r\n" in heard
        assert b"PUB $JS.ACK.S.C.1.7.4.0.0 " in heard


async def test_an_ack_of_version_2_has_the_domain_and_the_account() -> None:
    async with staged(Patience(ack_s=0.2)) as stage:
        stage.script.say(b"MSG s.a 2 $JS.ACK.hub.HASH.S.C.1.7.1.9.0.r4nd 0\r\n\r\n")
        stage.script.say(b"MSG s.a 2 $JS.ACK.hub.HASH.S.C.1.8.2.9.0.r5nd 0\r\n\r\n")
        assert await stage.seqs(2) == [7, 8]
        with pytest.raises(MustBind):
            await stage.source.ack_up_to(8)
        assert b"PUB $JS.ACK.hub.HASH.S.C.1.8.2.0.0.x " in stage.script.heard
