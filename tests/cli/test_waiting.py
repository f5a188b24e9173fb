"""`--wait` ends with the code of how the job ended."""

from __future__ import annotations

import pytest

from nats3.cli import load
from nats3.cli.waiting import Clock
from tests.cli.conftest import LOAD_JOB

JOB_ID = LOAD_JOB["id"]
STATE = f"GET /api/v2/jobs/{JOB_ID}"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Time that passes only by sleeping."""
    at = [0.0]

    def sleep(duration: float) -> None:
        at[0] += duration

    monkeypatch.setattr(load, "CLOCK", Clock(lambda: at[0], sleep))
    return at


def in_states(api, *states):
    answers = [{"name": "a", **({"state": state} if isinstance(state, str) else state)} for state in states]
    api.answer(STATE, answers[0])
    api.later[STATE] = answers[1:]
    api.answer(f"GET /api/v1/load/job?job_id={JOB_ID}", LOAD_JOB)
    api.answer("POST /api/v2/jobs", LOAD_JOB, status=201)


@pytest.mark.parametrize(("state", "code"), [("completed", 0), ("completed_with_gaps", 7), ("failed", 1)])
def test_the_code_says_how_the_job_ended(api, run, state, code):
    in_states(api, "created", "running", state)
    ran = run("load", "get", JOB_ID, "--wait", "-o", "name")
    assert (ran.code, ran.out) == (code, "test-load-1772065893\n")
    assert ran.err == f"load job a is created\nload job a is running\nload job a is {state}\n"


def test_create_can_wait_too(api, run):
    in_states(api, "running", "completed_with_gaps")
    order = ["--bucket", "b", "--read-stream", "s", "--read-subject", "r", "--write-subject", "w"]
    assert run("load", "create", *order, "--wait").code == 7


def test_a_blocked_job_is_waited_for_and_its_reason_is_told(api, run):
    in_states(api, {"state": "blocked", "reason": "bucket b does not exist"}, "running", "completed")
    ran = run("load", "get", JOB_ID, "--wait")
    assert ran.code == 0
    assert ran.err.splitlines()[0] == "load job a is blocked: bucket b does not exist"


def test_when_the_time_is_up_the_code_is_124(api, run, clock):
    in_states(api, "running")
    ran = run("load", "get", JOB_ID, "--wait", "--timeout", "1m")
    assert (ran.code, ran.out) == (124, "")
    assert ran.err == "load job a is running\nnats3: load job a is still running after 1m\n"
    assert clock[0] == 60
