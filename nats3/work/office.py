"""Claims runnable jobs for this node and starts their actors; stops what is no longer wanted; lets go what has ended.

Commands reach it through the log alone. What it decides it decides again every two seconds from the views, so that a
missed word of the log delays and never loses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from math import ceil
from types import TracebackType
from typing import Protocol

from typing_extensions import override

from actors import errors as actor_errors
from actors.actor import Actor
from actors.errors import Kind
from actors.supervision import StopReason
from actors.system import ActorSystem, Observer
from eventstore import Background, Claim, Fence, LogRewound, LogUnavailable, Position, Recorded, Tail
from nats3.errors import Unavailable
from nats3.failpoint import Reach, pass_by
from nats3.job.history import HISTORY, types_of
from nats3.job.order import Order
from nats3.job.ordering import JobChanged, JobDeleted, JobEvent, JobPaused, JobResumed, JobRetried, Wanted
from nats3.work.claiming import Leaseholder, Taking
from nats3.work.journal import Unreadable
from nats3.work.lease import NodeLease, keep
from nats3.work.messages import Ending, LookNow, Why
from nats3.work.run import Claimed
from nats3.work.share import Share

PLACE_S = 2.0
"""How often the office looks for work without being told to."""

STOP_S = 20.0
"""How long a stopping actor may take to settle what it holds."""

_CROWD = 3
"""With fewer runs no node has more than one above its share."""
_AGAIN_S = 0.5
_HEAR_S = 2.0
"""How long an actor may take to hear why it will be stopped; it may be in the middle of a wait for Postgres."""

_STOPPED_BY: tuple[tuple[type[JobEvent], Why], ...] = (
    (JobPaused, "paused"),
    (JobRetried, "handed_over"),
    (JobChanged, "handed_over"),
    (JobDeleted, "deleted"),
)
_WHY: dict[str, Why] = {HISTORY.type_of(event): why for event, why in _STOPPED_BY}
_RESUMED = types_of(JobResumed)


@dataclass(frozen=True, slots=True)
class Runnable:
    """A job that some node should run. `generation` and `attempt` say which of a load's runs is wanted."""

    job_id: str
    name: str
    order: Order
    generation: int
    attempt: int


class Desk(Protocol):
    """What is wanted of jobs, as the views have it. Raises Unavailable when Postgres is away."""

    async def runnable(self) -> list[Runnable]: ...

    async def wanted(self, job_id: str) -> Wanted | None: ...

    async def reached(self, position: int) -> None:
        """Wait, a little, until the views hold the event at `position`."""
        ...

    async def caught_up(self) -> int:
        """Wait, a little, until the views hold what the log holds now; the position of its last event."""
        ...


class Staff(Protocol):
    """Makes the actors, and does what is left to do for a job without one."""

    def actor(self, runnable: Runnable, claimed: Claimed) -> Callable[[], Actor]: ...

    async def failed(self, claimed: Claimed, reason: str) -> None:
        """Record that the restart law gave the run up."""
        ...

    async def left(self, claimed: Claimed, why: Unreadable) -> None:
        """Tell that a newer program must run this, and write nothing into a history that cannot be read."""
        ...


@dataclass(slots=True)
class _Post:
    """A run that this node owns."""

    claimed: Claimed
    stopping: bool = False
    failure: BaseException | None = None


