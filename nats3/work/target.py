"""The stream that a load publishes into: found, recognised after every interruption, and read for what it has of ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from nats3.errors import Blocked
from nats3.jetstream.server import JetStream
from nats3.jetstream.streams import ConsumerRefused, StreamInfo, StreamMissing
from nats3.jetstream.tail import Seen, message_id
from nats3.job.loading import Loading, TargetBound, message_id_prefix
from nats3.job.order import LoadOrder, PublishMode
from nats3.message import Message
from nats3.work.marks import Mark, mark_subject, plan_digest, read_mark
from nats3.work.modes import chosen, kept_per_subject
from nats3.work.present import NOTHING_TAKEN, Present, Taken, shared


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the target ends with ours after it lost some: rank and seq of the last, and where it stands.

    `count` is how many fewer it has than is recorded, as a negative number.
    """

    rank: int
    seq: int
    target_seq: int
    count: int


@dataclass(frozen=True, slots=True)
class Marked:
    """The last message on the marker's subject: its seq in the target (0: none), and what it says of this generation."""

    at: int
    mark: Mark | None


class Ours(NamedTuple):
    """A message of this load's generation that its target holds."""

    life: str
    seq: int
    target_seq: int
    subject: bytes


class Target:
    """One load's view of its target."""

    def __init__(self, job_id: str, order: LoadOrder, nats: JetStream) -> None:
        self._job_id = job_id
        self._order = order
        self._nats = nats

    async def find(self, subject: str) -> StreamInfo:
        """The one stream that takes `subject`. Raises Blocked when none or several do."""
        names = await self._nats.streams.by_subject(subject)
        if len(names) != 1:
            found = f"the streams {', '.join(names)} all take" if names else "no stream takes"
            raise Blocked("target_missing", f"{found} subject {subject}: let exactly one stream take it, then resume")
        return await self._nats.streams.info(names[0])

    async def require_no_loop(self, target: str) -> None:
        """A polling load that feeds the stream it reads, be it through mirrors and sources, would never end. Raises Blocked."""
        seen: set[str] = set()
        left = [self._order.read_stream] if self._order.poll_interval_s is not None else []
        while left:
            name = left.pop()
            if name == target:
                reason = f"the target stream {target} feeds {self._order.read_stream}, which is read"
                raise Blocked("target_feeds_source", f"{reason}: a polling load would feed itself")
            seen.add(name)
            with suppress(StreamMissing):
                left += [each for each in origins((await self._nats.streams.info(name)).config) if each not in seen]

    async def mode(self, info: StreamInfo) -> PublishMode:
        """The mode of the order; for `auto` the strongest that the target allows. Raises Blocked."""
        subject = self.mark_subject(info.name)
        marker = subject if await self._nats.streams.by_subject(subject) == [info.name] else None
        return chosen(self._order.mode, info, self._nats.server_version, marker)

    def mark_subject(self, stream: str) -> str:
        return mark_subject(stream, self._job_id)

    async def marked(self, state: Loading, bound: TargetBound) -> Marked:
        """How far the markers of atomic batches say that the target has ours. Raises Blocked when they say too little."""
        message = await self._nats.streams.last_message(bound.stream, self.mark_subject(bound.stream))
        said = None if message is None else read_mark(message.payload)
        if message is not None and said is None:
            raise _marker_lost(bound, f"the message at {message.seq} in its place is none of ours")
        mark = said if said is not None and said.generation == state.generation else None
        if mark is None and state.target_seq:
            raise _marker_lost(bound, "there is none")
        if mark is not None and mark.plan != plan_digest(state.ranges, mark.rank):
            raise _marker_lost(bound, "it is of another plan: the event log has lost commits")
        at = 0 if message is None else int(message.seq)
        async for each in self._ours(state, max(bound.last, at) + 1):
            raise _marker_lost(bound, f"seq {each.seq} of life {each.life} stands behind it, at {each.target_seq}")
        return Marked(at, mark)

    def recognise(self, bound: TargetBound, info: StreamInfo) -> None:
        """The target is still the one that was bound. Raises Blocked."""
        if info.created != bound.created:
            reason = (
                f"the target stream {info.name} was deleted and made again since the load began;"
                " retry the job with restart to publish everything again"
            )
            raise Blocked("target_recreated", reason)

    async def stand(self, state: Loading, bound: TargetBound, info: StreamInfo) -> Stand | None:
        """How far the target has ours, when it has lost messages that it had acknowledged; else None. Raises Blocked.

        Where they stood out of order the last says nothing of those before: then from the beginning on each is looked for.
        """
        if state.target_seq and await self._lost(state, info):
            return await self._short_of_record(state, bound, info)
        return None

    async def present(self, state: Loading, bound: TargetBound, info: StreamInfo) -> Present:
        """What it holds of ours behind the recorded progress."""
        seqs: dict[tuple[str, int], int] = {}
        places: defaultdict[bytes, list[tuple[int, int]]] = defaultdict(list)
        per_subject = kept_per_subject(info)
        async for each in self._ours(state, _behind(state, bound) + 1):
            seqs[each.life, each.seq] = each.target_seq
            if per_subject:
                places[each.subject].append((_rank_of(state, each.life, each.seq), each.seq))
        return Present(seqs, per_subject, {subject: sorted(found) for subject, found in places.items()})

    async def taken(self, state: Loading, bound: TargetBound, info: StreamInfo) -> Taken:
        """What a load that alone writes has in the target behind the recorded progress, where some of it is gone.

        Its messages stand there one behind the other, so the seqs tell how many there were. Raises Blocked where a message of
        somebody else is seen among those that are left: then they do not tell it.
        """
        first = _behind(state, bound) + 1
        seen = self._seen(bound.stream, first)
        left = {each.seq: each.id async for each in seen if each.seq <= info.last}
        count = max(0, info.last + 1 - first)
        if len(left) >= count:
            return NOTHING_TAKEN
        prefix = message_id_prefix(self._job_id, state.generation).encode()
        ids: dict[int, bytes] = {}
        for target_seq, its_id in left.items():
            if its_id is None or not its_id.startswith(prefix):
                raise shared(bound.stream, target_seq)
            ids[target_seq] = its_id.removeprefix(prefix)
        return Taken(bound.stream, first, count, ids)

    async def _lost(self, state: Loading, info: StreamInfo) -> bool:
        """Whether the target no longer has, where it was farthest, a message that it had acknowledged."""
        if info.last < state.farthest:
            return True
        message = await self._nats.streams.message(info.name, state.farthest)
        return message is not None and not self._is_ours(message, state.generation)

    def _is_ours(self, message: Message, generation: int) -> bool:
        return b"\r\nNats-Msg-Id: " + message_id_prefix(self._job_id, generation).encode() in (message.header or b"")

    async def _ours(self, state: Loading, from_seq: int) -> AsyncIterator[Ours]:
        prefix = message_id_prefix(self._job_id, state.generation).encode()
        assert state.target is not None
        async for each in self._seen(state.target.stream, from_seq):
            if each.id is not None and each.id.startswith(prefix):
                life, _, seq = each.id.removeprefix(prefix).decode().rpartition(":")
                yield Ours(life, int(seq), each.seq, each.subject)

    async def _seen(self, stream: str, from_seq: int) -> AsyncIterator[Seen]:
        """What the target holds from `from_seq` on; looked at one by one where no consumer may."""
        streams = self._nats.streams
        try:
            async for page in streams.tail(stream, from_seq):
                for each in page:
                    yield each
        except ConsumerRefused:
            while (message := await streams.message(stream, from_seq, ">")) is not None:
                yield Seen(message.seq, message_id(message.header), message.subject)
                from_seq = message.seq + 1

    async def _short_of_record(self, state: Loading, bound: TargetBound, info: StreamInfo) -> Stand:
        last: Stand | None = None
        count, in_order = 0, not state.displaced
        async for each in self._ours(state, bound.last + 1):
            count += 1
            rank = _rank_of(state, each.life, each.seq)
            last = Stand(rank, each.seq, each.target_seq, count - state.published)
            # What is not recorded yet has come to stand before what is.
            in_order = in_order and (rank, each.seq) <= (state.rank, state.seq)
        if last is not None:
            return last if in_order else Stand(0, 0, 0, -state.published)
        reason = (
            f"the target stream {info.name} has lost messages that it had acknowledged;"
            " retry the job with restart to publish everything again"
        )
        raise Blocked("target_lost_messages", reason)


def origins(config: Mapping[str, Any]) -> list[str]:
    """The streams of this account that a stream of this configuration is filled from."""
    told: list[Mapping[str, Any]] = [*(config.get("sources") or ()), *filter(None, [config.get("mirror")])]
    return [each["name"] for each in told if not each.get("external")]


def _behind(state: Loading, bound: TargetBound) -> int:
    """The seq in the target up to which all is recorded, or was there before the load."""
    return max(state.target_seq, bound.last)


def _rank_of(state: Loading, life: str, seq: int) -> int:
    found = (each.rank for each in state.ranges if each.life == life and each.first <= seq <= each.last)
    return next(found, state.rank)


def _marker_lost(bound: TargetBound, how: str) -> Blocked:
    """Whatever is published now could be there already."""
    reason = f"the marker of this load in the target stream {bound.stream} does not say how far it is: {how}"
    return Blocked("marker_lost", f"{reason}; retry the job with restart to publish everything again")
