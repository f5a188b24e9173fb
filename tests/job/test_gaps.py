"""What may be missing for a job that wants a part of its stream, out of what the stream says that it keeps."""

from __future__ import annotations

import pytest

from nats3.job.gaps import Kept, PossibleGap, kept_after, possible_gap, unlooked_gap

LIFE = "life-1"


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (Kept(1, 0, ()), None),
        (Kept(11, 0, ()), None),
        (Kept(12, 0, ()), (11, 11)),
        (Kept(99, 0, ()), (11, 20)),
        (Kept(5, 2, (7, 21)), None),
        (Kept(5, 3, (7, 13, 17)), (13, 17)),
        (Kept(13, 1, (17,)), (11, 17)),
        (Kept(5, 70_000, None, 0), None),
        (Kept(5, 70_000, None, 15), (11, 15)),
        (Kept(5, 70_000, None, 99), (11, 20)),
    ],
)
def test_what_was_dropped_of_a_stretch_may_be_missing_and_nothing_else(now, told):
    found = possible_gap(LIFE, 10, 20, now)
    assert found == (None if told is None else PossibleGap(LIFE, *told))


@pytest.mark.parametrize(
    ("first", "num_deleted", "unsure"),
    [(100, 50, 7), (100, 51, 999), (110, 40, 7), (110, 41, 999), (300, 0, 7), (300, 1, 999)],
)
def test_where_deleted_ones_are_only_counted_one_more_makes_all_unsure_that_is_there(first, num_deleted, unsure):
    """The first seq may have moved over as many of those that were deleted before."""
    before = Kept(100, 50, None, 7)
    assert kept_after(before, first, 999, num_deleted, None).unsure == unsure


def test_of_a_chunk_that_nobody_looked_at_all_that_is_not_told_may_be_missing():
    assert unlooked_gap(LIFE, 10, 20, 10, ()) is None
    assert unlooked_gap(LIFE, 10, 20, 7, ((12, 13), (15, 15))) is None
    assert unlooked_gap(LIFE, 10, 20, 7, ()) == PossibleGap(LIFE, 11, 20)
