"""What a worker does about a fault, as a table."""

from __future__ import annotations

import pytest

from nats3.errors import Blocked, Unavailable
from nats3.jetstream.errors import MustBind, Reason
from nats3.job.running import RunBlocked, RunDegraded
from nats3.objects.store import BucketMissing
from nats3.work.endure import CONFIRMATIONS, judge


@pytest.mark.parametrize("dependency", ["nats", "s3", "postgres"])
def test_an_outage_of_any_length_is_endured_and_never_waited_for_longer_than_two_seconds(dependency: str) -> None:
    for times in (1, 2, 10, 100_000):
        verdict = judge(Unavailable(dependency, "away"), times)
        assert verdict is not None
        assert verdict.delay_s <= 2.0
        assert isinstance(verdict.says, RunDegraded)


def test_a_bind_that_is_needed_once_is_done_at_once_and_in_silence() -> None:
    verdict = judge(MustBind(Reason.CONNECTION_LOST), 1)
    assert verdict is not None
    assert (verdict.delay_s, verdict.says) == (0.0, None)


def test_a_missing_bucket_is_confirmed_before_it_is_said() -> None:
    said = [judge(BucketMissing("b"), times) for times in range(1, CONFIRMATIONS + 1)]
    assert [each.says is not None for each in said if each is not None] == [False] * (CONFIRMATIONS - 1) + [True]


def test_a_bug_is_not_endured() -> None:
    assert judge(KeyError("x"), 1) is None


@pytest.mark.parametrize("fault", [Unavailable("nats", "a\0b"), Blocked("target_missing", "no stream takes t\0")])
def test_a_reason_can_be_kept_whatever_it_quotes(fault: Exception) -> None:
    """Postgres keeps no NUL in a text; a subject out of the archive may hold one."""
    verdict = judge(fault, 1)
    assert verdict is not None
    assert isinstance(verdict.says, RunDegraded | RunBlocked)
    assert "\0" not in verdict.says.reason
    assert "\\0" in verdict.says.reason
