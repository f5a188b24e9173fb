"""Nodes, and jobs by their status."""

from __future__ import annotations

import pytest

from nats3.cli import jobs
from nats3.cli.waiting import Clock
from tests.cli.conftest import STORE_JOB

NODE = {
    "id": "5d3f8a52-6a4e-4a55-8fd8-3f5bd1c3b0a1",
    "name": "vm at 127.0.0.1:8080 in 826c110c",
    "alive": True,
    "started_at": "2026-02-26T00:32:20.123456Z",
    "lease_until": "2026-02-26T00:42:20.123456Z",
}


@pytest.mark.parametrize("word", ["ls", "list"])
def test_nodes_are_listed(api, run, word):
    api.answer("GET /api/v2/nodes?limit=1000", {"items": [NODE]})
    ran = run("nodes", word)
    header, row = ran.out.splitlines()[1:4:2]
    assert [cell.strip() for cell in header.split("│")[1:-1]] == ["id", "name", "alive", "started"]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [NODE["id"], NODE["name"], "true", NODE["started_at"]]
    assert run("nodes", word, "-o", "name").out == f"{NODE['name']}\n"


@pytest.mark.parametrize("kind", ["store", "load"])
def test_jobs_are_listed_by_their_status(api, run, kind):
    api.answer(f"GET /api/v1/{kind}/jobs?status=Paused", [STORE_JOB])
    ran = run(kind, "list", "--status", "Paused", "-o", "name")
    assert (ran.code, ran.out) == (0, "test-store-1772065940\n")


def test_a_watched_job_that_leaves_the_status_is_told_once_more_and_is_not_deleted(api, run, monkeypatch):
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) > 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "CLOCK", Clock(lambda: 0.0, sleep))
    other = {**STORE_JOB, "id": "2", "name": "other", "status": "Failure"}
    api.answer("GET /api/v1/store/jobs", [STORE_JOB, other])
    api.later["GET /api/v1/store/jobs"] = [[{**STORE_JOB, "status": "Paused"}, other], [other]]
    ran = run("store", "list", "--status", "running", "--watch", "-o", "jsonl")
    assert ran.code == 130
    assert [line.split('"status":"')[1].split('"')[0] for line in ran.out.splitlines()] == [
        "Running",
        "Paused",
        "Deleted",
    ]
