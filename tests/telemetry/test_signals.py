"""Each signal is one log line and moves its metrics; the original's names stay to the letter."""

from __future__ import annotations

import inspect
import platform
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from nats3 import __version__
from nats3.telemetry import Telemetry
from nats3.telemetry.metrics import MAX_JOBS
from nats3.telemetry.signals import Flushed

EVERY_SIGNAL = {
    "node_started": ("n", "127.0.0.1:8080"),
    "node_stopped": ("n",),
    "failpoints_on": (["store.after_put"],),
    "failpoint_reached": ("store.after_put", "kill"),
    "reloaded": ("n", ["log"], ["node_name"]),
    "reload_refused": (
        "n",
        "server.host is no key that nats3 knows",
    ),
    "child_ended": (1, -9),
    "beat": (0.001, 3.0, 7, {"jobs": 0}),
    "request_answered": ("GET", "/ping", 200, 0.001),
    "request_crashed": ("7c6d3a20", ValueError("x"), "token/0123456789abcdef"),
    "job_state": ("id", "j", "store", "running"),
    "left": ("job j", "newer"),
    "enduring": ("j", "Unavailable", "NATS is away", 1),
    "actor_restarted": ("run/1", "ValueError", "bug", 0.5),
    "actor_failed": ("run/1", ValueError("x")),
    "actor_stopped": ("run/1", "asked"),
    "actor_noticed": ("run/1", "ValueError"),
    "messages_archived": (2, 20),
    "chunk_flushed": (Flushed("j", "7c6d3a20", "j/1.n3c", "s", 1, 2, 2, 20, 10), 0.1),
    "archived_up_to": ("j", "s", 2, 1_000_000_000),
    "lag": ("j", "s", 2, 1.5),
    "gap": ("j", 3, 5, "expired"),
    "bound": ("j", "life 1 opened: new"),
    "redelivered": ("j", 2),
    "messages_published": (2, 20),
    "load_progressed": ("j", 1, 2),
    "duplicates": ("j", 2),
    "displaced": ("j", 2, 2),
    "object_stored": (10,),
    "object_fetched": (10,),
    "s3_asked": ("put",),
    "s3_answered": ("put", 0.1),
    "depends_on": ("s3",),
    "nats_awaited": ("hub",),
    "nats_connected": ("hub", True),
    "surveyed": ("verify", "failed", "no bucket"),
    "dependency_failed": ("s3", "j", "timeout", 1),
    "dependency_back": ("s3", "j"),
    "too_powerful": ("owner",),
    "events_appended": (2, 7, 0.01),
    "events_published": (2,),
    "events_wait": ("no stream", 1),
    "projection_stalled": ("jobs", 7, "poison"),
    "partition_moved": ("event_1", 10, 100),
    "partition_dropped": ("event_1",),
    "partition_held": ("event_1", "follower jobs at 7", 1),
    "log_retention_failed": ("the bucket is away", 1),
}


def test_the_table_of_this_test_names_every_signal():
    methods = {name for name, _ in inspect.getmembers(Telemetry, inspect.isfunction) if not name.startswith("_")}
    assert methods - {"exposition"} == set(EVERY_SIGNAL)


@pytest.mark.parametrize("name", EVERY_SIGNAL)
def test_a_signal_writes_exactly_one_line(heard, name):
    getattr(heard.telemetry, name)(*EVERY_SIGNAL[name])
    assert len(heard.lines()) == 1


def test_the_metrics_of_the_seed_document_by_name_label_and_direction(heard):
    t = heard.telemetry
    t.job_state("1", "a", "load", "running")
    t.job_state("1", "a", "load", "completed")
    t.job_state("2", "b", "store", "running")
    t.messages_published(20, 20080)
    t.messages_archived(20, 25868)
    for _ in range(3):
        t.object_fetched(1)
    t.object_stored(25868)
    seen = heard.samples()
    assert {
        'nats3_jobs_total{job_type="load",status="completed"}': 1,
        'nats3_jobs_current{job_type="store"}': 1,
        'nats3_jobs_current{job_type="load"}': 0,
        'nats3_nats_messages_total{direction="in"}': 20,
        'nats3_nats_messages_total{direction="out"}': 20,
        'nats3_nats_bytes_total{direction="in"}': 20080,
        'nats3_nats_bytes_total{direction="out"}': 25868,
        'nats3_s3_objects_total{direction="out"}': 3,
        'nats3_s3_objects_total{direction="in"}': 1,
        'nats3_s3_bytes_total{direction="in"}': 25868,
    }.items() <= seen.items()


