"""How much a replay may send, told by arithmetic on the caller's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats3.pace import Pace, PaceLimits

SECOND = 1_000_000_000


def replay(pace: Pace, times: list[int], size: int, now: float = 0.0) -> list[float]:
    """When each message goes, on a clock that stands still but for the waits."""
    moments: list[float] = []
    while times:
        count, wait = pace.due(times, [size] * len(times), now)
        assert bool(count) != (wait > 0)
        if count:
            moments += [now] * count
            pace.sent(times[:count], size * count, now)
            times = times[count:]
        now += wait
    return moments


def test_without_limits_everything_goes_at_once() -> None:
    assert replay(Pace(PaceLimits(), 0), [1] * 1000, 100) == [0.0] * 1000


@given(rate=st.integers(1, 5000), count=st.integers(1, 300))
def test_messages_per_second_are_kept_over_any_length(rate: int, count: int) -> None:
    moments = replay(Pace(PaceLimits(messages_per_s=rate), 0), [1] * count, 1)
    for sent, moment in enumerate(moments):
        assert sent <= rate * (moment + 0.1) + 1
    assert moments[-1] <= count / rate + 1e-6


def test_a_quiet_time_saves_up_no_more_than_the_burst() -> None:
    pace = Pace(PaceLimits(messages_per_s=100), 0, burst_s=0.1)
    moments = replay(pace, [1] * 50, 1, now=10.0)
    assert moments.count(10.0) <= 11
    assert moments[-1] >= 10.0 + 39 / 100 - 1e-6


def test_bytes_per_second_are_kept() -> None:
    pace = Pace(PaceLimits(messages_per_s=1e9, bytes_per_s=1000), 0, burst_s=0)
    assert replay(pace, [1] * 5, 500) == pytest.approx([0, 0.5, 1.0, 1.5, 2.0])


def test_bytes_per_second_alone_are_kept_message_by_message() -> None:
    moments = replay(Pace(PaceLimits(bytes_per_s=1000), 0), [1] * 100, 10)
    assert moments[0] == 0
    assert moments[-1] == pytest.approx(1.0, abs=0.1)
    assert max(map(moments.count, moments)) <= 11


def test_a_message_that_costs_more_than_was_saved_goes_and_is_waited_for() -> None:
    assert replay(Pace(PaceLimits(bytes_per_s=100), 0), [1] * 3, 500) == pytest.approx([0, 5, 10])


def test_the_original_timing_is_kept_times_a_factor() -> None:
    times = [10 * SECOND, 11 * SECOND, 11 * SECOND, 15 * SECOND]
    assert replay(Pace(PaceLimits(factor=2.0), 0), times, 1) == pytest.approx([0, 0.5, 0.5, 2.5])


def test_no_pause_is_longer_than_the_ceiling_on_gaps() -> None:
    times = [0, 3600 * SECOND, 3601 * SECOND]
    assert replay(Pace(PaceLimits(factor=1.0, max_gap_s=5), 0), times, 1) == pytest.approx([0, 5, 6])


def test_a_clock_that_stepped_back_delays_nothing() -> None:
    assert replay(Pace(PaceLimits(factor=1.0), 0), [5 * SECOND, 3 * SECOND, 4 * SECOND], 1) == pytest.approx([0, 0, 1])


def test_a_late_sender_catches_up_with_the_original_timing() -> None:
    pace = Pace(PaceLimits(factor=1.0), 0)
    times = [0, SECOND, 2 * SECOND, 3 * SECOND]
    pace.sent(times[:1], 1, 0.0)
    assert pace.due(times[1:], [1] * 3, 2.5) == (2, 0.0)
    pace.sent(times[1:3], 2, 2.5)
    assert pace.due(times[3:], [1], 2.5) == (0, pytest.approx(0.5))