@dataclass
class Office(Background, Observer):
    """One per node; an async context manager, which closes it. `observer` hears what becomes of the actors."""

    node: str
    claims: Leaseholder
    desk: Desk
    staff: Staff
    system: ActorSystem
    tail: Tail
    lease: NodeLease
    monotonic: Callable[[], float]
    observer: Observer
    reach: Reach = pass_by
    _taking: Taking = field(init=False)
    _posts: dict[str, _Post] = field(default_factory=dict[str, _Post])
    _left: set[str] = field(default_factory=set[str])
    """Jobs whose history this program cannot read: whoever can may have them at once."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Queue[str] = field(default_factory=asyncio.Queue[str])
    _closing: bool = False
    _share: Share = field(default_factory=Share)

    def __post_init__(self) -> None:
        self._taking = Taking(self.claims, self.reach)

    @override
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        finally:
            await super().__aexit__(kind, error, trace)

    @override
    async def run(self) -> None:
        """Until cancelled; then call `close`."""
        async with asyncio.TaskGroup() as tasks:
            keeping = keep(self.claims, self.node, self.lease, kept=self._wake.set, lost=self._stop_at_once)
            tasks.create_task(keeping, name="lease")
            tasks.create_task(self._follow(tasks), name="commands")
            tasks.create_task(self._let_go(), name="ended runs")
            tasks.create_task(self._place_for_ever(tasks), name="placement")

    async def close(self) -> None:
        """Take nothing more, settle and stop every actor, give all claims back."""
        self._closing = True
        await self.system.stop_all(STOP_S)
        with suppress(LogUnavailable, TimeoutError):
            async with asyncio.timeout(1):
                await self.claims.leave()

    # --- lease

    async def _stop_at_once(self) -> None:
        """Politeness: a node without a lease stops what it runs. The fence is the guarantee."""
        for post in list(self._posts.values()):
            post.stopping = True
            await self.system.stop(self._actor_name(post.claimed.job_id), 0)

    # --- commands

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            with suppress(LogRewound):
                async for page in self.tail.follow(Position(await self._head())):
                    for event in page:
                        if event.entity_id.startswith("job/"):
                            self._hear(event, tasks)
            self._left.clear()  # an older copy of the log may lack what could not be read

    async def _head(self) -> int:
        """The position of the last event, however long Postgres is away: what was said before is in the views."""
        while True:
            with suppress(Unavailable, LogUnavailable):
                return await self.desk.caught_up()
            await asyncio.sleep(_AGAIN_S)

    def _hear(self, event: Recorded, tasks: asyncio.TaskGroup) -> None:
        """The name of an event says all that is needed here; one of a newer program may say anything, so the run stops."""
        job_id = event.entity_id.partition("/")[2]
        why = _WHY.get(event.type) if HISTORY.reads(event) else "handed_over"
        if why is not None:
            self._begin_stop(job_id, why, tasks)
        elif event.type in _RESUMED and job_id in self._posts:
            self._tell(self._posts[job_id], LookNow())
        tasks.create_task(self._wake_once_seen(event.position))

    async def _wake_once_seen(self, position: int) -> None:
        with suppress(Unavailable, LogUnavailable):
            await self.desk.reached(position)
        self._wake.set()

    def _begin_stop(self, job_id: str, why: Why, tasks: asyncio.TaskGroup) -> None:
        post = self._posts.get(job_id)
        if post is not None and not post.stopping:
            post.stopping = True
            tasks.create_task(self._stop(post, why))

    async def _stop(self, post: _Post, why: Why) -> None:
        """Say why first: an actor that is told to stop reads no more messages."""
        ref = self.system.find(self._actor_name(post.claimed.job_id))
        if ref is not None:
            with suppress(actor_errors.ActorError):
                await ref.ask(Ending(why), _HEAR_S)
        await self.system.stop(self._actor_name(post.claimed.job_id), STOP_S)

    def _tell(self, post: _Post, message: object) -> None:
        ref = self.system.find(self._actor_name(post.claimed.job_id))
        if ref is not None:
            with suppress(actor_errors.MailboxClosed):
                ref.tell(message)

    # --- placement

    async def _place_for_ever(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            with suppress(Unavailable, LogUnavailable):
                if self.lease.valid() and not self._closing:
                    await self._place(tasks)
            with suppress(TimeoutError):
                async with asyncio.timeout(PLACE_S):
                    await self._wake.wait()

    async def _place(self, tasks: asyncio.TaskGroup) -> None:
        """Stop what is no longer wanted, then take what nobody runs, up to this node's fair share.

        What is far above the share goes back, so that a node that came later gets its own; what nobody takes for long is
        taken whatever the share.
        """
        runnable = {each.job_id: each for each in await self.desk.runnable()}
        for job_id in [job_id for job_id in self._posts if job_id not in runnable]:
            await self._stop_unwanted(job_id, tasks)
        missing = [job_id for job_id in runnable if job_id not in self._posts and job_id not in self._left]
        self._share.miss(missing, self.monotonic())
        if not missing and len(self._posts) < _CROWD:
            return
        alive = [node.node_id for node in await self.claims.nodes() if node.alive]
        self._share.meet(alive)
        share = ceil(len(runnable) / max(1, len(alive)))
        self._hand_over(share, tasks)
        for claim in await self._take(missing, share):
            await self._start(runnable[claim.entity_id.partition("/")[2]], claim)

    def _hand_over(self, share: int, tasks: asyncio.TaskGroup) -> None:
        held = [job_id for job_id, post in self._posts.items() if not post.stopping]
        job_id = self._share.hands_over(held, share, self.monotonic())
        if job_id is not None:
            self._begin_stop(job_id, "handed_over", tasks)

    async def _take(self, missing: list[str], share: int) -> list[Claim]:
        room = share - len(self._posts)
        taken = await self._taking.take([f"run/{job_id}" for job_id in missing], room)
        if room > 0:
            return taken
        stranded = self._share.stranded(self.monotonic())
        taken = await self._taking.take([f"run/{job_id}" for job_id in stranded], share)
        for claim in taken:
            self._share.take_beyond(claim.entity_id.partition("/")[2])
        return taken

    async def _stop_unwanted(self, job_id: str, tasks: asyncio.TaskGroup) -> None:
        """A word of the log that was missed: the job was paused or deleted. One that has ended stops by itself."""
        match await self.desk.wanted(job_id):
            case "paused":
                self._begin_stop(job_id, "paused", tasks)
            case "deleted":
                self._begin_stop(job_id, "deleted", tasks)
            case _:
                pass

    async def _start(self, runnable: Runnable, claim: Claim) -> None:
        claimed = Claimed(runnable.job_id, runnable.name, claim.fence, count(1))
        self._posts[runnable.job_id] = _Post(claimed)
        with suppress(actor_errors.SystemStopping):  # the claim goes back with all others when the node leaves
            name = self._actor_name(runnable.job_id)
            await self.system.start(name, self.staff.actor(runnable, claimed), group="runs")

    def _actor_name(self, job_id: str) -> str:
        return f"run/{job_id}"

    # --- what has ended

    async def _let_go(self) -> None:
        """Give a claim back once its actor has ended, so that any node may take the run when it is wanted again."""
        while True:
            job_id = await self._ended.get()
            post = self._posts.get(job_id)
            if post is None:
                continue
            await self._say_why(post)
            with suppress(
                Unavailable, LogUnavailable
            ):  # so that a run that is complete is not seen as one that nobody runs
                await self.desk.caught_up()
            await self._release(f"run/{job_id}", post.claimed.fence)
            del self._posts[job_id]
            self._wake.set()

    async def _say_why(self, post: _Post) -> None:
        """A run that failed is not taken again by anybody; one that this program cannot read is left to others."""
        match post.failure:
            case None:
                pass
            case Unreadable() as why:
                self._left.add(post.claimed.job_id)
                await self.staff.left(post.claimed, why)
            case error:
                await self.staff.failed(post.claimed, repr(error))

    async def _release(self, entity_id: str, fence: int) -> None:
        """However long Postgres is away: a claim that is not given back would keep the run from every node."""
        while True:
            with suppress(LogUnavailable):
                await self.claims.release(entity_id, Fence(fence))
                return
            await asyncio.sleep(_AGAIN_S)

    @override
    def on_restarted(self, name: str, error: BaseException, kind: Kind, delay: float) -> None:
        self.observer.on_restarted(name, error, kind, delay)

    @override
    def on_failed(self, name: str, error: BaseException) -> None:
        if not isinstance(error, Unreadable):  # which is no fault of this program's
            self.observer.on_failed(name, error)
        post = self._posts.get(name.partition("/")[2])
        if post is not None:
            post.failure = error
        self._ended.put_nowait(name.partition("/")[2])

    @override
    def on_stopped(self, name: str, reason: StopReason) -> None:
        self.observer.on_stopped(name, reason)
        self._ended.put_nowait(name.partition("/")[2])

    @override
    def on_noticed(self, name: str, error: BaseException) -> None:
        self.observer.on_noticed(name, error)
