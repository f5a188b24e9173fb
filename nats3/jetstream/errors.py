"""What can go wrong between nats3 and JetStream, named for what the caller does about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

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
    CONSUMER_EDITED = "the consumer is not as it was made: somebody has edited or paused it"
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
    """Somebody else wrote to the target, or what became of an own write is unknown: read the target's state again."""


class TargetBusy(PublishRefused):
    """The target takes nothing just now: wait, and publish again."""


WRONG_LAST_ID = 10070
WRONG_LAST_SEQUENCE = 10071
KNOWN_ID = 10201
"""A message id in the batch is already in the target: the whole batch is refused."""

_MEANS: Mapping[int, type[PublishRefused]] = {
    WRONG_LAST_ID: TargetMoved,
    WRONG_LAST_SEQUENCE: TargetMoved,
    10158: TargetMoved,  # the same message id is in process: ours, of a connection before
    10164: TargetMoved,  # the marker's subject is in process: ours, of a connection before
    10176: TargetMoved,  # of the batch it has forgotten the beginning: a stall, another leader, too many batches
    KNOWN_ID: TargetMoved,
    10008: TargetBusy,  # no leader or no quorum
    10023: TargetBusy,  # no room on the server
    10163: TargetBusy,  # a new leader that does not know yet what is under way
    10167: TargetBusy,  # more comes than it can store
    10210: TargetBusy,  # too many atomic batches are open
}
"""By the server's code. Whatever is not here, the target refuses until somebody changes it."""


def refused(index: int, error: object) -> PublishRefused:
    """What `error`, out of the server's answer to message `index`, means."""
    told: Mapping[str, Any] = error if isinstance(error, dict) else {}
    code = told.get("err_code", told.get("code"))
    code = code if type(code) is int else 0
    return _MEANS.get(code, PublishRefused)(index, code, str(told.get("description", "")))