def test_a_view_that_another_node_keeps_has_no_lag_here(heard):
    heard.telemetry.beat(0.0, None, 9, {"jobs": 2, "chunks": 0})
    heard.telemetry.beat(0.25, 1.5, 12, {"chunks": 3})
    lags = {name: value for name, value in heard.samples().items() if "_lag_" in name or "_age_" in name}
    assert lags == {
        'nats3_projection_lag_events{projection="chunks"}': 3,
        "nats3_loop_lag_seconds": 0.25,
        "nats3_lease_age_seconds": 1.5,
    }
    assert heard.samples()["nats3_event_log_head"] == 12


def test_no_name_says_total_twice_and_none_is_a_time_of_creation(heard):
    for name, arguments in EVERY_SIGNAL.items():
        getattr(heard.telemetry, name)(*arguments)
    for accept in ("", "application/openmetrics-text"):
        text = heard.telemetry.exposition(accept)[0].decode()
        names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
        assert [name for name in names if "_total_total" in name or name.endswith("_created")] == []
        assert all(name.startswith("nats3_") for name in names if name)


def test_the_content_type_follows_what_was_asked_for(heard):
    assert heard.telemetry.exposition()[1].startswith("text/plain; version=")
    assert heard.telemetry.exposition("application/openmetrics-text; version=1.0.0")[1].startswith(
        "application/openmetrics-text"
    )


def test_two_registries_in_one_process_do_not_meet(heard):
    other = Telemetry(heard.telemetry.log, CollectorRegistry())
    other.messages_archived(1, 1)
    assert 'nats3_nats_messages_total{direction="out"}' not in heard.samples()


@pytest.mark.parametrize(
    ("states", "current", "ended"),
    [
        (["created"], 0, {}),
        (["created", "running"], 1, {}),
        (["running", "running"], 1, {}),
        (["running", "degraded", "running"], 1, {}),
        (["running", "paused"], 0, {}),
        (["running", "blocked"], 0, {}),
        (["running", "completed"], 0, {"completed": 1}),
        (["running", "completed_with_gaps"], 0, {"failed": 1}),
        (["running", "failed", "running", "failed"], 0, {"failed": 2}),
        (["running", "deleted"], 0, {}),
    ],
)
def test_jobs_are_counted_by_their_states(heard, states, current, ended):
    for state in states:
        heard.telemetry.job_state("1", "a", "load", state)
    seen = heard.samples()
    assert seen['nats3_jobs_current{job_type="load"}'] == current
    totals = {name: value for name, value in seen.items() if name.startswith("nats3_jobs_total")}
    assert totals == {f'nats3_jobs_total{{job_type="load",status="{word}"}}': count for word, count in ended.items()}


def test_a_job_is_in_one_state_at_a_time(heard):
    heard.telemetry.job_state("1", "a", "store", "running")
    heard.telemetry.job_state("1", "a", "store", "blocked", "bucket gone")
    seen = heard.samples()
    assert seen['nats3_job_state{job="a",job_type="store",state="running"}'] == 0
    assert seen['nats3_job_state{job="a",job_type="store",state="blocked"}'] == 1
    assert heard.lines()[-1] == {
        "event": "job state",
        "job": "a",
        "job_id": "1",
        "kind": "store",
        "state": "blocked",
        "reason": "bucket gone",
        "level": "warning",
    }


def test_jobs_of_one_name_are_two_jobs(heard):
    heard.telemetry.job_state("1", "a", "store", "running")
    heard.telemetry.job_state("2", "a", "store", "running")
    heard.telemetry.job_state("1", "a", "store", "deleted")
    seen = heard.samples()
    assert seen['nats3_jobs_current{job_type="store"}'] == 1
    assert seen['nats3_job_state{job="a",job_type="store",state="running"}'] == 1


def test_a_deleted_job_leaves_no_gauge_behind(heard):
    heard.telemetry.job_state("1", "a", "store", "running")
    heard.telemetry.lag("a", "s", 5, 1.0)
    heard.telemetry.job_state("1", "a", "store", "deleted")
    assert [name for name in heard.samples() if 'job="a"' in name] == []


@pytest.mark.parametrize("state", ["paused", "created", "failed"])
def test_a_job_that_rests_or_was_handed_over_tells_no_lag_here(heard, state):
    heard.telemetry.job_state("1", "a", "store", "running")
    heard.telemetry.lag("a", "s", 5, 1.0)
    heard.telemetry.job_state("1", "a", "store", "degraded")
    assert heard.samples()['nats3_lag_messages{job="a",stream="s"}'] == 5
    heard.telemetry.job_state("1", "a", "store", state)
    assert [name for name in heard.samples() if name.startswith("nats3_lag_")] == []


def test_a_job_that_rests_leaves_the_lag_of_another_one_of_its_name_alone(heard):
    heard.telemetry.job_state("1", "a", "store", "running")
    heard.telemetry.job_state("2", "a", "store", "running")
    heard.telemetry.lag("a", "s", 5, 1.0)
    heard.telemetry.job_state("1", "a", "store", "paused")
    assert heard.samples()['nats3_lag_messages{job="a",stream="s"}'] == 5


