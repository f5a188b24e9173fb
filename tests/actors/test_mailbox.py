from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest

from actors.actor import Actor
from actors.errors import AskFailed, MailboxClosed, WouldDeadlock
from actors.mailbox import Letter, Mailbox
from actors.ref import Ref
from actors.system import ActorSystem
from actors.testing import Failed, Probe, Recorder, Restarted, Stopped, run_seeded, settle
from tests.actors.stage import LONG, by_function, staged


async def held_up(probe: Probe, ref: Ref) -> None:
    """Bring the actor into a `receive` that does not end."""
    probe.gate.clear()
    ref.tell("hold")
    await probe.has_received(1)


async def test_the_data_lane_takes_256_and_then_the_sender_waits() -> None:
    probe = Probe()
    async with staged() as stage, asyncio.TaskGroup() as tasks:
        ref = await stage.start(probe)
        await held_up(probe, ref)
        for n in range(256):
            await ref.tell_data(n)
        sender = tasks.create_task(ref.tell_data(256))
        await settle()
        assert not sender.done()
        probe.gate.set()
        await sender
        assert await probe.has_received(258) == ["hold", *range(257)]


async def test_control_overtakes_data_and_is_never_blocked() -> None:
    probe = Probe()
    async with staged() as stage:
        ref = await stage.start(probe, bound=2)
        await held_up(probe, ref)
        await ref.tell_data("data 1")
        await ref.tell_data("data 2")
        for n in range(1000):
            ref.tell(n)
        probe.gate.set()
        assert await probe.has_received(1003) == ["hold", *range(1000), "data 1", "data 2"]


async def test_senders_get_room_in_the_order_they_came() -> None:
    probe = Probe()
    async with staged() as stage, asyncio.TaskGroup() as tasks:
        ref = await stage.start(probe, bound=1)
        await held_up(probe, ref)
        for n in range(10):
            tasks.create_task(ref.tell_data(n))
        await settle()
        probe.gate.set()
        assert await probe.has_received(11) == ["hold", *range(10)]


async def test_a_sender_that_is_cancelled_takes_its_letter_with_it_and_holds_up_nobody() -> None:
    mailbox = Mailbox("a", bound=1)
    await mailbox.put_data(Letter(0))
    async with asyncio.TaskGroup() as tasks:
        first, _ = (tasks.create_task(mailbox.put_data(Letter(n))) for n in (1, 2))
        await settle()
        first.cancel()
        # Room comes free before the cancelled one has run.
        assert [letter.message for letter in (mailbox.take(), mailbox.take()) if letter] == [0, 2]
    assert mailbox.waiting_senders == 0


async def test_a_closed_mailbox_tells_those_who_wait_those_who_ask_and_those_who_come() -> None:
    probe = Probe()
    async with staged() as stage, asyncio.TaskGroup() as tasks:
        ref = await stage.start(probe, bound=1)
        await held_up(probe, ref)
        await ref.tell_data("lost")
        senders = [tasks.create_task(_refused(ref.tell_data(n))) for n in range(2)]
        asker = tasks.create_task(_refused(ref.ask("?", LONG)))
        await settle()
        await stage.system.stop("a", timeout=0)
        assert [await sender for sender in (*senders, asker)] == [MailboxClosed] * 3
        with pytest.raises(MailboxClosed):
            ref.tell("late")
        noticed = [heard for heard in stage.heard if not isinstance(heard, Stopped)]
        assert [heard.error.messages for heard in noticed] == [["lost"]]


async def _refused(sending: object) -> type[Exception]:
    try:
        await sending
    except MailboxClosed as closed:
        return type(closed)
    raise AssertionError


def test_random_traffic_never_passes_the_bound_and_loses_nothing() -> None:
    for seed in range(50):
        chance = random.Random(seed)
        bound = chance.randrange(1, 5)
        largest: list[int] = []

        async def story(chance: random.Random = chance, bound: int = bound, largest: list[int] = largest) -> None:
            mailbox = Mailbox("a", bound)
            got: list[object] = []

            async def send(sender: int) -> None:
                for n in range(10):
                    await mailbox.put_data(Letter((sender, n)))
                    largest.append(len(mailbox))

            async def read() -> None:
                while len(got) < 50:
                    await mailbox.arrival()
                    letter = mailbox.take()
                    got.append(letter and letter.message)
                    if chance.random() < 0.5:
                        await asyncio.sleep(chance.random())

            async with asyncio.TaskGroup() as tasks:
                for sender in range(5):
                    tasks.create_task(send(sender))
                tasks.create_task(read())
            for sender in range(5):
                assert [n for who, n in got if who == sender] == list(range(10))

        run_seeded(seed, story)
        assert max(largest) <= bound


