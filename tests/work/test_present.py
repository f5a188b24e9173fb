"""What a target has of a load counts as there; where it could have replaced a message or not, nothing is guessed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nats3.jetstream.streams import StreamInfo
from nats3.work.modes import kept_per_subject
from nats3.work.present import Known, Present

LIMITS = StreamInfo("T", 1, "limits", 1, 0, 0, 0, {"max_msgs_per_subject": 1})


def test_a_stream_of_limits_replaces_the_values_of_a_subject() -> None:
    assert kept_per_subject(LIMITS) == 1
    assert kept_per_subject(replace(LIMITS, config={"max_msgs_per_subject": -1})) == 0


@pytest.mark.parametrize(
    "config", [{"discard_new_per_subject": True}, {"subject_transform": {"src": "a.>", "dest": "a.a.>"}}]
)
def test_a_stream_that_refuses_new_values_or_renames_them_replaces_none_that_we_could_tell(
    config: dict[str, Any],
) -> None:
    """Of what was refused nothing is there, and it is still wanted."""
    assert kept_per_subject(replace(LIMITS, config={**LIMITS.config, **config})) == 0


@pytest.mark.parametrize("retention", ["workqueue", "interest"])
def test_what_a_consumer_takes_out_was_not_replaced(retention: str) -> None:
    assert kept_per_subject(replace(LIMITS, retention=retention)) == 0


def test_a_missing_message_counts_as_there_behind_so_many_later_ones_of_its_subject() -> None:
    present = Present({("life", 3): 9, ("life", 4): 10}, 2, {b"a": [(1, 3), (1, 4)]})

    def known(seq: int, subject: bytes | None) -> Known | None:
        (found,) = present.known(1, ["life"], [seq], lambda: [subject])
        return found

    assert known(4, b"a") == Known(4, 10)
    assert known(2, b"a") == Known(2, 0)
    assert known(2, b"b") is None
    assert known(2, None) is None
    assert known(5, b"a") is None
    assert replace(present, per_subject=3).known(1, ["life"], [2], lambda: [b"a"]) == [None]
