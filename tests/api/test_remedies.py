"""A refusal names what was given, where, and what is taken instead."""

from __future__ import annotations

from typing import Any

import pytest

from nats3.job.loading import LoadCompleted
from nats3.job.running import RunActivated
from tests.api.conftest import Api

STORE = {"kind": "store", "stream": "jobs", "bucket": "bucket-1"}
LOAD = {"kind": "load", "bucket": "bucket-1", "read_stream": "jobs"}
BUCKET_NAME = "use 3 to 255 letters, digits, '.', '-' and '_', the first and the last a letter or digit"
MODES = "use auto, atomic, exclusive, dedupe or at_least_once"
DURATION = "give a duration such as 500ms, 10s, 5m, 1h30m or 2d"
INTERVAL = f'{DURATION}, or {{"secs": 300, "nanos": 0}}'
LEVEL = "give a whole number from 1 to 19, or auto"
OTHER_JOB = ("is fixed once a job is ordered", "order another job with it")
SYSTEM = "begin it neither with '$' nor with _INBOX; what was archived from $KV. goes back there when none is given"

Said = tuple[str, str, str]

ORDERS: list[tuple[dict[str, Any], list[Said]]] = [
    ({**STORE, "level": "fast"}, [("level", "'fast' does not fit", LEVEL)]),
    ({**STORE, "level": None}, [("level", "null does not fit", LEVEL)]),
    (
        {**STORE, "codec": "JSON"},
        [("codec", "'JSON' is none of the words known here", "use binary, json or parquet")],
    ),
    ({**LOAD, "mode": "fast"}, [("mode", "'fast' is none of the words known here", MODES)]),
    ({**LOAD, "mode": 5}, [("mode", "5 is none of the words known here", MODES)]),
    ({**LOAD, "mode": ["auto"]}, [("mode", "a list is none of the words known here", MODES)]),
    ({**LOAD, "poll_interval": 5}, [("poll_interval", "5 does not fit", DURATION)]),
    ({**LOAD, "pace": {"max_gap": 5}}, [("pace.max_gap", "5 does not fit", DURATION)]),
    ({**STORE, "limits": {"max_age": 10}}, [("limits.max_age", "10 does not fit", DURATION)]),
    (
        {**STORE, "s3": "http://evil"},
        [("s3", "'http://evil' is no name of a connection", "use the name of a connection of the configuration, or leave it out")],
    ),
    (
        {**STORE, "s3": "a:b", "bucket": "x"},
        [
            ("s3", "'a:b' is no name of a connection", "use the name of a connection of the configuration, or leave it out"),
            ("bucket", "'x' is no name of a bucket", BUCKET_NAME),
        ],
    ),
    (
        {**STORE, "bucket": "cold:archive"},
        [("bucket", "'cold:archive' is no name of a bucket", "write s3: cold and bucket: archive")],
    ),
    ({**LOAD, "bucket": "cold:a/b"}, [("bucket", "'cold:a/b' is no name of a bucket", BUCKET_NAME)]),
    ({**LOAD, "write_subject": "$KV.x"}, [("write_subject", "'$KV.x' is a system subject", SYSTEM)]),
    (
        {**STORE, "batch": {"max_count": 5}, "encoding": {"codec": "Json"}},
        [
            ("batch", "is a word of version 1", "use limits, with max_bytes and max_count"),
            ("encoding", "is a word of version 1", "use codec, with binary or json"),
        ],
    ),
    ({**STORE, "subjct": "a"}, [("subjct", "is unknown", "did you mean subject? Else leave it out")]),
    ({**STORE, "colour": "a"}, [("colour", "is unknown", "leave it out")]),
]  # fmt: skip


def said(answer: Any) -> list[Said]:
    """The faults of a problem."""
    problem = answer.json()
    told = [(each["field"], each["fault"], each["remedy"]) for each in problem["errors"]]
    assert problem["detail"] == "; ".join(f"{field}: {fault}; {remedy}" for field, fault, remedy in told)
    return told


@pytest.mark.parametrize(("order", "faults"), ORDERS, ids=lambda value: str(value)[-40:])
async def test_a_fault_of_an_order_names_the_value_and_what_is_taken(
    api: Api, order: dict[str, Any], faults: list[Said]
) -> None:
    answer = await api.client.post("/api/v2/jobs", json=order)
    assert (answer.status_code, said(answer)) == (422, faults)
    assert await api.store.head() == 0


V1_STORE = {"stream": "jobs", "subject": "a", "bucket": "bucket-1"}
V1_LOAD = {"bucket": "bucket-1", "read_stream": "jobs", "read_subject": "a", "write_subject": "b"}


@pytest.mark.parametrize(
    ("kind", "order", "text"),
    [
        ("load", {**V1_LOAD, "poll_interval": 5}, f"poll_interval: 5 does not fit; {INTERVAL}"),
        (
            "load",
            {**V1_LOAD, "poll_interval": {"secs": "5"}},
            "poll_interval.secs: is no whole number; give a whole number without quotes",
        ),
        ("store", {**V1_STORE, "bucket": "cold:archive"}, "bucket: 'cold:archive' is no name of a bucket; write s3: cold and"),
        ("store", {**V1_STORE, "s3": "http://evil"}, "s3: 'http://evil' is no name of a connection; use the name of a"),
    ],
)  # fmt: skip
async def test_a_fault_of_version_1_names_them_too(api: Api, kind: str, order: dict[str, Any], text: str) -> None:
    answer = await api.client.post(f"/{kind}/job", json=order)
    told = answer.json()["error"] if answer.headers["content-type"] == "application/json" else answer.text
    assert (answer.status_code, told[: len(text)], "; " in told[len(text) :]) == (422, text, False)


@pytest.mark.parametrize(
    ("order", "change", "faults"),
    [
        (STORE, {"stream": "other"}, [("stream", *OTHER_JOB)]),
        (STORE, {"kind": "load"}, [("kind", *OTHER_JOB)]),
        (LOAD, {"bucket": "b-2", "s3": "cold"}, [("bucket", *OTHER_JOB), ("s3", *OTHER_JOB)]),
        (STORE, {"poll_interval": "5m"}, [("poll_interval", "is unknown", "leave it out")]),
        (STORE, {"level": "fast"}, [("level", "'fast' does not fit", LEVEL)]),
        (STORE, {"limits": {"max_age": 5}}, [("limits.max_age", "5 does not fit", DURATION)]),
        (LOAD, {"poll_interval": 5}, [("poll_interval", "5 does not fit", f"{DURATION}, or null to end the polling")]),
    ],
)
async def test_what_is_fixed_is_told_from_what_is_unknown(
    api: Api, order: dict[str, Any], change: dict[str, Any], faults: list[Said]
) -> None:
    job = (await api.client.post("/api/v2/jobs", json=order)).json()["id"]
    await api.run(job, RunActivated(1, "node-a"))
    answer = await api.client.patch(f"/api/v2/jobs/{job}", json=change)
    assert (answer.status_code, said(answer)) == (422, faults)


async def test_version_1_offers_only_commands_that_it_has(api: Api) -> None:
    job = (await api.client.post("/load/job", json=V1_LOAD)).json()["id"]
    await api.run(job, RunActivated(1, "node-a"), LoadCompleted(0, 0))
    refused = await api.client.post("/load/job/pause", params={"job_id": job})
    assert refused.json() == {"error": f"job {job} is completed: pause is not possible, only delete"}
    newer = await api.client.post(f"/api/v2/jobs/{job}/pause")
    assert newer.json()["detail"].endswith("pause is not possible, only delete, retry")
