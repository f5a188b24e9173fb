"""The event log on the command line."""

from __future__ import annotations

import json
from textwrap import dedent

EVENT = {
    "position": 7,
    "entity_id": "job/24ce1555-b937-4321-9fa2-5e853a833690",
    "version": 1,
    "type": "JobCreated",
    "schema_version": 1,
    "event_id": "7c6d3a20-0000-4000-8000-000000000000",
    "recorded_at": "2026-11-23T20:00:00.000000Z",
    "node": "n",
    "actor": "anonymous",
    "correlation_id": None,
    "causation_position": None,
    "data": {"name": "a"},
}
TABLE = dedent("""\
    ╭──────────┬─────────────────────────────┬──────────────────────────────────────────┬─────────┬────────────╮
    │ position │ time                        │ entity                                   │ version │ type       │
    ╞══════════╪═════════════════════════════╪══════════════════════════════════════════╪═════════╪════════════╡
    │ 7        │ 2026-11-23T20:00:00.000000Z │ job/24ce1555-b937-4321-9fa2-5e853a833690 │ 1       │ JobCreated │
    ╰──────────┴─────────────────────────────┴──────────────────────────────────────────┴─────────┴────────────╯
    """)


def test_events_are_a_table_in_the_order_of_the_log(api, run):
    api.answer("GET /api/v2/events?after=3&limit=100", {"items": [EVENT]})
    ran = run("events", "ls", "--after", "3")
    assert (ran.code, ran.out, ran.err) == (0, TABLE, "")


def test_a_long_list_is_read_page_by_page(api, run):
    first, second = "GET /api/v2/events?type=JobCreated&limit=100", "GET /api/v2/events?cursor=abc"
    api.answer(first, {"items": [EVENT]}, link='</api/v2/events?cursor=abc>; rel="next"')
    api.answer(second, {"items": [{**EVENT, "position": 8}]})
    assert run("events", "ls", "--type", "JobCreated", "-o", "name").out == "7\n8\n"


def test_no_more_is_read_than_was_asked_for(api, run):
    link = '</api/v2/events?cursor=abc>; rel="next"'
    api.answer("GET /api/v2/events?limit=1", {"items": [EVENT, {**EVENT, "position": 8}]}, link=link)
    assert run("events", "ls", "--limit", "1", "-o", "name").out == "7\n"
    assert len(api.asked) == 1


def test_one_event_by_its_position(api, run):
    api.answer("GET /api/v2/events/7", EVENT)
    assert run("events", "get", "7", "-o", "json").out == json.dumps(EVENT, indent=2) + "\n"


def test_the_history_of_a_job(api, run):
    api.answer("GET /api/v2/jobs/24ce1555/events?limit=100", {"items": [EVENT]})
    assert run("job", "history", "24ce1555").out == TABLE


def test_a_tail_prints_each_event_once_over_every_line_that_breaks(api, run):
    """The first line breaks in the middle of an event, which comes again; a refusal ends it."""
    whole, half = (f"id: {n}\nevent: JobCreated\ndata: {json.dumps({**EVENT, 'position': n})}\n" for n in (7, 8))
    tail = "GET /api/v2/events?follow=true"
    api.answer(tail, f": here\nid: 6\n\n{whole}\n: still here\nid: 7\n\n{half}", media="text/event-stream")
    api.later[tail] = [f": here\nid: 7\n\n{half}\n", (422, {"detail": "an older copy of the log was put in its place"})]
    ran = run("events", "tail")
    assert [json.loads(line)["position"] for line in ran.out.splitlines()] == [7, 8]
    assert [api.headers[n].get("last-event-id") for n in range(3)] == [None, "7", "8"]
    assert (ran.code, ran.err.splitlines()[-1]) == (2, "nats3: an older copy of the log was put in its place")


def test_a_tail_of_a_server_that_never_answered_ends_at_once(api, run):
    api.answer("GET /api/v2/events?follow=true", {"detail": "postgres is away; try again soon"}, status=503)
    assert run("events", "tail").code == 6


def test_every_filter_is_handed_on(api, run):
    query = "entity=run%2F1&category=run&type=a%2Cb&node=n&actor=ann&correlation=c&since=2026-01-01&until=2027-01-01"
    api.answer(f"GET /api/v2/events?{query}&after=1&order=desc&limit=5", {"items": [EVENT]})
    words = ["--entity", "run/1", "--category", "run", "--type", "a,b", "--node", "n", "--actor", "ann"]
    words += ["--correlation", "c", "--since", "2026-01-01", "--until", "2027-01-01", "--after", "1", "--newest"]
    assert run("events", "ls", *words, "--limit", "5", "-o", "name").out == "7\n"


def test_the_history_as_of_a_position_says_how_the_job_was_then(api, run):
    api.answer("GET /api/v2/jobs/1/events?as_of=7&limit=100", {"items": [EVENT]})
    api.answer("GET /api/v2/entities/job/1?as_of=7", {"state": {"wanted": "active"}})
    api.answer("GET /api/v2/entities/run/1?as_of=7", {"detail": "nothing yet"}, status=404)
    ran = run("job", "history", "1", "--as-of", "7")
    assert (ran.code, ran.out, ran.err) == (0, TABLE, 'job: {"wanted": "active"}\nrun: null\n')
    states = json.loads(run("job", "history", "1", "--as-of", "7", "-o", "json").out)
    assert (states["job"], states["run"]) == ({"wanted": "active"}, None)


WHOLE = {"verdict": "whole", "events": 9, "up_to": 9, "broken": None}
BROKEN = {
    "verdict": "broken",
    "events": 2,
    "up_to": 2,
    "broken": {"entity_id": "run/1", "version": 1, "position": 3, "fault": "its hash does not fit"},
}


def test_the_verdict_on_the_log_is_the_exit_code(api, run):
    for verdict, code, said in (
        (WHOLE, 0, "9 events up to position 9: each one fits the one before\n"),
        (BROKEN, 1, "2 events up to position 2: run/1 version 1 at position 3: its hash does not fit\n"),
    ):
        lines = json.dumps({"position": 1, "head": 9}) + "\n" + json.dumps(verdict) + "\n"
        api.answer("GET /api/v2/events/verify", lines, media="application/x-ndjson")
        ran = run("events", "verify")
        assert (ran.code, ran.out, ran.err) == (code, "", said)


def test_a_walk_without_a_verdict_is_none(api, run):
    api.answer("GET /api/v2/events/verify", json.dumps({"position": 1, "head": 9}) + "\n", media="application/x-ndjson")
    ran = run("events", "verify")
    assert (ran.code, ran.err) == (1, "nats3: the server ended before all was read: try again\n")


def test_projections_are_listed(api, run):
    rows = [{"name": "jobs", "version": 1, "status": "running", "position": 7, "lag": 0}]
    api.answer("GET /api/v2/projections?limit=1000", {"items": rows})
    assert run("projections", "ls").out == dedent("""\
        ╭──────┬─────────┬─────────┬──────────┬─────╮
        │ name │ version │ status  │ position │ lag │
        ╞══════╪═════════╪═════════╪══════════╪═════╡
        │ jobs │ 1       │ running │ 7        │ 0   │
        ╰──────┴─────────┴─────────┴──────────┴─────╯
        """)
