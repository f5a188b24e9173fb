"""What a worker reads from: one consumer's messages, and how long to wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nats3.message import Batch


@dataclass(frozen=True, slots=True)
class Delivered:
    """What arrived since the last call: new messages in stream order, and redelivered ones in the order they came."""

    batch: Batch
    again: Batch


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a pull request stays open, how often the server shows that it lives, how long it may then be silent all
    the same, and how long an ack may take.
    """

    expires_s: float = 30.0
    heartbeat_s: float = 5.0
    silence_s: float = 11.0
    ack_s: float = 10.0


DEFAULT_PATIENCE = Patience()


class Source(Protocol):
    """One consumer on an inbox of its own. Every method but ask and close raises MustBind once it is over."""

    def ask(self, messages: int, max_bytes: int) -> None:
        """From now on at most so much more may arrive; requests are made and renewed until it has.

        Nothing is asked for when either is 0. With less than `least_bytes` it may turn out that a message does not fit:
        then `refused` says so, and nothing comes until more is allowed.
        """
        ...

    async def receive(self) -> Delivered:
        """All that arrived since the last call; nothing when a request ended, so that `may_arrive` or `refused` changed.

        Loses nothing when it is cancelled.
        """
        ...

    async def ack_up_to(self, seq: int) -> None:
        """Acknowledge everything received up to `seq` (AckAll). Returns once the server confirmed it."""
        ...

    async def ack_each(self, seqs: Sequence[int]) -> None:
        """Acknowledge exactly these received messages (explicit), in one write. Returns once the last is confirmed."""
        ...

    async def close(self) -> None:
        """Stop receiving. The consumer stays."""
        ...

    @property
    def least_bytes(self) -> int:
        """Bytes that bring any message: the largest that the server takes, and its headers."""
        ...

    @property
    def may_arrive(self) -> int:
        """Bytes that were asked for and were not received yet: what is allowed or still open, and what has arrived."""
        ...

    @property
    def refused(self) -> int:
        """Bytes of a request that the next message did not fit into, 0 when none is known not to fit."""
        ...
