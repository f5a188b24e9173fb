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


def test_a_tail_prints_each_event_as_it_comes(api, run):
    stream = f"id: 7\nevent: JobCreated\ndata: {json.dumps(EVENT)}\n\n: ping\n\n"
    api.answer("GET /api/v2/events?follow=true", stream, media="text/event-stream")
    ran = run("events", "tail")
    assert [json.loads(line) for line in ran.out.splitlines()] == [EVENT]


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
