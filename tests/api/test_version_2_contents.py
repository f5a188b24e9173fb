"""What is in chunks and streams, what a load reads, and the runs of a job."""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest

from nats3.api import v2_messages
from nats3.chunk.encode import encode
from nats3.chunk.layout import Codec, Origin
from nats3.job.loading import LoadCompleted, LoadExtended, LoadPlanned
from nats3.job.running import RunActivated, RunBlocked, RunRecovered
from nats3.job.storing import ChunkFlushed
from nats3.life import Opening
from nats3.message import Batch
from tests.api.conftest import Api
from tests.api.test_version_2_log import items, made
from tests.views.samples import RANGE, flushed, opened

TIMES = [1_700_000_000_000_000_000 + n * 1_000_000_000 for n in range(5)]
BATCH = Batch(
    [1, 2, 3, 5, 6],
    TIMES,
    [b"a.x", b"a.y", b"b.x", b"a.x", b"a.\xff"],
    [None, b"NATS/1.0\r\nk: v\r\n\r\n", None, None, None],
    [b"one", b"two", b"\xff\x00", b"", b"six"],
)


async def archived(api: Api) -> tuple[str, ChunkFlushed]:
    """A job with one real chunk in its bucket; its id and path."""
    job = await made(api)
    opening = Opening(1, "life-1", 1_700_000_000_000_000_001)
    origin = Origin(
        log_id=str(uuid4()), job_id=job, stream="ORDERS", subject_filter=">", consumer=None, opening=opening,
        previous_seq=0, previous_sha256="life-1", activation=1, bind=1,
    )  # fmt: skip
    encoded = encode(BATCH, origin, codec=Codec.BINARY)
    api.objects.buckets["archive"]["k"] = encoded.body
    chunk = flushed(
        1, 6, key="k", count=5, created=opening.created, sha256=sha256(encoded.body).hexdigest(),
        stored_bytes=len(encoded.body), raw_bytes=BATCH.raw_bytes(), first_time=TIMES[0], last_time=TIMES[-1],
    )  # fmt: skip
    position = await api.run(job, opened(), chunk)
    return f"/api/v2/chunks/{position}", chunk


async def test_the_messages_of_a_chunk_are_told_as_they_were(api: Api) -> None:
    path, _ = await archived(api)
    found = await items(api, f"{path}/messages?limit=2")
    assert [(each["seq"], each["subject"], b64decode(each["payload"]), each["text"]) for each in found] == [
        (1, "a.x", b"one", "one"),
        (2, "a.y", b"two", "two"),
        (3, "b.x", b"\xff\x00", None),
        (5, "a.x", b"", ""),
        (6, "a.\\xff", b"six", "six"),
    ]
    assert (found[0]["header"], b64decode(found[1]["header"])) == (None, BATCH.headers[1])
    assert found[1]["time"] == "2023-11-14T22:13:21.000000Z"


@pytest.mark.parametrize(
    ("query", "seqs"),
    [
        ("seq=3", [3]),
        ("seq=4", []),
        ("subject=a.*", [1, 2, 5, 6]),
        ("from=2023-11-14T22:13:21Z&to=2023-11-14T22:13:23Z", [2, 3]),
        ("subject=a.x&after=1", [5]),
        ("after=6", []),
    ],
)
async def test_messages_are_chosen_by_seq_time_and_subject(api: Api, query: str, seqs: list[int]) -> None:
    path, _ = await archived(api)
    assert [each["seq"] for each in await items(api, f"{path}/messages?{query}")] == seqs


async def test_a_page_of_messages_is_bounded_in_bytes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = await archived(api)
    monkeypatch.setattr(v2_messages, "MAX_PAGE_BYTES", 1)
    first = await api.client.get(f"{path}/messages")
    assert [each["seq"] for each in first.json()["items"]] == [1]
    assert len(await items(api, f"{path}/messages")) == 5
    monkeypatch.setattr(v2_messages, "MAX_CHUNK_BYTES", 1)
    refused = await api.client.get(f"{path}/messages")
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")


