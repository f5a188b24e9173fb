"""The listeners have the shape that each room asks for, and turn what they hear into signals."""

from __future__ import annotations

from uuid import UUID

import pytest

from actors.errors import Kind
from actors.supervision import StopReason
from actors.system import Observer
from eventstore import Signal
from nats3.api.requests import Trace
from nats3.api.services import Reporter
from nats3.chunk.encode import encode
from nats3.chunk.layout import Origin
from nats3.life import Opening
from nats3.message import Batch
from nats3.objects.store import Meter
from nats3.telemetry import ActorListener, HttpListener, LogListener, ObjectListener, RelayListener, WorkListener
from nats3.work.tools import Signals, Times

JOB = "0b9d3f1e-7a51-4c1e-9d65-0d6f2a3b4c5d"


def methods(protocol: type) -> set[str]:
    return {name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_")}


@pytest.mark.parametrize(
    ("protocol", "listener"),
    [
        (Observer, ActorListener),
        (Signal, LogListener),
        (Meter, ObjectListener),
        (Reporter, HttpListener),
        (Signals, WorkListener),
    ],
)
def test_a_listener_hears_all_that_its_room_says(protocol, listener):
    assert methods(protocol) <= methods(listener)


def test_what_workers_tell_moves_the_metrics(heard):
    listener = WorkListener(heard.telemetry)
    listener.archived("a", "s", 5, 500, 7, 2_000_000_000)
    listener.published("b", 3, 300)
    listener.redelivered("a", 2)
    listener.state("id", "b", "load", "completed", "")
    listener.enduring("a", "Unavailable", "NATS is away", 1)
    listener.displaced("b", 2, 2)
    assert {
        'nats3_nats_messages_total{direction="out"}': 5,
        'nats3_nats_bytes_total{direction="out"}': 500,
        'nats3_nats_messages_total{direction="in"}': 3,
        'nats3_last_archived_seq{job="a",stream="s"}': 7,
        'nats3_last_archived_timestamp_seconds{job="a",stream="s"}': 2,
        'nats3_redeliveries_total{job="a"}': 2,
        'nats3_displaced_total{job="b"}': 2,
        'nats3_jobs_total{job_type="load",status="completed"}': 1,
        'nats3_retries_total{cause="Unavailable"}': 1,
    }.items() <= heard.samples().items()


def test_what_the_object_store_counts_is_in_and_out(heard):
    listener = ObjectListener(heard.telemetry)
    listener.put(10)
    listener.got(7)
    listener.request("head")
    assert {
        'nats3_s3_objects_total{direction="in"}': 1,
        'nats3_s3_bytes_total{direction="in"}': 10,
        'nats3_s3_bytes_total{direction="out"}': 7,
        'nats3_s3_requests_total{connection="main",operation="head"}': 1,
    }.items() <= heard.samples().items()


def test_an_actor_that_is_given_up_leaves_its_traceback(heard):
    listener = ActorListener(heard.telemetry)
    try:
        int("x")
    except ValueError as error:
        listener.on_restarted("run/1", error, Kind.BUG, 0.5)
        listener.on_failed("run/1", error)
    listener.on_stopped("run/1", StopReason.ASKED)
    restarted, failed, stopped = heard.lines()
    assert (restarted["reason"], restarted["kind"]) == (
        "ValueError: invalid literal for int() with base 10: 'x'",
        "bug",
    )
    assert "Traceback" in str(failed["exception"])
    assert stopped["reason"] == "asked"
    assert {"nats3_actor_restarts_total": 1, "nats3_actor_failures_total": 1}.items() <= heard.samples().items()


def test_a_chunk_is_logged_with_its_job_its_run_and_its_key_and_counted(heard):
    origin = Origin("log-1", JOB, "ORDERS", "orders.>", None, Opening(1, "uuid", 1), 0, "", 1, 1)
    chunk = encode(Batch([1, 2], [1, 2], [b"orders.new"] * 2, [None] * 2, [b"x"] * 2), origin)
    WorkListener(heard.telemetry).chunk_stored("orders", chunk, Times(1.0, (1.0, 1.2), (1.2, 1.3), 1.5))
    (line,) = heard.lines()
    assert (line["event"], line["job"], line["run"], line["chunk"]) == ("chunk flushed", "orders", JOB, chunk.key)
    assert (line["first"], line["last"], line["count"]) == (1, 2, 2)
    assert {
        'nats3_chunks_total{job="orders",stream="ORDERS"}': 1,
        "nats3_chunk_bytes_sum": len(chunk.body),
        "nats3_chunk_ratio_count": 1,
        "nats3_flush_seconds_sum": 0.5,
    }.items() <= heard.samples().items()


def test_what_the_relay_published_is_counted(heard):
    RelayListener(heard.telemetry).relayed(3)
    assert heard.samples()["nats3_events_published_total"] == 3


def test_a_request_is_told_with_its_id_and_who_asked(heard):
    listener, known = HttpListener(heard.telemetry), UUID(int=7)
    listener.answered("GET", "/ping", 200, 0.1, Trace(known, None, None, "anonymous"))
    listener.crashed(known, ValueError("x"), "token/0123456789abcdef")
    answered, crashed = heard.lines()
    assert (answered["request_id"], answered["actor"]) == (str(known), "anonymous")
    assert (crashed["request_id"], crashed["actor"]) == (str(known), "token/0123456789abcdef")


def test_the_log_counts_its_own_attempts_anew_after_each_outage(heard):
    listener = LogListener(heard.telemetry)
    for _ in range(3):
        listener.away("connection refused")
    listener.back()
    listener.away("connection refused")
    assert [line["attempt"] for line in heard.lines() if "attempt" in line] == [1, 2, 3, 1]


def test_what_is_appended_and_asked_of_s3_is_counted_and_timed(heard):
    LogListener(heard.telemetry).appended(3, 12, 0.02)
    ObjectListener(heard.telemetry).answered("put", 0.3)
    assert {
        "nats3_events_total": 3,
        "nats3_event_log_head": 12,
        "nats3_append_seconds_count": 1,
        "nats3_append_seconds_sum": 0.02,
        'nats3_s3_seconds_sum{connection="main",operation="put"}': 0.3,
    }.items() <= heard.samples().items()
