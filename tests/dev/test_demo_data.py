"""What the demo publishes is the same each time it is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nats3.dev.demo import difference
from nats3.dev.demo_data import DataMissing, data
from nats3.dev.natswire import Said
from nats3.errors import Invalid
from nats3.headers import HeaderPolicy, replayed

PLAIN = Said(b"a.b", b"NATS/1.0\r\nX: 1\r\n\r\n", b"{}")
SAID = Said(b"a.b", b"NATS/1.0\r\nNats-Msg-Id: 7\r\nX: 1\r\n\r\n", b"{}")


def test_all_flights_of_the_year_are_there() -> None:
    assert data(None, None).total() == 336_776


def test_a_flight_is_json_under_its_origin_and_carrier() -> None:
    flight = next(data(1, None).messages())
    assert flight.subject == b"flights.EWR.UA"
    assert flight.header is not None
    assert b"\r\nAirport: EWR\r\nAirport: IAH\r\n" in flight.header
    body = json.loads(flight.payload)
    assert (body["flight"], body["tailnum"], body["dep_delay"]) == (1545, "N14228", 2)


def test_a_number_bounds_them_and_asking_again_gives_the_same() -> None:
    few = data(1000, None)
    assert few.total() == 1000
    assert len(list(few.messages())) == 1000
    assert list(few.messages()) == list(few.messages())


def test_lines_of_a_file_are_payloads_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "lines.ndjson"
    file.write_bytes(b'{"a":1}\r\n\n\xff last')
    lines = data(None, file)
    assert lines.total() == 3
    assert [said.payload for said in lines.messages()] == [b'{"a":1}', b"", b"\xff last"]


@pytest.mark.parametrize("count", [0, -1])
def test_less_than_one_message_is_refused(count: int) -> None:
    with pytest.raises(Invalid, match="--messages"):
        data(count, None)


def test_a_file_without_lines_and_no_file_at_all_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for file in (empty, tmp_path / "none"):
        with pytest.raises(DataMissing, match=str(file)):
            data(None, file)


def test_what_nats3_added_is_no_difference() -> None:
    came = replayed(SAID.header, HeaderPolicy.SAFE, b"Nats-Msg-Id: n3:x\r\nNats3-Stream: S\r\n")
    assert came != SAID.header
    assert difference(SAID, SAID._replace(header=came)) == ""


@pytest.mark.parametrize(
    ("came", "named"),
    [
        (PLAIN._replace(subject=b"a.c"), "subject"),
        (PLAIN._replace(header=None), "header"),
        (PLAIN._replace(header=b"NATS/1.0\r\nX: 2\r\n\r\n"), "header"),
        (PLAIN._replace(payload=b"{} "), "payload"),
    ],
)
def test_one_byte_of_any_part_is_a_difference_that_is_named(came: Said, named: str) -> None:
    assert difference(PLAIN, came).startswith(named)


def test_more_than_was_published_is_a_difference() -> None:
    assert difference(None, PLAIN).startswith("nothing was published there")
