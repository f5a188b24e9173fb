"""`--interactive`: what is not given is asked, on stderr, and sent as if it had been an option."""

from __future__ import annotations

import io
import sys

import pytest

from tests.cli.conftest import LOAD_JOB, STORE_JOB

ID = STORE_JOB["id"]
NEW_LOAD = {**LOAD_JOB, "kind": "load", "state": "created", "reason": ""}


@pytest.fixture
def answer(monkeypatch):
    """Give the lines that a person types."""

    def give(*lines: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    return give


@pytest.mark.parametrize("option", ["-i", "--interactive"])
def test_a_store_job_is_ordered_by_answers(api, run, answer, option):
    api.answer("POST /api/v1/store/job", STORE_JOB)
    answer("orders", "ORDERS", "", "orders.>", "archive", "cold", "64MB", "500", "json")
    ran = run("store", "create", option, "-o", "name")
    assert (ran.code, ran.out) == (0, "test-store-1772065940\n")
    assert api.asked[0][1] == {
        "name": "orders", "stream": "ORDERS", "subject": "orders.>", "bucket": "archive", "prefix": "cold",
        "batch": {"max_bytes": 64 << 20, "max_count": 500}, "encoding": {"codec": "json"},
    }  # fmt: skip
    assert "Stream to archive: " in ran.err
    assert "Prefix of all object keys (optional): " in ran.err


def test_what_was_given_is_not_asked_and_what_is_needed_is_asked_again(api, run, answer):
    api.answer("POST /api/v1/store/job", STORE_JOB)
    answer("", "", "", "orders.>", "", "", "", "xml", "bin")
    ran = run("store", "create", "-i", "--stream", "ORDERS", "--bucket", "archive")
    assert (ran.code, "Bucket" in ran.err) == (0, False)
    assert "give one of json, binary, bin" in ran.err
    wanted = {"stream": "ORDERS", "subject": "orders.>", "bucket": "archive", "encoding": {"codec": "bin"}}
    assert api.asked[0][1] == wanted


def test_a_load_job_is_ordered_by_answers(api, run, answer):
    api.answer("POST /api/v2/jobs", NEW_LOAD)
    api.answer(f"GET /api/v1/load/job?job_id={LOAD_JOB['id']}", LOAD_JOB)
    answer("", "archive", "", "ORDERS", "", "orders.>", "replayed", "5m", "yes", "2026-01-01T00:00:00Z", "")
    assert run("load", "create", "-i").code == 0
    assert api.asked[0][1] == {
        "kind": "load", "bucket": "archive", "read_stream": "ORDERS", "read_subject": "orders.>",
        "write_subject": "replayed", "poll_interval": "5m", "delete_chunks": True, "from_time": "2026-01-01T00:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["pause", "resume"])
@pytest.mark.parametrize("kind", ["store", "load"])
def test_a_job_to_steer_is_asked_for(api, run, answer, kind, verb):
    api.answer(f"POST /api/v1/{kind}/job/{verb}?job_id={ID}", STORE_JOB)
    answer(ID)
    ran = run(kind, verb, "-i")
    assert ran.code == 0
    assert f"Id or name of the {kind} job: " in ran.err


def test_a_job_to_delete_is_asked_for(api, run, answer):
    api.answer(f"DELETE /api/v1/store/job?job_id={ID}", "")
    answer(ID)
    assert run("store", "delete", "-i").code == 0
    assert [line for line, _ in api.asked] == [f"DELETE /api/v1/store/job?job_id={ID}"]


def test_answers_that_end_order_nothing(api, run, answer):
    answer("orders")
    ran = run("store", "create", "-i")
    assert (ran.code, api.asked) == (2, [])
    assert ran.err.endswith("nats3: the answers ended before all was asked\n")
