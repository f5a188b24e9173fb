from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats3.chunk.held import MOST, from_bytes, to_bytes
from nats3.chunk.layout import DecodeError
from nats3.message import Batch

TIME = 1_700_000_000_000_000_000


def batch_of(seqs: list[int], times: list[int]) -> Batch:
    return Batch(seqs, times, [b"a.b"] * len(seqs), [None] * len(seqs), [b"x"] * len(seqs))


@given(st.lists(st.tuples(st.integers(1, 1 << 62), st.integers(0, 1 << 62)), min_size=1, max_size=50))
def test_seqs_and_times_come_back(pairs: list[tuple[int, int]]) -> None:
    seqs, times = map(list, zip(*pairs, strict=True))
    known = from_bytes(to_bytes(batch_of(seqs, times)))
    assert (known.seqs, known.times, len(known.payloads)) == (seqs, times, len(seqs))


def test_a_message_costs_a_few_bytes() -> None:
    chance = Random(1)
    times = sorted(TIME + chance.randrange(3600 * 10**9) for _ in range(10_000))
    assert len(to_bytes(batch_of(list(range(1, 10_001)), times))) < 8 * 10_000


@given(st.binary(max_size=200))
def test_bytes_that_are_no_such_thing_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        from_bytes(data)


def test_every_flipped_bit_and_every_cut_is_refused_or_changes_nothing() -> None:
    held = to_bytes(batch_of([3, 5, 9], [TIME, TIME + 7, TIME + 9]))
    for at in range(len(held) * 8):
        flipped = bytearray(held)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(DecodeError):
            from_bytes(bytes(flipped))
    for length in range(len(held)):
        with pytest.raises(DecodeError):
            from_bytes(held[:length])


def test_what_no_event_could_hold_is_not_told_and_not_known() -> None:
    chance = Random(7)
    times = sorted(chance.randrange(1 << 62) for _ in range(200_000))
    large = batch_of(list(range(1, len(times) + 1)), times)
    assert to_bytes(large) == b""
    with pytest.raises(DecodeError, match="not known"):
        from_bytes(to_bytes(large))
    assert 0 < len(to_bytes(large.slice(0, 50_000))) <= MOST
