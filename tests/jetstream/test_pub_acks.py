"""PubAcks in any order: the unbroken prefix, the duplicates, and what was stored out of order."""

from __future__ import annotations

import itertools
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nats3.jetstream.errors import PublishRefused, TargetBusy, TargetMoved
from nats3.jetstream.pub_acks import MOST_DISPLACED, Displaced, PubAcks


def ack(seq: int, **more: object) -> bytes:
    return json.dumps({"stream": "S", "seq": seq} | more, separators=(",", ":")).encode()


@given(st.integers(0, 30).flatmap(lambda count: st.permutations(range(count))))
def test_acks_in_any_order_count_as_the_unbroken_prefix(order: list[int]) -> None:
    acks, seen = PubAcks("S"), set[int]()
    for index in order:
        acks.take(index, None, ack(100 + index))
        seen.add(index)
        prefix = next(number for number in range(len(order) + 1) if number not in seen)
        assert (acks.acked, acks.target_seq) == (prefix, 99 + prefix if prefix else 0)
    assert acks.displaced == []


def plain(seq: int) -> bytes:
    return b'{"stream":"S", "seq":%d}' % seq


STRANGE = (
    plain(3),
    plain(60),
    b"",
    b'{"stream":"S", "seq":}',
    b'{"stream":"S", "seq":5',
    plain(5) + plain(6),
    b'{"stream":"S", "seq":-5}',
    b'{"stream":"S", "seq":5, "duplicate": true}',
    b'{"stream":"T", "seq":5}',
    b'{"stream":"S","domain":"hub","seq":70}',
    b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 4"}}',
)


def state(acks: PubAcks) -> tuple[object, ...]:
    told = (acks.acked, acks.target_seq, acks.duplicates, acks.farthest, acks.beyond, acks.displaced_count)
    return (*told, list(acks.displaced))


@settings(max_examples=400)
@given(st.data(), st.integers(0, 20))
def test_acks_that_are_taken_together_count_as_those_that_are_taken_one_by_one(
    data: st.DataObject, behind: int
) -> None:
    together, alone = PubAcks("S", behind), PubAcks("S", behind)
    sent = 0
    for _ in range(data.draw(st.integers(1, 5))):
        count = data.draw(st.integers(1, 6))
        payloads = [plain(1 + behind + at) for at in range(sent, sent + count)]
        headers: list[bytes | None] = [None] * count
        for at in data.draw(st.lists(st.integers(0, count - 1), max_size=2)):
            payloads[at] = data.draw(st.sampled_from(STRANGE))
            headers[at] = data.draw(st.sampled_from([None, None, b"NATS/1.0 503\r\n\r\n"]))
        for acks in (together, alone):
            with suppress(PublishRefused):
                if acks is alone or sent != acks.acked or not acks.take_next(payloads):
                    for index, header, payload in zip(itertools.count(sent), headers, payloads, strict=False):
                        acks.take(index, header, payload)
        assert state(together) == state(alone)
        sent += count


def test_what_is_not_whole_by_itself_or_has_others_before_it_is_not_taken_together() -> None:
    acks = PubAcks("S")
    assert not acks.take_next([plain(1)]), "how a plain one begins is learned from the first"
    acks.take(0, None, plain(1))
    assert not acks.take_next([plain(2) + plain(3), b""])
    assert acks.take_next([plain(2), plain(3)])
    acks.take(4, None, plain(5))
    assert not acks.take_next([plain(4)])
    acks.take(3, None, plain(4))
    acks.take(6, None, b'{"error":{"err_code":10071}}')
    assert not acks.take_next([plain(6)])
    assert (acks.acked, acks.target_seq) == (5, 5)


def test_an_ack_that_comes_twice_counts_once() -> None:
    acks = PubAcks("S")
    for index in (0, 0, 1, 0):
        acks.take(index, None, ack(index + 1))
    assert (acks.acked, acks.target_seq) == (2, 2)


def test_duplicates_are_counted_and_in_order_they_are_no_displacement() -> None:
    acks = PubAcks("S", behind=2)
    acks.take(0, None, ack(3, duplicate=True))
    acks.take(1, None, ack(4, duplicate=True))
    acks.take(2, None, ack(51))
    assert (acks.acked, acks.duplicates, acks.displaced, acks.target_seq) == (3, 2, [], 51)