async def test_an_object_is_held_against_the_log(api: Api) -> None:
    path, chunk = await archived(api)
    whole = await api.client.post(f"{path}/verify")
    assert (whole.status_code, whole.json()["verdict"], whole.json()["fault"]) == (200, "whole", None)
    body = api.objects.buckets["archive"]["k"]
    api.objects.buckets["archive"]["k"] = body[:-1] + bytes([body[-1] ^ 1])
    corrupt = (await api.client.post(f"{path}/verify")).json()
    assert (corrupt["verdict"], corrupt["sha256"]) == ("corrupt", chunk.sha256)
    assert "SHA-256" in corrupt["fault"]
    unread = await api.client.get(f"{path}/messages")
    assert (unread.status_code, unread.json()["code"]) == (409, "chunk_corrupt")
    del api.objects.buckets["archive"]["k"]
    assert (await api.client.post(f"{path}/verify")).json()["verdict"] == "missing"
    assert (await api.client.get(f"{path}/messages")).json()["code"] == "chunk_missing"
    del api.objects.buckets["archive"]
    gone = await api.client.post(f"{path}/verify")
    assert (gone.status_code, gone.json()["code"]) == (409, "bucket_missing")


async def test_streams_are_listed_with_what_of_them_is_archived(api: Api) -> None:
    await archived(api)
    listed = await items(api, "/api/v2/streams?limit=1")
    assert [each["name"] for each in listed] == ["ORDERS", "jobs"]
    assert listed[0]["there"] is None
    assert {name: listed[0]["archived"][name] for name in ("jobs", "chunks", "messages", "last_seq")} == {
        "jobs": 1,
        "chunks": 1,
        "messages": 5,
        "last_seq": 6,
    }
    alone = (await api.client.get("/api/v2/streams/jobs")).json()
    assert (alone["archived"], alone["there"]["subjects"], alone["there"]["last_seq"]) == (None, ["jobs.>"], 3)
    assert (await api.client.get("/api/v2/streams/none")).status_code == 404
    api.outside.answers = False
    away = await api.client.get("/api/v2/streams")
    assert (away.status_code, away.headers["retry-after"], away.json()["detail"]) == (
        503,
        "5",
        "nats is away; try again soon",
    )


LOAD = {"kind": "load", "bucket": "archive", "read_stream": "ORDERS"}


async def test_a_dry_run_says_what_a_load_would_read_and_records_nothing(api: Api) -> None:
    await archived(api)
    before = await api.store.head()
    answer = await api.client.post("/api/v2/jobs?dry_run=true", json=LOAD)
    said = answer.json()
    assert (answer.status_code, said["order"]["mode"], said["plan"]["frozen"]) == (200, "auto", False)
    assert (said["plan"]["chunks"], said["plan"]["messages"], said["plan"]["ranges"][0]["last"]) == (1, 5, 6)
    assert said["warnings"] == ["bucket archive does not exist: the job waits until it is back with its chunks"]
    nothing = await api.client.post("/api/v2/jobs?dry_run=true", json={**LOAD, "from_seq": 100})
    assert (nothing.json()["plan"]["messages"], nothing.json()["plan"]["ranges"]) == (0, [])
    store = {"kind": "store", "stream": "jobs", "bucket": "bucket-1"}
    assert (await api.client.post("/api/v2/jobs?dry_run=true", json=store)).json()["plan"] is None
    assert (await api.client.post("/api/v2/jobs?dry_run=true", json={**LOAD, "limit": 0})).status_code == 422
    assert await api.store.head() == before


async def test_the_plan_of_a_load_is_what_its_run_froze(api: Api) -> None:
    job = (await api.client.post("/api/v2/jobs", json=LOAD)).json()["id"]
    assert (await api.client.get(f"/api/v2/jobs/{job}/plan")).json()["frozen"] is False
    await api.run(job, LoadPlanned((RANGE,), 1, 3, 30, 1, 1), LoadExtended((RANGE,), 2, 1, 5))
    plan = (await api.client.get(f"/api/v2/jobs/{job}/plan")).json()
    assert (plan["frozen"], plan["position"], plan["chunks"], plan["messages"]) == (True, 2, 4, 35)
    assert [each["last"] for each in plan["ranges"]] == [30, 30]
    await api.run(job, LoadPlanned((RANGE,), 7, 1, 10, 2, 2))
    assert (await api.client.get(f"/api/v2/jobs/{job}/plan")).json()["messages"] == 10, "the latest one alone"
    store = await made(api)
    assert (await api.client.get(f"/api/v2/jobs/{store}/plan")).status_code == 404


