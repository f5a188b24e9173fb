"""When a chunk ends, and that nothing is lost or reordered by the cut."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nats3.buffer import Buffer, BufferLimits, Room, Seal, Sealed
from nats3.message import Batch


def messages(first: int, *sizes: int) -> Batch:
    """Messages whose subject, header block and payload are `size` bytes together."""
    count = len(sizes)
    headers = [b"h" if size > 2 else None for size in sizes]
    payloads = [b"p" * (size - 1 - (size > 2)) for size in sizes]
    return Batch(list(range(first, first + count)), [1] * count, [b"s"] * count, headers, payloads)


def told(sealed: list[Sealed]) -> list[tuple[list[int], Seal]]:
    return [(chunk.batch.seqs, chunk.reason) for chunk in sealed]


def test_a_chunk_ends_when_the_next_message_would_pass_the_ceiling_of_bytes() -> None:
    buffer = Buffer(BufferLimits(100, 1000, 10))
    assert buffer.add(messages(1, 40, 40), 0) == []
    assert told(buffer.add(messages(3, 30), 0)) == [([1, 2], Seal.BYTES)]
    assert len(buffer) == 1


def test_a_chunk_ends_at_once_when_it_reaches_the_ceiling_exactly() -> None:
    buffer = Buffer(BufferLimits(100, 1000, 10))
    assert told(buffer.add(messages(1, 40, 60), 0)) == [([1, 2], Seal.BYTES)]
    assert len(buffer) == 0


def test_a_message_larger_than_the_ceiling_makes_a_chunk_alone() -> None:
    buffer = Buffer(BufferLimits(100, 1000, 10))
    chunks = buffer.add(messages(1, 10, 500, 10), 0)
    assert told(chunks) == [([1], Seal.BYTES), ([2], Seal.BYTES)]
    assert chunks[1].message_bytes == 500
    assert len(buffer) == 1


def test_a_chunk_ends_exactly_at_its_count() -> None:
    buffer = Buffer(BufferLimits(10**6, 3, 10))
    assert told(buffer.add(messages(1, *[5] * 8), 0)) == [([1, 2, 3], Seal.COUNT), ([4, 5, 6], Seal.COUNT)]
    assert buffer.room() == Room(1, 10**6 - 10)


def test_age_counts_from_the_first_message_that_is_still_held() -> None:
    buffer = Buffer(BufferLimits(100, 1000, 10))
    assert buffer.deadline() is None
    buffer.add(messages(1, 10), 5.0)
    buffer.add(messages(2, 10), 9.0)
    assert buffer.deadline() == 15.0
    assert buffer.tick(14.9) is None
    sealed = buffer.tick(15.0)
    assert sealed is not None
    assert told([sealed]) == [([1, 2], Seal.AGE)]
    assert buffer.deadline() is None


def test_what_a_cut_leaves_behind_is_as_old_as_its_arrival() -> None:
    buffer = Buffer(BufferLimits(100, 2, 10))
    buffer.add(messages(1, 10), 1.0)
    buffer.add(messages(2, 10, 10), 7.0)
    assert buffer.deadline() == 17.0


def test_flush_hands_out_everything_with_the_reason_given() -> None:
    buffer = Buffer(BufferLimits(100, 1000, 10))
    assert buffer.flush(Seal.STOP) is None
    buffer.add(messages(1, 10, 20), 0)
    sealed = buffer.flush(Seal.MEMORY)
    assert sealed == Sealed(messages(1, 10, 20), Seal.MEMORY, 30)
    assert (len(buffer), buffer.message_bytes, buffer.room()) == (0, 0, Room(1000, 100))


def test_no_message_changes_nothing() -> None:
    buffer = Buffer(BufferLimits(100, 1000, 10))
    assert buffer.add(Batch(), 0) == []
    assert buffer.deadline() is None


@given(
    arrivals=st.lists(st.lists(st.integers(1, 60), max_size=12), max_size=12),
    max_bytes=st.integers(1, 150),
    max_count=st.integers(1, 9),
)
@settings(max_examples=500, deadline=None)
def test_every_message_is_in_one_chunk_in_order_and_no_chunk_passes_its_ceilings(
    arrivals: list[list[int]], max_bytes: int, max_count: int
) -> None:
    buffer = Buffer(BufferLimits(max_bytes, max_count, 10))
    chunks: list[Sealed] = []
    seq = 1
    for now, sizes in enumerate(arrivals):
        chunks += buffer.add(messages(seq, *sizes), now)
        seq += len(sizes)
        assert len(buffer) < max_count
        assert buffer.message_bytes < max_bytes or not len(buffer)
    last = buffer.flush(Seal.PAUSE)
    everything = Batch()
    for chunk in [*chunks, *([last] if last else [])]:
        assert chunk.message_bytes == chunk.batch.raw_bytes()
        assert 1 <= len(chunk.batch) <= max_count
        assert chunk.message_bytes <= max_bytes or len(chunk.batch) == 1
        everything.extend(chunk.batch)
    assert everything == messages(1, *[size for sizes in arrivals for size in sizes])


@given(sizes=st.lists(st.integers(1, 60), max_size=40), cut=st.integers(0, 40))
@settings(max_examples=300, deadline=None)
def test_how_messages_arrive_does_not_change_where_chunks_end(sizes: list[int], cut: int) -> None:
    limits = BufferLimits(100, 7, 10)
    whole, parts = Buffer(limits), Buffer(limits)
    at_once = whole.add(messages(1, *sizes), 0)
    in_two = parts.add(messages(1, *sizes[:cut]), 0)
    in_two += parts.add(messages(1 + len(sizes[:cut]), *sizes[cut:]), 0)
    assert told(at_once) == told(in_two)