class Sender(Actor):
    """Passes every number on, less one, to its peer; `back` says on which lane."""

    def __init__(self, peer: list[Ref], back: str, count: list[int]) -> None:
        self.peer, self.back, self.count = peer, back, count

    async def receive(self, message: object) -> None:
        self.count.append(1)
        assert isinstance(message, int)
        for _ in range(3 if message else 0):
            if self.back == "data":
                await self.peer[0].tell_data(message - 1)
            else:
                self.peer[0].tell(message - 1)


async def pair_at_the_bound(lane_a: str, lane_b: str) -> tuple[int, list[object]]:
    """Two actors that flood each other through mailboxes of 2; how many messages they took, and what was heard."""
    count: list[int] = []
    recorder = Recorder()
    async with ActorSystem(observer=recorder, chance=lambda: 0.0) as system:
        to_b: list[Ref] = []
        a = await system.start("a", lambda: Sender(to_b, lane_a, count), bound=2)
        b = await system.start("b", lambda: Sender([a], lane_b, count), bound=2)
        to_b.append(b)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(_if_open(a.tell_data(3)))
                tasks.create_task(_if_open(b.tell_data(3)))
        await asyncio.sleep(LONG)
    return len(count), recorder.heard


async def _if_open(sending: object) -> None:
    with suppress(MailboxClosed):
        await sending


@pytest.mark.parametrize("seed", range(20))
def test_two_actors_at_the_bound_go_on_when_data_flows_one_way(seed: int) -> None:
    taken, heard = run_seeded(seed, lambda: pair_at_the_bound("data", "control"))
    assert taken == 16 * (1 + 3 + 9 + 27)
    assert {type(signal) for signal in heard} == {Stopped}


@pytest.mark.parametrize("seed", range(20))
def test_two_actors_that_break_the_rule_are_told_so_instead_of_hanging(seed: int) -> None:
    _, heard = run_seeded(seed, lambda: pair_at_the_bound("data", "data"))
    told = [signal for signal in heard if isinstance(signal, Restarted | Failed)]
    assert told
    assert {type(signal.error) for signal in told} <= {WouldDeadlock, MailboxClosed}
    assert any(
        signal.error.circle in (["a", "b", "a"], ["b", "a", "b"])
        for signal in told
        if isinstance(signal.error, WouldDeadlock)
    )


async def test_a_full_actor_that_sends_data_to_itself_is_told_so() -> None:
    async def flood_self(actor: Actor, message: object) -> None:
        await actor.context.ref.tell_data("more")
        await actor.context.ref.tell_data("too much")

    async with staged() as stage:
        ref = await stage.start(by_function(flood_self), bound=1)
        with pytest.raises(AskFailed) as failed:
            await ref.ask("go", LONG)
        assert isinstance(failed.value.__cause__, WouldDeadlock)


async def test_a_child_task_may_wait_for_room_in_its_own_actor() -> None:
    class Feeder(Probe):
        async def on_start(self) -> None:
            self.context.spawn(self.feed, "feed")

        async def feed(self) -> None:
            for n in range(100):
                await self.context.ref.tell_data(n)

    feeder = Feeder()
    async with staged() as stage:
        await stage.start(feeder, bound=1)
        assert await feeder.has_received(100) == list(range(100))


async def test_actors_that_ask_each_other_in_a_circle_are_told_so_at_once() -> None:
    refs: dict[str, Ref] = {}

    async def pass_on(actor: Actor, message: object) -> object:
        return await refs[{"a": "b", "b": "c", "c": "a"}[actor.context.name]].ask(message, LONG)

    async with staged() as stage:
        for name in "abc":
            refs[name] = await stage.start(by_function(pass_on), name)
        with pytest.raises(AskFailed):
            await refs["a"].ask("?", LONG)
        first = next(heard for heard in stage.heard if isinstance(heard, Restarted))
        assert isinstance(first.error, WouldDeadlock)
        assert first.error.circle == ["c", "a", "b", "c"]
