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
        """From now on no more than this may arrive, beside what is open already."""
        self._room_messages = messages
        self._room_bytes = self._allowed = max_bytes
        self._inflow.wants(self, max_bytes)

    def over(self) -> None:
        """Nothing will be asked for any more."""
        self._inflow.wants(self, 0)

    def next(self) -> Pull | None:
        """The next request to make, None when enough is open. Small rests wait until they are a quarter of the room."""
        messages, max_bytes = self._next_size()
        if len(self._open) >= MOST_OPEN or messages < 1 or max_bytes < self._worth():
            return None
        self._made += 1
        pull = Pull(self._made, messages, max_bytes)
        self._open[pull.number] = pull
        self.messages += messages
        self.bytes += max_bytes
        return pull

    def _next_size(self) -> tuple[int, int]:
        """Messages and bytes of it: all that may come, or, where others share the connection, a part of our share, so that several
        requests are open and none waits for the end of the one before.
        """
        least = max(self._worth(), self.least_bytes) if self.refused else self._worth()
        share = max(self._inflow.share, least)
        messages = self._room_messages - self.messages
        if self._room_bytes <= share:
            too_few = self._open and messages * MOST_OPEN < self._room_messages
            return (0, 0) if too_few else (messages, self._room_bytes - self.bytes)
        part = max(share // MOST_OPEN, least)
        if share - self.bytes < part:
            return 0, 0
        return min(messages, max(1, self._room_messages * part // self._room_bytes)), part

    def _worth(self) -> int:
        """Bytes of the smallest request worth making."""
        if self.refused:
            return self.refused + 1
        return max(1, min(self.least_bytes, self._allowed, max(self._inflow.least, self._inflow.share // MOST_OPEN)))

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
