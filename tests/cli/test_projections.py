"""Work on projections on the command line."""

from __future__ import annotations

import json

import pytest

from nats3.cli import projections

OPERATION = {
    "id": "11",
    "name": "jobs",
    "kind": "rebuild",
    "state": "running",
    "version": None,
    "position": None,
    "head": 20,
    "differ": [],
    "reason": None,
    "actor": "ann",
    "asked_at": "2026-11-23T20:00:00.000000Z",
    "ended_at": None,
}
DONE = {**OPERATION, "state": "done", "version": 2, "position": 20, "ended_at": "2026-11-23T20:00:01.000000Z"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(projections, "BETWEEN_LOOKS_S", 0.0)


def test_a_rebuild_is_waited_for(api, run):
    api.answer("POST /api/v2/projections/jobs/rebuild", OPERATION, status=202)
    look = "GET /api/v2/projections/jobs/operations/11"
    api.answer(look, {**OPERATION, "position": 10})
    api.later[look] = [DONE]
    ran = run("projections", "rebuild", "jobs", "-o", "json")
    assert (ran.code, json.loads(ran.out), ran.err) == (0, DONE, "")
    assert [line for line, _ in api.asked] == ["POST /api/v2/projections/jobs/rebuild", look, look]


def test_or_not(api, run):
    api.answer("POST /api/v2/projections/jobs/rebuild", OPERATION, status=202)
    ran = run("projections", "rebuild", "jobs", "--no-wait", "-o", "name")
    assert (ran.code, ran.out, len(api.asked)) == (0, "11\n", 1)


@pytest.mark.parametrize(
    ("end", "code"),
    [({}, 0), ({"differ": ["lives"]}, 1), ({"state": "failed", "reason": "poison"}, 1), ({"state": "cancelled"}, 1)],
)
def test_how_it_ended_is_the_exit_code(api, run, end, code):
    api.answer("POST /api/v2/projections/jobs/verify", {**DONE, **end}, status=202)
    ran = run("projections", "verify", "jobs", "-o", "name")
    assert (ran.code, ran.err) == (code, "jobs: poison\n" if "reason" in end else "")


def test_a_second_one_is_a_conflict(api, run):
    said = {"detail": "jobs: a rebuild is under way, operation 11"}
    api.answer("POST /api/v2/projections/jobs/rebuild", said, status=409, media="application/problem+json")
    ran = run("projections", "rebuild", "jobs")
    assert (ran.code, ran.err) == (4, "nats3: jobs: a rebuild is under way, operation 11\n")


def test_cancel_and_return(api, run):
    api.answer("POST /api/v2/projections/jobs/cancel", {**OPERATION, "state": "cancelling"}, status=202)
    assert run("projections", "cancel", "jobs", "-o", "name").out == "11\n"
    api.answer("POST /api/v2/projections/jobs/return", {"name": "jobs", "version": 1})
    assert run("projections", "return", "jobs").err == "jobs: readers see version 1 again\n"


def test_an_event_is_skipped_with_its_reason(api, run):
    api.answer("POST /api/v2/projections/jobs/skip", {"name": "jobs", "skipped": 7, "position": 12}, status=202)
    ran = run("projections", "skip", "jobs", "7", "--reason", "written twice")
    assert (ran.code, ran.err) == (0, "jobs: position 7 is passed over, recorded at 12\n")
    assert api.asked[-1][1] == {"position": 7, "reason": "written twice"}
    assert run("projections", "skip", "jobs", "7").code == 2
