"""What can go wrong between nats3 and JetStream, named for what the caller does about it."""

from __future__ import annotations

from enum import Enum

from nats.errors import ProtocolError

from nats3.errors import Nats3Error


class Reason(Enum):
    """Why a source or a publisher cannot go on and its job must bind again."""

    CONNECTION_LOST = "the connection to NATS was lost"
    DELIVERY_LOST = "a delivery is missing: the delivery sequence jumped"
    OUT_OF_ORDER = "a message arrived below the one before it"
    FOREIGN_DELIVERY = "a delivery of another consumer arrived on this inbox"
    HEARTBEAT_DISAGREES = "a heartbeat names another last delivery than the one that arrived"
    HEARTBEATS_MISSED = "the server went silent while a pull request was open"
    CONSUMER_DELETED = "the consumer is gone"
    LEADERSHIP_CHANGED = "the consumer has a new leader"
    PULL_REFUSED = "the server refuses a pull request"
    ACK_UNCONFIRMED = "the server did not confirm an acknowledgement"
    STREAM_CHANGED = "the stream was replaced or reconfigured while it was being read"
    ACKS_MISSING = "the server stopped acknowledging what was published"


class MustBind(Nats3Error):
    """This source or publisher is over: close it, bind again, and open the next one."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value} ({detail})" if detail else reason.value)
        self.reason = reason
        self.detail = detail


class BadFrame(Nats3Error, ProtocolError):
    """The server sent bytes that are no frame of the protocol: the connection is closed and made again."""


class PublishRefused(Nats3Error):
    """The target does not take the message at `index` (counted from 0 since the publisher was opened).

    `code` is the server's error code, or one of the two below.
    """

    NO_RESPONDERS = 503
    """No stream listens on the subject."""
    WRONG_STREAM = -1
    """Another stream than the target acknowledged."""

    def __init__(self, index: int, code: int, reason: str) -> None:
        super().__init__(f"message {index} was not taken: {reason} ({code})")
        self.index = index
        self.code = code
        self.reason = reason


class TargetMoved(PublishRefused):
    """Somebody else wrote to the target, or an own write is unknown: read the target's state again (10071, 10070)."""