async def test_the_runs_of_a_job_tell_how_often_it_began_and_how_each_ended(api: Api) -> None:
    job = (await api.client.post("/api/v2/jobs", json=LOAD)).json()["id"]
    await api.run(job, RunActivated(1, "node-a"), RunBlocked("c", "why"), RunRecovered("c"), RunActivated(2, "node-b"))
    await api.run(job, LoadCompleted(3, 1))
    await api.client.post(f"/api/v2/jobs/{job}/retry", json={"restart": True})
    runs = await items(api, f"/api/v2/jobs/{job}/runs?limit=1")
    said: list[dict[str, Any]] = [{key: run[key] for key in ("number", "generation", "state", "node")} for run in runs]
    assert said == [
        {"number": 1, "generation": 1, "state": "completed_with_gaps", "node": "node-b"},
        {"number": 2, "generation": 2, "state": "created", "node": None},
    ]
    assert (runs[0]["activations"], runs[1]["began_at"]) == (2, None)
    assert runs[0]["ended_at"] is not None
    await api.run(job, RunActivated(3, "node-c"), RunBlocked("chunk_missing", "k"))
    latest = (await items(api, f"/api/v2/jobs/{job}/runs"))[1]
    assert (latest["state"], latest["reason"]) == ("blocked", "chunk_missing: k")


@pytest.mark.parametrize(
    ("fields", "messages"),
    [
        ({}, 5),
        ({"read_headers": {"k": "v"}}, 1),
        ({"read_subjects": ["b.*", "a.y"]}, 2),
        ({"from_seq": 2, "to_seq": 5, "limit": 2}, 2),
        ({"from_time": "2023-11-14T22:13:22Z", "to_seq": 5}, 2),
    ],
)
async def test_an_order_is_counted_as_the_load_would_publish(api: Api, fields: dict[str, Any], messages: int) -> None:
    await archived(api)
    order = {"kind": "load", "bucket": "archive", "read_stream": "ORDERS", "to_seq": 5, "write_subject": "x", **fields}
    before = await api.services.log.head()
    if not fields:
        order.pop("to_seq")
    told = (await api.client.post("/api/v2/jobs/plan", json=order)).json()
    assert (told["messages"], told["exact"], told["chunks"], told["refusal"]) == (messages, True, 1, None)
    assert await api.services.log.head() == before, "nothing is recorded"
    unread = (await api.client.post("/api/v2/jobs/plan?most_read=0", json=order)).json()
    assert unread["exact"] is (not fields)
    assert unread["messages"] >= messages


async def test_only_loads_are_counted_and_faults_of_an_order_are_named(api: Api) -> None:
    store = {"kind": "store", "stream": "jobs", "bucket": "bucket-1"}
    answer = await api.client.post("/api/v2/jobs/plan", json=store)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "kind")
    load = {"kind": "load", "bucket": "bucket-1", "read_stream": "ORDERS", "limit": 0}
    answer = await api.client.post("/api/v2/jobs/plan", json=load)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "limit")


@pytest.mark.parametrize("field", ["from_time", "to_time"])
@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_a_load_may_begin_before_any_message_and_end_after_all(api: Api, field: str, time: str) -> None:
    """No column of Postgres holds such a time; that is not Postgres being away."""
    _, chunk = await archived(api)
    order = {"kind": "load", "bucket": chunk.bucket, "read_stream": "ORDERS", field: time}
    answer = await api.client.post("/api/v2/jobs?dry_run=true", json=order)
    assert answer.status_code == 200, answer.text
    everything = (field == "from_time") == time.startswith("0001")
    assert answer.json()["plan"]["messages"] == (chunk.count if everything else 0)
