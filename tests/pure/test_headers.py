"""What a replay adds to a header block, and that all of it can be taken away again."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nats3.errors import Invalid
from nats3.headers import HeaderPolicy, has_line, is_well_formed, replayed, restored

SAFE, VERBATIM, NONE = HeaderPolicy.SAFE, HeaderPolicy.VERBATIM, HeaderPolicy.NONE
ADDED = b"Nats-Msg-Id: n3:j:1:1:5\r\nNats3-Stream: S\r\nNats-Expected-Last-Sequence: 4\r\nNats-Batch-Id: b\r\n"

NAMES = st.sampled_from(
    [
        *["Trace", "Nats-Msg-Id", "Nats-Rollup", "Nats-Expected-Stream", "Nats-Batch-Sequence", "Nats3-Stream"],
        *["Nats3-Orig-Rollup", "Nats3-Header-Block", "nats-msg-id", "KV-Operation", "Nats-", "Nats", "Nats-Msg-Ident"],
        *["Nats-Marker-Reason", "", " Nats-Rollup"],
    ]
)
VALUES = st.one_of(
    st.sampled_from(["", "x", " x ", "a\nNats-Rollup: all", "a\rb", "TkFUUy8xLjANCg0K"]), st.text(max_size=8)
)
LINES = st.tuples(NAMES, st.sampled_from([": ", ":", " : ", ""]), VALUES).map("".join)
STATUS = st.sampled_from(["NATS/1.0", "NATS/1.0 503", "NATS/1.0 404 None", "NATS/1.1", "", "NATS/1.0x"])
ENDS = st.sampled_from(["\r\n\r\n", "\r\n", "", "\r\n\r\ngarbage", "\r\n\r\n\r\n"])
BLOCKS = st.one_of(
    st.none(),
    st.binary(max_size=30),
    st.tuples(STATUS, st.lists(LINES, max_size=5), ENDS).map(
        lambda parts: ("\r\n".join([parts[0], *parts[1]]) + parts[2]).encode(errors="surrogatepass")
    ),
)


@given(block=BLOCKS, policy=st.sampled_from([SAFE, VERBATIM]), added=st.sampled_from([b"", ADDED]))
@settings(max_examples=3000, deadline=None)
@example(block=b"NATS/1.0\r\n\r\n", policy=SAFE, added=ADDED)
@example(block=b"NATS/1.0\r\n\r\n", policy=VERBATIM, added=b"")
@example(block=b"NATS/1.0\r\nNats3-Orig-X: 1\r\n\r\n", policy=SAFE, added=ADDED)
@example(block=b"NATS/1.0\r\nNats-A: 1\r\nNats-A: 1\r\n\r\n", policy=SAFE, added=ADDED)
def test_every_block_comes_back_from_its_replay(block: bytes | None, policy: HeaderPolicy, added: bytes) -> None:
    assert restored(replayed(block, policy, added)) == block
    assert restored(replayed(block, policy, added, key_value=True)) == block


@given(block=BLOCKS, policy=st.sampled_from(list(HeaderPolicy)))
@settings(max_examples=1000, deadline=None)
def test_what_we_add_is_always_found_again_and_only_once(block: bytes | None, policy: HeaderPolicy) -> None:
    sent = replayed(block, policy, ADDED)
    assert sent is not None
    assert is_well_formed(sent)
    assert sent.endswith(ADDED + b"\r\n")
    assert sent.count(b"\r\nNats-Msg-Id:") == sent.count(b"\r\nNats-Expected-") == sent.count(b"\r\nNats-Batch-") == 1


@given(block=BLOCKS)
@settings(max_examples=1000, deadline=None)
def test_no_control_header_of_the_source_acts_on_the_target_under_safe(block: bytes | None) -> None:
    sent = replayed(block, SAFE, b"")
    assert sent is None or b"\r\nNats-" not in sent


def test_a_block_without_control_headers_gets_our_lines_at_its_end_and_nothing_else() -> None:
    block = b"NATS/1.0\r\nTrace: 1\r\ntrace:2\r\nTrace: \xff\r\n\r\n"
    assert replayed(block, SAFE, b"Nats-Msg-Id: 1\r\n") == block[:-2] + b"Nats-Msg-Id: 1\r\n\r\n"


def test_safe_moves_control_headers_in_their_place() -> None:
    block = b"NATS/1.0\r\nA: 1\r\nNats-Rollup: all\r\nB: 2\r\nNats-Msg-Id: x\r\nKV-Operation: DEL\r\n\r\n"
    assert replayed(block, SAFE, b"") == (
        b"NATS/1.0\r\nA: 1\r\nNats3-Orig-Rollup: all\r\nB: 2\r\nNats3-Orig-Msg-Id: x\r\nKV-Operation: DEL\r\n\r\n"
    )


def test_verbatim_moves_only_what_nats3_sets_itself() -> None:
    block = b"NATS/1.0\r\nNats-Rollup: all\r\nNats-Msg-Id: x\r\nNats-Expected-Stream: S\r\nNats-Batch-Id: b\r\n\r\n"
    assert replayed(block, VERBATIM, b"Nats-Msg-Id: ours\r\n") == (
        b"NATS/1.0\r\nNats-Rollup: all\r\nNats3-Orig-Msg-Id: x\r\nNats3-Orig-Expected-Stream: S\r\n"
        b"Nats3-Orig-Batch-Id: b\r\nNats-Msg-Id: ours\r\n\r\n"
    )


def test_none_drops_every_archived_header() -> None:
    block = b"NATS/1.0\r\nA: 1\r\nNats-Rollup: all\r\n\r\n"
    assert replayed(block, NONE, b"Nats-Msg-Id: 1\r\n") == b"NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n"
    assert replayed(block, NONE, b"") is None


def test_a_marker_reason_is_kept_for_a_key_value_target() -> None:
    block = b"NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: 1s\r\n\r\n"
    sent = replayed(block, SAFE, b"", key_value=True)
    assert sent == b"NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats3-Orig-TTL: 1s\r\n\r\n"


@pytest.mark.parametrize(
    "block",
    [b"garbage", b"", b"NATS/1.0\r\n", b"NATS/1.0\r\nA: 1\r\n", b"NATS/1.0\r\n\r\nA: 1\r\n\r\n", b"NATS/1.0x\r\n\r\n"],
)
def test_a_block_that_is_not_well_formed_travels_in_one_line(block: bytes) -> None:
    assert not is_well_formed(block)
    sent = replayed(block, SAFE, b"Nats-Msg-Id: 1\r\n")
    assert sent is not None
    assert sent.startswith(b"NATS/1.0\r\nNats3-Header-Block: ")
    assert sent.endswith(b"\r\nNats-Msg-Id: 1\r\n\r\n")
    assert replayed(block, VERBATIM, b"") == block


@pytest.mark.parametrize("block", [b"NATS/1.0 503\r\n\r\n", b"NATS/1.0 100 Idle\r\nA: 1\r\n\r\n"])
def test_a_block_with_a_status_travels_in_base64_for_a_server_would_take_the_status_off(block: bytes) -> None:
    assert not is_well_formed(block)
    sent = replayed(block, SAFE, b"Nats-Msg-Id: 1\r\n")
    assert sent is not None
    assert sent.startswith(b"NATS/1.0\r\nNats3-Header-Block: ")
    assert restored(sent) == block


def test_a_carried_block_that_does_not_decode_is_named() -> None:
    with pytest.raises(Invalid, match="Nats3-Header-Block"):
        restored(b"NATS/1.0\r\nNats3-Header-Block: !\r\n\r\n")


def test_a_header_is_looked_for_byte_by_byte() -> None:
    blocks = [
        None,
        b"NATS/1.0\r\nA: 1\r\n\r\n",
        b"NATS/1.0\r\nA:1 \r\n\r\n",
        b"NATS/1.0\r\na: 1\r\n\r\n",
        b"A: 1",
        b"NATS/1.0\r\nA: 12\r\n\r\n",
    ]
    assert has_line(blocks, b"A", b"1") == [False, True, True, False, False, False]
