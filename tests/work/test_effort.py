"""How hard a job compresses follows what it has time for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nats3.work.effort import LEAST, MOST, Effort, effort_of


def test_a_job_that_falls_behind_compresses_less_until_it_cannot_compress_less():
    effort = Effort(6)
    levels = []
    for _ in range(4):
        effort = effort.after(pressing_s=0.9, passed_s=1)
        levels.append(effort.level)
    assert levels == [3, 1, 1, 1]


def test_a_job_that_has_time_compresses_a_little_more_each_time():
    effort = effort_of("auto")
    for expected in (2, 3, 4):
        effort = effort.after(pressing_s=0.001, passed_s=10)
        assert effort.level == expected


def test_in_between_nothing_changes():
    assert Effort(3).after(pressing_s=0.3, passed_s=1) == Effort(3)


def test_a_level_that_was_ordered_is_kept():
    assert effort_of(7).after(9, 1).after(0, 1) == effort_of(7)
    assert effort_of(7).level == 7


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100))))
def test_it_never_leaves_its_bounds(chunks):
    effort = effort_of("auto")
    for pressing_s, passed_s in chunks:
        effort = effort.after(pressing_s, passed_s)
        assert LEAST <= effort.level <= MOST
