"""Sizes, durations and times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nats3.cli.amounts import moment, seconds, size
from nats3.cli.exits import Refused

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90s", 90),
        ("1h30m", 5400),
        ("5sec", 5),
        ("250ms", 0.25),
        ("2d", 172_800),
        ("1M", 2_592_000),
        ("1y", 31_536_000),
    ],
)
def test_a_duration_is_read_in_each_unit(text, value):
    assert seconds("--timeout", text) == value


@pytest.mark.parametrize("text", ["", "5", "m", "1h 30m", "-5m", "1.m"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(Refused, match=r"--timeout .*is no duration"):
        seconds("--timeout", text)


@pytest.mark.parametrize(("text", "value"), [("5", 5), ("64MB", 64 << 20), ("1KiB", 1024), ("2g", 2 << 30)])
def test_a_size_is_read_in_steps_of_1024(text, value):
    assert size("--max-bytes", text) == value


def test_what_is_no_size_is_refused():
    with pytest.raises(Refused, match="--max-bytes 'x' is no size: give bytes, as 64MB"):
        size("--max-bytes", "x")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1h", "2026-11-23T11:00:00Z"),
        ("1d12h", "2026-11-22T00:00:00Z"),
        ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123456789Z"),
        ("yesterday", "yesterday"),
        ("4711", "4711"),
        (None, None),
    ],
)
def test_a_duration_is_so_long_ago_and_all_else_is_left_to_the_server(text, time):
    assert moment(text, lambda: NOW) == time


def test_longer_ago_than_there_is_time_is_refused():
    with pytest.raises(Refused, match="ago there was no time"):
        moment("9999y", lambda: NOW)


@pytest.mark.parametrize(
    ("words", "request_", "name"),
    [
        (("events", "ls", "--since", "1h"), "/api/v2/events", "since"),
        (("events", "ls", "--until", "1h"), "/api/v2/events", "until"),
        (("chunks", "cat", "7", "--from", "1h"), "/api/v2/chunks/7/messages", "from"),
        (("job", "history", "5", "--as-of", "1h"), "/api/v2/jobs/5/events", "as_of"),
    ],
)
def test_a_command_sends_the_time_that_lies_so_long_back(api, run, monkeypatch, words, request_, name):
    monkeypatch.setattr(moment, "__defaults__", (lambda: NOW,))
    run(*words)
    line = api.asked[0][0]
    assert line.startswith(f"GET {request_}?")
    assert f"{name}=2026-11-23T11%3A00%3A00Z" in line


def test_a_load_may_begin_so_long_ago(api, run, monkeypatch):
    monkeypatch.setattr(moment, "__defaults__", (lambda: NOW,))
    run("load", "create", "--bucket", "b", "--read-stream", "s", "--from", "1d", "--to", "1h")
    body = api.asked[0][1]
    assert (body["from_time"], body["to_time"]) == ("2026-11-22T12:00:00Z", "2026-11-23T11:00:00Z")


def test_a_chunk_is_full_at_a_size(api, run):
    run("store", "create", "--stream", "s", "--subject", ">", "--bucket", "b", "--max-bytes", "64MB")
    assert api.asked[0][1]["batch"] == {"max_bytes": 64 << 20}
