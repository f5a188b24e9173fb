"""How far a load is, out of what was handed over and how much of that is acknowledged."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nats3.job.loading import DisplacedRange
from nats3.message import Batch
from nats3.work.pieces import Piece
from nats3.work.present import Known
from nats3.work.sent import Line, Reached


def piece(seqs: list[int], known: list[int], reaches: int) -> Piece:
    """What is known stands a thousand further on in the target."""
    count = len(seqs)
    batch = Batch(list(seqs), list(seqs), [b"s"] * count, [None] * count, [b""] * count)
    return Piece(0, batch, ["life"] * count, known=[Known(seq, 1000 + seq) for seq in known], reaches=reaches)


def test_what_the_target_had_already_counts_as_soon_as_progress_passes_it() -> None:
    line = Line()
    behind = (DisplacedRange(0, 3, 5, 3),)
    line.add(piece([1, 2, 6, 7], [3, 4, 5], 8), slice(0, 4), 0)
    assert line.acknowledged(1, 0)[1] == Reached(0, 1, 1)
    assert line.acknowledged(2, 1)[1] == Reached(0, 5, 5, 1005, behind)
    assert line.acknowledged(3, 2)[1] == Reached(0, 6, 6, 1005, behind)
    settled, reached = line.acknowledged(4, 3)
    assert reached == Reached(0, 8, 7, 1005, behind)
    line.drop(settled, reached)
    line.add(piece([9], [], 9), slice(0, 1), 0)
    assert line.acknowledged(5, 4)[1] == Reached(0, 9, 8, 1005)


def test_what_is_known_behind_what_is_sent_now_is_displaced_and_told_once() -> None:
    line = Line()
    line.add(piece([4, 7], [1, 2, 5, 6, 8], 8), slice(0, 2), 0)
    settled, reached = line.acknowledged(1, 0)
    assert reached is not None
    assert reached.displaced == (DisplacedRange(0, 5, 6, 2),), "1 and 2 stand where they should"
    line.drop(settled, reached)
    _, reached = line.acknowledged(2, 1)
    assert reached is not None
    assert reached.displaced == (DisplacedRange(0, 8, 8, 1),)


def test_what_is_known_behind_a_message_that_was_there_already_stands_where_it_should() -> None:
    """It was answered as a duplicate: the second that is sent is the first to come behind all that was there."""
    line = Line()
    line.add(piece([1, 4], [2, 3, 5], 5), slice(0, 2), 0)
    _, reached = line.acknowledged(2, 0, beyond=1)
    assert reached is not None
    assert reached.displaced == (DisplacedRange(0, 5, 5, 1),)


def test_of_what_is_known_that_is_displaced_which_stands_before_an_earlier_one() -> None:
    line = Line()
    mixed = replace(piece([], [], 6), known=[Known(1, 14), Known(2, 15), Known(3, 11), Known(4, 16), Known(6, 13)])
    line.add(mixed, slice(0, 0), 0)
    _, reached = line.acknowledged(0, 0)
    assert reached is not None
    assert reached.displaced == (DisplacedRange(0, 3, 6, 2),)


def test_indexes_are_told_as_seqs_by_rank() -> None:
    line = Line()
    line.add(piece([1, 2, 3, 4], [], 4), slice(0, 2), 0)
    line.add(piece([1, 2, 3, 4], [], 4), slice(2, 4), 0)
    line.add(replace(piece([1, 5], [], 5), rank=1), slice(0, 2), 0)
    assert list(line.ranges(1, 2)) == [DisplacedRange(0, 2, 3, 2)]
    assert list(line.ranges(3, 5)) == [DisplacedRange(0, 4, 4, 1), DisplacedRange(1, 1, 5, 2)]


@given(st.data())
def test_progress_counts_every_message_up_to_the_seq_that_it_names_and_none_behind_it(data: st.DataObject) -> None:
    """So that a limit holds: what is read again after a crash is exactly what was not counted."""
    line, sent, everything, had = Line(), 0, [], []
    for at in range(data.draw(st.integers(1, 4))):
        mask = data.draw(st.lists(st.sampled_from(["sent", "known", "gone"]), min_size=1, max_size=12))
        numbered = [(100 * at + place, what) for place, what in enumerate(mask, 1)]
        seqs = [seq for seq, what in numbered if what == "sent"]
        known = [seq for seq, what in numbered if what == "known"]
        everything += sorted([*seqs, *known])
        had += known
        whole = piece(seqs, known, 100 * at + len(mask))
        starts = range(0, len(seqs), data.draw(st.integers(1, 5))) if seqs else [0]
        cuts = [*starts, len(seqs)]
        for start, stop in itertools.pairwise(cuts):
            line.add(whole, slice(start, stop), 0)
        sent += len(seqs)
    recorded = 0
    while recorded < sent:
        acked = data.draw(st.integers(recorded + 1, sent))
        settled, reached = line.acknowledged(acked, recorded)
        assert reached is not None
        assert reached.messages == len([seq for seq in everything if seq <= reached.seq])
        assert reached.known_at == max((1000 + seq for seq in had if seq <= reached.seq), default=0)
        line.drop(settled, reached)
        recorded = acked
