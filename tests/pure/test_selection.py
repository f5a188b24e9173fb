"""Which messages are meant, and that skipping by bounds never skips one of them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nats3.message import Batch, Message
from nats3.selection import EVERYTHING, Bounds, Selection
from nats3.subject import matches

BATCH = Batch(
    [2, 4, 6, 8],
    [100, 90, 300, 200],
    [b"a.x", b"b.y", b"a.z", b"a.x"],
    [None, b"NATS/1.0\r\nK: v\r\n\r\n", b"NATS/1.0\r\nK: v\r\nL: w\r\n\r\n", b"garbage"],
    [b"1", b"2", b"3", b"4"],
)


def seqs(selection: Selection, taken: int = 0) -> list[int]:
    return selection.select(BATCH, taken).seqs


def test_nothing_asked_for_is_everything_and_copies_nothing() -> None:
    assert EVERYTHING.select(BATCH) is BATCH


def test_seqs_include_both_ends() -> None:
    assert seqs(Selection(first_seq=4, last_seq=6)) == [4, 6]
    assert seqs(Selection(first_seq=5)) == [6, 8]
    assert seqs(Selection(last_seq=1)) == []
    assert seqs(Selection(first_seq=7, last_seq=3)) == []


def test_times_are_half_open_and_asked_of_each_message() -> None:
    assert seqs(Selection(from_time=100, to_time=300)) == [2, 8]
    assert seqs(Selection(to_time=100)) == [4]
    assert seqs(Selection(from_time=301)) == []


def test_one_of_the_subject_filters_must_match() -> None:
    assert seqs(Selection(subjects=("a.*",))) == [2, 6, 8]
    assert seqs(Selection(subjects=("b.>", "a.z"))) == [4, 6]


def test_every_header_asked_for_must_be_there() -> None:
    assert seqs(Selection(headers=(("K", "v"),))) == [4, 6]
    assert seqs(Selection(headers=(("K", "v"), ("L", "w")))) == [6]


def test_a_limit_counts_what_was_chosen_before() -> None:
    assert seqs(Selection(subjects=("a.>",), limit=2)) == [2, 6]
    assert seqs(Selection(limit=5), taken=3) == [2, 4]
    assert seqs(Selection(limit=5), taken=9) == []


CHOICES = st.builds(
    Selection,
    subjects=st.lists(st.sampled_from(["a", "a.*", "b.>", "*.c", "a.c"]), max_size=2).map(tuple),
    from_time=st.none() | st.integers(0, 20),
    to_time=st.none() | st.integers(0, 20),
    first_seq=st.none() | st.integers(1, 20),
    last_seq=st.none() | st.integers(1, 20),
    limit=st.none() | st.integers(0, 5),
)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    count = draw(st.integers(1, 10))
    column = {"min_size": count, "max_size": count}
    numbers = sorted(draw(st.lists(st.integers(1, 20), unique=True, **column)))
    times = draw(st.lists(st.integers(0, 20), **column))
    subjects = draw(st.lists(st.sampled_from([b"a", b"a.b", b"a.c", b"b.c", b"b"]), **column))
    return Batch(numbers, times, subjects, [None] * count, [b""] * count)


def meant(selection: Selection, message: Message) -> bool:
    """The conditions once more, one message at a time."""
    return (
        (selection.first_seq is None or message.seq >= selection.first_seq)
        and (selection.last_seq is None or message.seq <= selection.last_seq)
        and (selection.from_time is None or message.time_ns >= selection.from_time)
        and (selection.to_time is None or message.time_ns < selection.to_time)
        and (not selection.subjects or any(matches(pattern, message.subject) for pattern in selection.subjects))
    )


@given(selection=CHOICES, batch=batches())
@settings(max_examples=500, deadline=None)
def test_a_batch_is_cut_as_one_message_at_a_time_would_be(selection: Selection, batch: Batch) -> None:
    expected = [message for message in batch if meant(selection, message)][: selection.limit]
    assert list(selection.select(batch)) == expected


@given(selection=CHOICES, batch=batches())
@settings(max_examples=500, deadline=None)
def test_nothing_that_is_meant_is_skipped_by_its_bounds(selection: Selection, batch: Batch) -> None:
    subjects = tuple(dict.fromkeys(batch.subjects))
    bounds = Bounds(batch.seqs[0], batch.seqs[-1], min(batch.times), max(batch.times), subjects)
    if not selection.touches(bounds):
        assert len(selection.select(batch)) == 0


def test_bounds_outside_are_skipped() -> None:
    bounds = Bounds(10, 20, 100, 200, (b"a.x",))
    assert EVERYTHING.touches(bounds)
    assert not Selection(last_seq=9).touches(bounds)
    assert Selection(last_seq=10).touches(bounds)
    assert not Selection(first_seq=21).touches(bounds)
    assert not Selection(to_time=100).touches(bounds)
    assert Selection(from_time=200).touches(bounds)
    assert not Selection(from_time=201).touches(bounds)
    assert not Selection(subjects=("b.>",)).touches(bounds)
    assert Selection(subjects=("b.>",)).touches(Bounds(10, 20, 100, 200))
