"""The log holds no secret, in no form, from no source."""

from __future__ import annotations

import io
import json
import logging

import pytest

from nats3.telemetry import make_log, start_logging

CANARY = "hunter2"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def root_logger():
    """`start_logging` replaces the handlers of the root logger; give pytest its own back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_secret_is_hidden_wherever_it_stands_in_a_line(form):
    stream = io.StringIO()
    log = make_log("trace", form, stream, [CANARY])
    log.info("event hunter2", text=f"a {CANARY} b", nested={"x": [CANARY]}, error=ValueError(CANARY))
    log.info("by its key", password="plain-1", nested={"api_token": "plain-2"}, s3_secret="plain-3")
    log.info("in a URL nobody told us of", url="nats://user:plain-4@host:4222")
    try:
        int(CANARY)
    except ValueError:
        log.exception("with a traceback")
    text = stream.getvalue()
    assert [word for word in (CANARY, *(f"plain-{number}" for number in range(1, 5))) if word in text] == []
    assert "invalid literal for int() with base 10: '***'" in text
    assert "nats://***@host:4222" in text


def test_a_secret_that_is_a_common_word_does_not_garble_the_log():
    stream = io.StringIO()
    make_log("info", "json", stream, ["nats3"]).info("nats3 started", url="nats://u:nats3@h", password="nats3")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["url"], line["password"]) == ("nats3 started", "nats://***@h", "***")


def test_lines_of_libraries_go_the_same_way(root_logger):
    stream = io.StringIO()
    start_logging("info", "json", stream, [CANARY])
    logging.getLogger("uvicorn.error").warning("login %s failed", CANARY)
    logging.getLogger("nats").debug("not at this level")
    (line,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {key: line[key] for key in ("event", "level", "logger")} == {
        "event": "login *** failed",
        "level": "warning",
        "logger": "uvicorn.error",
    }


def test_json_where_nobody_looks_and_columns_on_a_terminal():
    pipe, terminal = io.StringIO(), Terminal()
    make_log("info", "auto", pipe).info("hello", job="a")
    make_log("info", "auto", terminal).info("hello", job="a")
    line = json.loads(pipe.getvalue())
    assert (line["event"], line["job"], line["level"]) == ("hello", "a", "info")
    assert line["time"].endswith("Z")
    assert "hello" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("trace", ["debug", "info", "warning", "error"]),
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warn", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_a_level_lets_through_what_is_at_least_as_grave(level, heard):
    stream = io.StringIO()
    log = make_log(level, "json", stream)
    for word in ("debug", "info", "warning", "error"):
        getattr(log, word)("x")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == heard


def test_a_job_named_in_another_script_stays_readable():
    stream = io.StringIO()
    make_log("info", "json", stream).info("hello", job="größe")
    assert "größe" in stream.getvalue()
