"""Surveys on the command line."""

from __future__ import annotations

import json

import pytest

from nats3.cli import archive

RUNNING = {
    "id": "s-1",
    "task": "verify",
    "bucket": None,
    "prefix": None,
    "job_id": None,
    "deep": False,
    "state": "running",
    "node": None,
    "step": None,
    "done": 0,
    "total": 0,
    "counts": {},
    "found": {},
    "clean": None,
    "reason": None,
    "actor": "ann",
    "asked_at": "2026-11-23T20:00:00.000000Z",
    "ended_at": None,
}
DONE = {**RUNNING, "state": "done", "clean": True, "counts": {"chunks": 3}, "ended_at": "2026-11-23T20:00:01.000000Z"}
MISSING = {
    "id": 1,
    "kind": "missing",
    "bucket": "b",
    "key": "k",
    "job_id": None,
    "first": 1,
    "last": 2,
    "detail": "gone",
}
LOOK = "GET /api/v2/archive/surveys/s-1"
FINDINGS = f"{LOOK}/findings?limit=1000"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(archive, "BETWEEN_LOOKS_S", 0.0)


def test_a_verification_is_waited_for_and_its_findings_are_told(api, run):
    api.answer("POST /api/v2/archive/verifications", RUNNING, status=202)
    api.answer(LOOK, {**RUNNING, "done": 1, "total": 3})
    api.later[LOOK] = [{**DONE, "clean": False, "found": {"missing": 1}}]
    api.answer(FINDINGS, {"items": [MISSING]})
    ran = run("archive", "verify", "--deep", "--bucket", "b", "-o", "json")
    assert (ran.code, ran.err) == (1, "verify is done: 3 chunks, 1 missing\n")
    assert json.loads(ran.out)["findings"] == [MISSING]
    assert api.asked[0][1] == {"deep": True, "bucket": "b"}


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ({}, 0),
        ({"clean": False}, 1),
        ({"state": "failed", "reason": "no bucket", "clean": None}, 1),
        ({"state": "cancelled"}, 1),
    ],
)
def test_how_it_ended_is_the_exit_code(api, run, end, code):
    api.answer("POST /api/v2/archive/rebuilds", {**DONE, **end}, status=202)
    api.answer(FINDINGS, {"items": []})
    assert run("archive", "rebuild-index", "--bucket", "b").code == code
    assert api.asked[0][1] == {"bucket": "b", "deep": False}


def test_or_not_waited_for(api, run):
    api.answer("POST /api/v2/archive/verifications", RUNNING, status=202)
    ran = run("archive", "verify", "--no-wait", "-o", "name")
    assert (ran.code, ran.out, len(api.asked)) == (0, "s-1\n", 1)


def test_reports_are_read_later_and_surveys_are_listed_and_cancelled(api, run):
    api.answer(LOOK, DONE)
    api.answer(FINDINGS, {"items": []})
    assert run("archive", "report", "s-1").code == 0
    api.answer("GET /api/v2/archive/surveys?limit=100", {"items": [DONE]})
    assert run("archive", "ls", "-o", "name").out == "s-1\n"
    api.answer(f"POST {LOOK[4:]}/cancel", {**RUNNING, "state": "cancelling"}, status=202)
    assert run("archive", "cancel", "s-1", "-o", "name").out == "s-1\n"


def test_a_bucket_must_be_named_to_be_read(run):
    assert run("archive", "rebuild-index").code == 2
