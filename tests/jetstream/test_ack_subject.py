"""Reply subjects of deliveries: both versions, read from the front, and never an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats3.jetstream.ack_subject import Delivery, parse


def test_version_1_has_nine_tokens() -> None:
    assert parse(b"$JS.ACK.ORDERS.c-1.2.17.9.1795464109557937527.6") == Delivery(
        17, 2, 9, 1795464109557937527, 6, b"ORDERS", b"c-1", b"$JS.ACK.ORDERS.c-1."
    )


@pytest.mark.parametrize("tail", [b"", b".random", b".random.more"])
def test_version_2_has_a_domain_and_an_account_in_front_and_may_grow_at_its_end(tail: bytes) -> None:
    found = parse(b"$JS.ACK._.ACCHASH.ORDERS.c-1.1.17.9.5.6" + tail)
    assert found == Delivery(17, 1, 9, 5, 6, b"ORDERS", b"c-1", b"$JS.ACK._.ACCHASH.ORDERS.c-1.")


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"$JS.ACK",
        b"$JS.ACK.S.C.1.2.3.4",
        b"$JS.ACK.d.h.S.C.1.2.3.4",
        b"$JS.ACK.S.C.1.x.3.4.5",
        b"$JS.ACK.S.C.1.-2.3.4.5",
        b"$JS.ACK.S.C.1.1_0.3.4.5",
        b"_INBOX.S.C.1.2.3.4.5.6",
    ],
)
def test_what_is_no_delivery_is_none(reply: bytes) -> None:
    assert parse(reply) is None


@given(st.binary() | st.lists(st.binary(max_size=6), max_size=14).map(lambda parts: b"$JS.ACK." + b".".join(parts)))
def test_garbage_never_raises(reply: bytes) -> None:
    found = parse(reply)
    assert found is None or found.seq >= 0
