"""What a load reads: pieces of the plan, each with how far everything is once it is acknowledged."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from nats3.job.loading import PlannedRange
from nats3.job.order import LoadOrder
from nats3.message import Batch
from nats3.work.pieces import _Head, _Read, _union, overlapping, selection_of
from tests.job.events import CHUNK

SOURCE = PlannedRange(1, "job", "life", 1, 1, 20)


async def _no_more() -> AsyncGenerator[Any]:
    return
    yield


def head(first: int, last: int, *, mask: bool = False) -> _Head:
    seqs = list(range(first, last + 1))
    batch = Batch(seqs, seqs, [b"s"] * len(seqs), [None] * len(seqs), [b""] * len(seqs))
    read = _Read(replace(CHUNK, first=first, last=last), batch)
    return _Head(SOURCE, _no_more(), read, mask)


async def test_what_was_published_before_is_progress_although_there_is_nothing_to_send() -> None:
    """A chunk that another job's messages were taken from ends within one of ours: progress never falls behind."""
    piece = _union(1, [head(11, 12, mask=True), head(11, 20)], 12)
    assert (len(piece.batch), piece.finishes, piece.reaches) == (0, (), 12)


def test_every_part_of_a_selection_is_taken_from_the_order() -> None:
    order = LoadOrder("l", "b", "S", read_subjects=("a", "b.*"), read_headers=(("N", "1"),), from_seq=2, to_seq=3)
    chosen = selection_of(replace(order, from_time=4, to_time=5, limit=6))
    assert (chosen.subjects, chosen.headers) == (("a", "b.*"), (("N", "1"),))
    assert (chosen.first_seq, chosen.last_seq, chosen.from_time, chosen.to_time) == (2, 3, 4, 5)
    assert chosen.limit is None, "the reader counts over all chunks"
    assert selection_of(LoadOrder("l", "b", "S")).subjects == ()


def test_a_range_whose_times_are_not_known_is_compared_with_all_that_another_job_has_of_its_seqs() -> None:
    """An older program planned it."""
    known = PlannedRange(0, "other", "life", 5, 11, 40, 1000, 2000)
    anew = PlannedRange(2, "job", "life-2", 9, 1, 20, 3000, 4000)
    assert overlapping([known, anew], [anew]) == []
    assert overlapping([known], [SOURCE]) == [replace(known, last=20)]
    assert overlapping([replace(known, job_id="job")], [SOURCE]) == []
