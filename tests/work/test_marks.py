from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats3.job.loading import PlannedRange
from nats3.work.marks import Mark, plan_digest, read_mark

MARK = Mark("job", 2, "digest", 3, "life", 45, 30)
RANGES = (PlannedRange(0, "job", "life", 5, 1, 9), PlannedRange(1, "job", "life-2", 6, 1, 9))


def test_a_mark_comes_back() -> None:
    assert read_mark(MARK.to_bytes()) == MARK
    assert read_mark(MARK.to_bytes()[:-1] + b',"later":1}') == MARK


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b"7",
        b"\xff",
        b"[" * 100_000,
        MARK.to_bytes().replace(b'"seq":45', b'"seq":"45"'),
        MARK.to_bytes().replace(b'"seq":45', b'"seq":true'),
    ],
)
def test_what_is_no_mark_is_none(payload: bytes) -> None:
    assert read_mark(payload) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_a_mark_or_none(payload: bytes) -> None:
    assert read_mark(payload) is None


def test_a_plan_is_known_by_its_ranges_up_to_a_rank() -> None:
    assert plan_digest(RANGES, 0) == plan_digest(RANGES[:1], 0) == plan_digest(RANGES[:1], 7)
    assert plan_digest(RANGES, 0) != plan_digest(RANGES, 1)
    assert plan_digest(RANGES, 0) != plan_digest([replace(RANGES[0], last=10)], 0)