def test_a_duplicate_that_stands_before_what_was_stored_now_or_published_before_is_displaced() -> None:
    acks = PubAcks("S", behind=4)
    acks.take(0, None, ack(3, duplicate=True))
    acks.take(1, None, ack(50))
    acks.take(2, None, ack(5, duplicate=True))
    acks.take(3, None, ack(51))
    assert (acks.acked, acks.duplicates, acks.displaced_count) == (4, 2, 2)
    assert acks.displaced == [Displaced(0, 0), Displaced(2, 2)]
    assert (acks.beyond, acks.farthest) == (1, 51)


def test_messages_stored_below_an_earlier_one_are_displaced() -> None:
    acks = PubAcks("S")
    for index, seq in enumerate([1, 5, 2, 3, 6, 4]):
        acks.take(index, None, ack(seq))
    assert acks.displaced == [Displaced(2, 3), Displaced(5, 5)]
    assert acks.displaced_count == 3


def test_the_list_of_displaced_ranges_is_bounded_and_their_count_is_not() -> None:
    acks = PubAcks("S")
    for index in range(0, 4 * MOST_DISPLACED, 2):
        acks.take(index, None, ack(10 + 2 * index))
        acks.take(index + 1, None, ack(1))
    assert (len(acks.displaced), acks.displaced_count) == (MOST_DISPLACED, 2 * MOST_DISPLACED)


@pytest.mark.parametrize(
    ("header", "payload", "code"),
    [
        (b"NATS/1.0 503\r\n\r\n", b"", PublishRefused.NO_RESPONDERS),
        (None, b"", PublishRefused.WRONG_STREAM),
        (None, b"hello", PublishRefused.WRONG_STREAM),
        (None, b"[]", PublishRefused.WRONG_STREAM),
        (None, b'{"stream":"T","seq":1}', PublishRefused.WRONG_STREAM),
        (None, b'{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}', 10077),
        (None, b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 4"}}', 10071),
        (None, b'{"error":{"code":400,"err_code":10070,"description":"wrong last msg ID: x"}}', 10070),
    ],
)
def test_a_refusal_waits_for_the_acks_before_it_and_then_names_its_index(
    header: bytes | None, payload: bytes, code: int
) -> None:
    acks = PubAcks("S")
    acks.take(2, header, payload)
    acks.take(3, header, payload)
    acks.take(0, None, ack(1))
    with pytest.raises(PublishRefused) as refused:
        acks.take(1, None, ack(2))
    assert (refused.value.index, refused.value.code, acks.acked) == (2, code, 2)
    assert isinstance(refused.value, TargetMoved) == (code in (10070, 10071))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (10070, TargetMoved),
        (10071, TargetMoved),
        (10158, TargetMoved),
        (10164, TargetMoved),
        (10008, TargetBusy),
        (10023, TargetBusy),
        (10163, TargetBusy),
        (10167, TargetBusy),
        (10077, PublishRefused),
        (10109, PublishRefused),
        ("10023", PublishRefused),
    ],
)
def test_a_refusal_says_whether_to_look_again_to_wait_or_to_change_the_target(
    code: object, kind: type[PublishRefused]
) -> None:
    acks = PubAcks("S")
    with pytest.raises(PublishRefused) as refused:
        acks.take(0, None, json.dumps({"error": {"code": 500, "err_code": code, "description": "why"}}).encode())
    assert type(refused.value) is kind
    assert (refused.value.reason, refused.value.code) == ("why", code if isinstance(code, int) else 0)


@pytest.mark.parametrize("error", ["text", 1, [], {"err_code": []}, {"err_code": True}])
def test_an_error_that_is_none_is_a_refusal_all_the_same(error: object) -> None:
    with pytest.raises(PublishRefused) as refused:
        PubAcks("S").take(0, None, json.dumps({"error": error}).encode())
    assert refused.value.code == 0


def test_an_ack_of_another_stream_is_refused_also_when_it_looks_like_the_ones_before() -> None:
    acks = PubAcks("S")
    acks.take(0, None, ack(1))
    with pytest.raises(PublishRefused):
        acks.take(1, None, b'{"stream":"T","seq":2}')
    assert acks.acked == 1


def test_a_domain_in_the_ack_is_no_hindrance() -> None:
    acks = PubAcks("S")
    for index in range(3):
        acks.take(index, None, b'{"stream":"S", "domain":"hub", "seq":%d}' % (index + 7))
    assert (acks.acked, acks.target_seq) == (3, 9)