def test_job_names_cannot_grow_the_metrics_without_end(heard):
    for number in range(MAX_JOBS + 5):
        heard.telemetry.lag(f"job-{number}", "s", 1, 1.0)
    pending = [name for name in heard.samples() if name.startswith("nats3_lag_messages")]
    assert len(pending) == MAX_JOBS + 1
    assert 'nats3_lag_messages{job="other",stream="s"}' in pending


def test_methods_that_a_stranger_makes_up_cannot_grow_the_metrics(heard):
    for method in ("GET", "BREW", "X1", "X2"):
        heard.telemetry.request_answered(method, "/ping", 405, 0.001)
    counted = {name: value for name, value in heard.samples().items() if name.startswith("nats3_http_requests_total")}
    assert counted == {
        'nats3_http_requests_total{method="GET",route="/ping",status="405"}': 1,
        'nats3_http_requests_total{method="other",route="/ping",status="405"}': 3,
    }


def test_a_gap_counts_its_seqs(heard):
    heard.telemetry.gap("a", 3, 5, "expired")
    seen = heard.samples()
    assert seen['nats3_gaps_total{job="a",reason="expired"}'] == 1
    assert seen['nats3_gap_seqs_total{job="a",reason="expired"}'] == 3


def test_a_long_outage_is_counted_whole_and_warned_of_ever_more_rarely(heard):
    for attempt in range(1, 101):
        heard.telemetry.dependency_failed("s3", "a", "timeout", attempt)
    heard.telemetry.dependency_back("s3", "a")
    warned = [line["attempt"] for line in heard.lines() if line["level"] == "warning"]
    assert warned == [1, 2, 4, 8, 16, 32, 64]
    assert heard.samples()['nats3_retries_total{cause="s3"}'] == 100
    assert heard.samples()['nats3_dependency_up{dependency="s3"}'] == 1


def test_which_version_runs_is_told_from_the_start(heard):
    (build,) = [name for name in heard.samples() if name.startswith("nats3_build_info")]
    assert build == f'nats3_build_info{{python="{platform.python_version()}",version="{__version__}"}}'


def test_a_dependency_is_told_of_before_it_fails(heard):
    t = heard.telemetry
    for name in ("postgres", "s3"):
        t.depends_on(name)
    t.nats_awaited("main")
    t.nats_awaited("hub")
    up = 'nats3_dependency_up{{dependency="{}"}}'.format
    assert [heard.samples()[up(name)] for name in ("postgres", "s3", "nats")] == [1, 1, 0], "NATS is not there yet"
    t.nats_connected("main", up=True)
    assert heard.samples()[up("nats")] == 0, "one of two"
    t.nats_connected("hub", up=True)
    assert heard.samples()[up("nats")] == 1
    t.nats_connected("hub", up=False)
    assert heard.samples()[up("nats")] == 0


def test_s3_that_fails_a_job_is_away_until_something_is_read_or_written_there(heard):
    t, up = heard.telemetry, 'nats3_dependency_up{dependency="s3"}'
    t.depends_on("s3")
    for again in (lambda: t.object_stored(1), lambda: t.object_fetched(1)):
        t.enduring("a", "s3", "put: 503", 1)
        assert heard.samples()[up] == 0
        again()
        assert heard.samples()[up] == 1


def test_a_request_is_logged_under_its_id_with_who_asked(heard):
    t = heard.telemetry
    t.request_answered("GET", "/api/v2/jobs/{id}", 200, 0.001, request_id="7c6d3a20", actor="token/0123456789abcdef")
    t.request_crashed("7c6d3a21", ValueError("x"), "anonymous")
    answered, crashed = heard.lines()
    assert answered == {
        "event": "request answered",
        "level": "debug",
        "method": "GET",
        "route": "/api/v2/jobs/{id}",
        "status": 200,
        "seconds": 0.001,
        "request_id": "7c6d3a20",
        "actor": "token/0123456789abcdef",
    }
    assert (crashed["request_id"], crashed["actor"]) == ("7c6d3a21", "anonymous")
    assert heard.samples()["nats3_http_crashes_total"] == 1
    assert heard.samples()['nats3_http_seconds_count{method="GET",route="/api/v2/jobs/{id}"}'] == 1


def test_every_metric_stands_in_a_test_by_its_name(heard):
    text = "".join(path.read_text("utf-8") for path in Path(__file__).parents[1].rglob("*.py"))
    families = heard.telemetry.metrics.registry.collect()
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert {name for name in names if not re.search(rf"\b{name}(_count|_sum|_bucket)?\b", text)} == set()
