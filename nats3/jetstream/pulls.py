"""How far a pull consumer may be asked: which requests are open, and how much they may still bring."""

from __future__ import annotations

from dataclasses import dataclass

from nats3.jetstream.inflow import Inflow

MOST_OPEN = 4


@dataclass(frozen=True, slots=True)
class Pull:
    """One pull request: it ends after so many messages, or before a message that no longer fits."""

    number: int
    messages: int
    max_bytes: int


class Pulls:
    """Keeps what is asked for within what was allowed, and within a share of the connection.

    The server deals messages to its open requests in turn, so only their sum is known; every request with a limit of
    bytes ends in a status that says what it did not use, which keeps the sum exact. `least_bytes` is a request that any
    message fits; smaller ones are made only where less is allowed, and not again once a message did not fit.
    """

    def __init__(self, least_bytes: int, inflow: Inflow) -> None:
        self.least_bytes = least_bytes
        self._inflow = inflow
        self.messages = 0
        self.bytes = 0
        self._room_messages = 0
        self._room_bytes = 0
        self._allowed = 0
        self._open: dict[int, Pull] = {}
        self._made = 0
        self.refused = 0
        """Bytes of a request that the next message did not fit into; 0 once it has come."""

    @property
    def may_arrive(self) -> int:
        """Bytes that may still come: of what is open, and of what is allowed and will be asked for."""
        return max(self.bytes, self._room_bytes)

    @property
    def waiting(self) -> bool:
        """True while a request is open, so that the server must let us hear from it."""
        return bool(self._open)

    def allow(self, messages: int, max_bytes: int) -> None:
        """From now on no more than this may arrive, beside what is open already, nor more than our share of the connection."""
        self._inflow.wants(self, max_bytes)
        share = max(self._inflow.share, self.least_bytes) if self.refused else self._inflow.share
        self._room_messages = messages
        self._room_bytes = self._allowed = min(max_bytes, share)

    def over(self) -> None:
        """Nothing will be asked for any more."""
        self._inflow.wants(self, 0)

    def next(self) -> Pull | None:
        """The next request to make, None when enough is open. Small rests wait until they are a quarter of the room."""
        messages = self._room_messages - self.messages
        max_bytes = self._room_bytes - self.bytes
        if len(self._open) >= MOST_OPEN or messages < 1 or max_bytes < self._worth():
            return None
        if self._open and messages * MOST_OPEN < self._room_messages and max_bytes * MOST_OPEN < self._room_bytes:
            return None
        self._made += 1
        pull = Pull(self._made, messages, max_bytes)
        self._open[pull.number] = pull
        self.messages += messages
        self.bytes += max_bytes
        return pull

    def _worth(self) -> int:
        """Bytes of the smallest request worth making."""
        return max(1, self.refused + 1 if self.refused else min(self.least_bytes, self._allowed))

    def arrived(self, messages: int, size: int) -> None:
        """So many messages came; `size` as the server counts it: subject, reply, header block and payload."""
        self.refused = 0
        self.messages -= messages
        self.bytes -= size
        self._room_messages -= messages
        self._room_bytes -= size
        if self.messages <= 0:
            self._close_all()

    def ended(self, number: int, messages: int, size: int) -> Pull | None:
        """Request `number` is over and did not use so much; returns it, None when it is not open."""
        pull = self._open.pop(number, None)
        if pull is None:
            return None
        self.messages -= messages
        self.bytes -= size
        if not self._open:
            self._close_all()
        return pull

    def did_not_fit(self, pull: Pull) -> None:
        """The next message is larger than this request was: a smaller one is not worth making."""
        self.refused = max(self.refused, pull.max_bytes)

    def _close_all(self) -> None:
        """Nothing more can come: every request is over, also those of an older server that does not say so."""
        self._open.clear()
        self.messages = self.bytes = 0
