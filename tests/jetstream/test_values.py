"""Small values of this room: times, settings, message ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats3.errors import Invalid
from nats3.jetstream.publisher import Chain
from nats3.jetstream.settings import NatsSettings
from nats3.jetstream.tail import message_id
from nats3.jetstream.times import nanoseconds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-23T20:01:49.15573375Z", 1795464109155733750),
        ("2026-11-23T20:01:49.000000001Z", 1795464109000000001),
        ("2026-11-23T22:01:49.5+02:00", 1795464109500000000),
        ("2026-11-23T15:31:49-04:30", 1795464109000000000),
        ("0001-01-01T00:00:00Z", -62135596800000000000),
    ],
)
def test_times_are_read_to_the_nanosecond(text: str, expected: int) -> None:
    assert nanoseconds(text) == expected


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.integers(0, 999))  # noqa: DTZ001 - UTC is written
def test_every_time_of_the_server_keeps_its_nanoseconds(moment: datetime, rest: int) -> None:
    exact = (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000 + rest
    assert nanoseconds(f"{moment.isoformat(timespec='microseconds')}{rest:03d}Z") == exact


@pytest.mark.parametrize("text", ["", "now", "2026-11-23", "2026-11-23T20:01:49", "2026-11-23T20:01:49.1234567890Z"])
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        nanoseconds(text)


def test_urls_get_a_scheme_and_a_port_and_lose_their_user() -> None:
    settings = NatsSettings("a, nats://me:p%40ss@b:4333 ,tls://[::1]:4444,")
    assert settings.servers() == ["nats://a:4222", "nats://b:4333", "tls://[::1]:4444"]
    assert settings.login() == ("me", "p@ss", None)
    assert settings.wants_tls


def test_a_lone_user_in_a_url_is_a_token_and_the_settings_come_first() -> None:
    assert NatsSettings("nats://t0ken@a").login() == (None, None, "t0ken")
    assert NatsSettings("nats://t0ken@a", user="me", password="x").login() == ("me", "x", None)
    assert NatsSettings("nats://a").login() == (None, None, None)


@pytest.mark.parametrize("url", ["", " , ", "http://a", "nats://", "nats://a:port", "nats://a:99999"])
def test_what_names_no_server_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        NatsSettings(url).servers()


def test_unreadable_tls_files_are_refused() -> None:
    with pytest.raises(Invalid, match="PEM"):
        NatsSettings(tls_ca="/nowhere.pem").tls_context()
    assert NatsSettings().tls_context() is None


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (None, None),
        (b"NATS/1.0\r\n\r\n", None),
        (b"NATS/1.0\r\nNats-Msg-Id: a b\r\n\r\n", b"a b"),
        (b"NATS/1.0\r\nA: 1\r\nnats-msg-id:x \r\nNats-Msg-Id:y \r\nNats-Msg-Id: z\r\n\r\n", b"y"),
        (b"NATS/1.0\r\nX-Nats-Msg-Id: a\r\n\r\n", None),
        (b"garbage", None),
        (b"NATS/1.0\r\nNats-Msg-Id: cut", b"cut"),
    ],
)
def test_the_first_message_id_of_a_block(block: bytes | None, expected: bytes | None) -> None:
    assert message_id(block) == expected


def test_a_chain_names_the_seq_and_the_id_before_in_front_of_the_empty_line() -> None:
    chain = Chain(7)
    with_id = b"NATS/1.0\r\nNats-Msg-Id: a\r\n\r\n"
    assert chain.link([with_id, None]) == [
        b"NATS/1.0\r\nNats-Msg-Id: a\r\nNats-Expected-Last-Sequence: 7\r\n\r\n",
        b"NATS/1.0\r\nNats-Expected-Last-Sequence: 8\r\nNats-Expected-Last-Msg-Id: a\r\n\r\n",
    ]
    assert chain.link([with_id]) == [b"NATS/1.0\r\nNats-Msg-Id: a\r\nNats-Expected-Last-Sequence: 9\r\n\r\n"]
