"""Whole bodies and codes of every route of version 1, at the root and below /api/v1."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from eventstore import Append, Appended
from nats3.api.app import build
from nats3.api.world import StreamFacts
from nats3.job.loading import LoadCompleted
from nats3.job.running import RunActivated, RunFailed
from nats3.views.job_queries import Jobs
from tests.api.conftest import Api
from tests.views.samples import flushed, opened

STORE = {"name": "job-1", "stream": "jobs", "subject": "subject-1", "bucket": "bucket-1"}
LOAD = {"bucket": "bucket-1", "read_stream": "jobs", "read_subject": "subject-1", "write_subject": "destination"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

STORE_ANSWER = (
    '{"id":"ID","name":"job-1","status":"STATUS","stream":"jobs","consumer":null,"subject":"subject-1",'
    '"bucket":"bucket-1","prefix":null,"batch":{"max_bytes":1000000,"max_count":1000},'
    '"encoding":{"codec":"Binary"},"created":"TIME","updated":"TIME"}'
)
LOAD_ANSWER = (
    '{"id":"ID","name":"NAME","status":"STATUS","bucket":"bucket-1","prefix":null,"read_stream":"jobs",'
    '"read_consumer":null,"read_subject":"subject-1","poll_interval":null,"write_subject":"destination",'
    '"delete_chunks":false,"from_time":null,"to_time":null,"created":"TIME","updated":"TIME"}'
)

NOTHING = "nothing archived of stream jobs in bucket bucket-1 matches: the job will publish nothing"


def golden(text: str) -> str:
    """An answer with its times, ids and made-up name blotted out."""
    text = TIME.sub("TIME", text)
    text = re.sub(r'"id":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"', '"id":"ID"', text)
    return re.sub(r'"name":"load-[0-9a-f]{8}"', '"name":"NAME"', text)


@pytest.fixture(params=["", "/api/v1"])
def base(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_the_life_of_a_store_job_is_answered_whole(api: Api, base: str) -> None:
    made = await api.client.post(f"{base}/store/job", json=STORE)
    assert (made.status_code, made.headers["content-type"]) == (200, "application/json")
    assert golden(made.text) == STORE_ANSWER.replace("STATUS", "Created")
    job = made.json()["id"]
    got = await api.client.get(f"{base}/store/job", params={"job_id": job})
    assert (got.status_code, got.text) == (200, made.text)

    await api.run(job, RunActivated(1, "node-a"))
    for step, status in (("", "Running"), ("/pause", "Paused"), ("/resume", "Running")):
        ask = api.client.post if step else api.client.get
        answer = await ask(f"{base}/store/job{step}", params={"job_id": job})
        assert (answer.status_code, golden(answer.text)) == (200, STORE_ANSWER.replace("STATUS", status))

    listed = await api.client.get(f"{base}/store/jobs")
    assert (listed.status_code, golden(listed.text)) == (200, f"[{STORE_ANSWER.replace('STATUS', 'Running')}]")
    gone = await api.client.delete(f"{base}/store/job", params={"job_id": job})
    assert (gone.status_code, gone.content) == (200, b"")
    assert (await api.client.get(f"{base}/store/jobs")).text == "[]"
    after = await api.client.get(f"{base}/store/job", params={"job_id": job})
    assert (after.status_code, after.text) == (404, f'{{"error":"job id {job} not found"}}')


class Hasty:
    """A writer beside a node that takes every order up before its answer is written."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def append(self, append: Append) -> Appended:
        done = await self._api.batcher.append(append)
        await self._api.run(append.entity_id.partition("/")[2], RunActivated(1, "node-a"))
        return done


@pytest.mark.parametrize(("kind", "order"), [("store", STORE), ("load", LOAD)])
async def test_an_order_is_answered_created_although_a_node_has_it_already(
    api: Api, kind: str, order: dict[str, str]
) -> None:
    app = build(replace(api.services, writer=Hasty(api)))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        made = await client.post(f"/{kind}/job", json=order)
        assert (made.status_code, made.json()["status"]) == (200, "Created")
        got = await client.get(f"/{kind}/job", params={"job_id": made.json()["id"]})
        assert got.json()["status"] == "Running"


async def test_a_list_longer_than_a_page_is_whole_and_each_of_its_jobs_as_it_is_told_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [(await api.client.post("/store/job", json={**STORE, "name": "Jörg 🚀"})).json()["id"] for _ in range(5)]
    await api.run(ids[2], RunActivated(1, "node-a"), opened(), flushed(1, 10))
    await api.client.post("/store/job/pause", params={"job_id": ids[3]})
    alone = [(await api.client.get("/store/job", params={"job_id": job})).text for job in ids[::-1]]
    for page in (2, 5, 6):
        monkeypatch.setattr(Jobs.answers, "__defaults__", (None, page))
        listed = await api.client.get("/store/jobs")
        assert (listed.headers["content-type"], listed.text) == ("application/json", f"[{','.join(alone)}]")


async def test_the_life_of_a_load_job_is_answered_whole(api: Api, base: str) -> None:
    made = await api.client.post(f"{base}/load/job", json=LOAD)
    wanted = LOAD_ANSWER.replace("STATUS", "Created").removesuffix("}") + f',"warnings":["{NOTHING}"]}}'
    assert (made.status_code, golden(made.text)) == (200, wanted)
    job = made.json()["id"]
    await api.run(job, RunActivated(1, "node-a"))
    for step, status in (("", "Running"), ("/pause", "Paused"), ("/resume", "Running")):
        ask = api.client.post if step else api.client.get
        answer = await ask(f"{base}/load/job{step}", params={"job_id": job})
        assert (answer.status_code, golden(answer.text)) == (200, LOAD_ANSWER.replace("STATUS", status))
    await api.run(job, LoadCompleted(3, 0))
    listed = await api.client.get(f"{base}/load/jobs")
    assert (listed.status_code, golden(listed.text)) == (200, f"[{LOAD_ANSWER.replace('STATUS', 'Success')}]")
    gone = await api.client.delete(f"{base}/load/job", params={"job_id": job})
    assert (gone.status_code, gone.content) == (200, b"")
    assert (await api.client.get(f"{base}/load/jobs")).text == "[]"


async def test_every_field_of_an_order_comes_back(api: Api) -> None:
    order = {
        **LOAD,
        "name": "again",
        "prefix": "cold",
        "read_consumer": "mine",
        "read_subject": "a.*.>",
        "poll_interval": "5m",
        "delete_chunks": True,
        "from_time": "2024-01-01T00:00:00Z",
        "to_time": "2024-01-01T02:00:00.123456789+01:00",
        "unknown": {"fields": ["are", "ignored"]},
    }
    answer = (await api.client.post("/load/job", json=order)).json()
    assert answer["poll_interval"] == {"secs": 300, "nanos": 0}
    assert (answer["from_time"], answer["to_time"]) == ("2024-01-01T00:00:00.000000Z", "2024-01-01T01:00:00.123456789Z")
    kept = ("name", "prefix", "read_consumer", "read_subject", "delete_chunks", "write_subject")
    assert {name: answer[name] for name in kept} == {name: order[name] for name in kept}  # type: ignore[index]
    polled = await api.client.post("/load/job", json={**LOAD, "poll_interval": {"secs": 2, "nanos": 500_000_000}})
    assert polled.json()["poll_interval"] == {"secs": 2, "nanos": 500_000_000}

    asked = {**STORE, "consumer": "mine", "prefix": "cold/", "batch": {"max_bytes": 2048, "max_count": 7}}
    stored = (await api.client.post("/store/job", json=asked)).json()
    assert (stored["consumer"], stored["prefix"]) == ("mine", "cold")
    assert stored["batch"] == {"max_bytes": 2048, "max_count": 7}


ALIASES = {"Json": "Json", "json": "Json", "JSON": "Json", "Binary": "Binary", "binary": "Binary", "bin": "Binary"}
"""What types/src/lib.rs of the original takes for a codec, and how it answers."""


@pytest.mark.parametrize(("alias", "word"), ALIASES.items())
async def test_a_codec_goes_by_every_name_that_the_original_knows(api: Api, base: str, alias: str, word: str) -> None:
    made = await api.client.post(f"{base}/store/job", json={**STORE, "encoding": {"codec": alias}})
    wanted = STORE_ANSWER.replace("STATUS", "Created").replace('"codec":"Binary"', f'"codec":"{word}"')
    assert (made.status_code, golden(made.text)) == (200, wanted)


async def test_a_nameless_job_gets_a_name_and_names_need_not_be_unique(api: Api) -> None:
    nameless = {name: value for name, value in STORE.items() if name != "name"}
    made = (await api.client.post("/store/job", json=nameless)).json()
    assert made["name"] == f"store-{made['id'][:8]}"
    ids = {(await api.client.post("/store/job", json=STORE)).json()["id"] for _ in range(2)}
    assert len(ids) == 2


async def test_ping_health_ready_and_metrics(api: Api, base: str) -> None:
    for path, text in (("/ping", "pong"), ("/ready", "ready")):
        answer = await api.client.get(base + path)
        assert (answer.status_code, answer.text) == (200, text)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert (await api.client.get(base + "/health")).json() == {"status": "alive"}
    metrics = await api.client.get(base + "/metrics")
    assert (metrics.text, metrics.headers["content-type"]) == (
        "# nothing\n",
        "text/plain; version=0.0.4; charset=utf-8",
    )


async def test_o27_ready_only_when_nats_postgres_and_s3_answer(api: Api) -> None:
    for name in ("nats", "postgres", "s3"):
        api.outside.faults = {"nats": None, "postgres": None, "s3": None, name: "does not answer"}
        answer = await api.client.get("/ready")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json() == {
            "error": f"not ready: {name}: does not answer",
            "faults": {name: "does not answer"},
        }


async def test_o27_lists_are_newest_first_and_their_filters_work(api: Api) -> None:
    ids = []
    for name, stream in (("a", "jobs"), ("b", "jobs"), ("a", "other")):
        made = await api.client.post("/store/job", json={**STORE, "name": name, "stream": stream})
        ids.append(made.json()["id"])
    await api.client.post("/store/job/pause", params={"job_id": ids[1]})

    async def found(**query: str) -> list[str]:
        return [job["id"] for job in (await api.client.get("/store/jobs", params=query)).json()]

    assert await found() == ids[::-1]
    assert await found(name="a") == [ids[2], ids[0]]
    assert await found(name="a", stream="jobs") == [ids[0]]
    assert await found(status="Paused") == [ids[1]]
    assert (await api.client.get("/store/jobs", params={"status": "Nonsense"})).status_code == 422
    assert await found(bucket="bucket-2") == []
    assert await found(whatever="is passed over") == ids[::-1]


async def test_o9_a_finished_job_can_be_neither_paused_nor_resumed(api: Api) -> None:
    job = (await api.client.post("/load/job", json=LOAD)).json()["id"]
    await api.run(job, RunActivated(1, "node-a"), LoadCompleted(3, 0), RunActivated(2, "node-a"))
    for step in ("pause", "resume"):
        answer = await api.client.post(f"/load/job/{step}", params={"job_id": job})
        assert answer.status_code == 409
        assert answer.json() == {"error": f"job {job} is completed: {step} is not possible, only delete"}
    assert (await api.client.get("/load/job", params={"job_id": job})).json()["status"] == "Success"


async def test_pause_of_a_paused_and_resume_of_a_running_job_change_nothing(api: Api) -> None:
    job = (await api.client.post("/store/job", json=STORE)).json()["id"]
    paused = [await api.client.post("/store/job/pause", params={"job_id": job}) for _ in range(2)]
    assert [answer.status_code for answer in paused] == [200, 200]
    assert paused[0].text == paused[1].text
    resumed = [await api.client.post("/store/job/resume", params={"job_id": job}) for _ in range(2)]
    assert [answer.status_code for answer in resumed] == [200, 200]
    assert resumed[0].text == resumed[1].text


async def test_o4_a_failed_job_goes_on_when_it_is_resumed(api: Api) -> None:
    job = (await api.client.post("/store/job", json=STORE)).json()["id"]
    await api.run(job, RunActivated(1, "node-a"), RunFailed("a bug", ""))
    assert (await api.client.get("/store/job", params={"job_id": job})).json()["status"] == "Failure"
    assert [found.job_id for found in await api.services.jobs.runnable()] == []
    answer = await api.client.post("/store/job/resume", params={"job_id": job})
    assert (answer.status_code, answer.json()["status"]) == (200, "Running")
    assert [str(found.job_id) for found in await api.services.jobs.runnable()] == [job]


async def test_o7_a_work_queue_is_drained_with_a_warning_and_no_other_stream(api: Api) -> None:
    api.outside.streams["queue"] = StreamFacts(exists=True, retention="workqueue")
    drained = (await api.client.post("/store/job", json={**STORE, "stream": "queue"})).json()
    (warning,) = drained["warnings"]
    assert warning.startswith("stream queue is a work queue: the job drains it")
    assert "warnings" not in (await api.client.post("/store/job", json=STORE)).json()
    assert "warnings" not in (await api.client.get("/store/job", params={"job_id": drained["id"]})).json()


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("store", {"batch": {"max_bytes": 1_000_000, "max_count": -1}}, "batch.max_count: -1 is out of range"),
    ("store", {"batch": {"max_bytes": 1, "max_count": 1}}, "batch.max_bytes: 1 is out of range"),
    ("store", {"subject": ""}, "subject: '' has 0 bytes"),
    ("store", {"subject": "a..b"}, "subject: 'a..b' has an empty token"),
    ("store", {"stream": "a.b"}, "stream: 'a.b' is no name in NATS"),
    ("store", {"consumer": "a b"}, "consumer: 'a b' is no name in NATS"),
    ("store", {"bucket": "../x"}, "bucket: '../x' is no name of a bucket"),
    ("store", {"prefix": "a/../b"}, "prefix: 'a/../b' has an empty part"),
    ("store", {"encoding": {"codec": "xml"}}, "encoding.codec: 'xml' is no codec; use Json or Binary"),
    ("store", {"name": ""}, "name: is empty"),
    ("load", {"write_subject": "a.*"}, "write_subject: 'a.*' holds a wildcard"),
    (
        "load",
        {"write_subject": "$JS.API.STREAM.DELETE.jobs"},
        "write_subject: '$JS.API.STREAM.DELETE.jobs' is a system",
    ),
    ("load", {"write_subject": "x\r\nPUB $JS.API.STREAM.DELETE.X"}, "write_subject:"),
    ("load", {"from_time": "2024-01-02T00:00:00Z", "to_time": "2024-01-01T00:00:00Z"}, "from_time: is not before"),
    ("load", {"from_time": "yesterday"}, "from_time: 'yesterday' is no time of RFC 3339"),
    ("load", {"from_time": "2024-01-01T00:00:00"}, "from_time: '2024-01-01T00:00:00' is no time"),
    ("load", {"poll_interval": "soon"}, "poll_interval: 'soon' is no duration"),
    ("load", {"poll_interval": {"secs": -1, "nanos": 0}}, "poll_interval: is out of range"),
]


@pytest.mark.parametrize(("kind", "change", "said"), WRONG, ids=lambda value: str(value)[:40])
async def test_o26_a_value_that_cannot_work_is_refused_by_name(
    api: Api, kind: str, change: dict[str, Any], said: str
) -> None:
    answer = await api.client.post(f"/{kind}/job", json={**(STORE if kind == "store" else LOAD), **change})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(said)
    assert ";" in answer.json()["error"], "the remedy"
    assert await api.store.head() == 0, "nothing is recorded"


SHAPES: list[tuple[bytes, str, int, str]] = [
    (b'{"name":"x"}', "application/json", 422, "stream: is missing; add it; subject: is missing; add it; bucket: is"),
    (b'{"stream":1,"subject":"a","bucket":"abc"}', "application/json", 422, "stream: is no text; give a text in"),
    (b"[]", "application/json", 422, "body: is no object; give a JSON object"),
    (b"{", "application/json", 400, "the body is no JSON: "),
    (b"", "application/json", 400, "the body is no JSON: "),
    (b"{}", "text/plain", 415, "Expected request with `Content-Type: application/json`"),
    (b'{"name":"a","name":"b"}', "application/json", 400, "the field 'name' stands there twice"),
    (b'{"name":"\\u0000"}', "application/json", 400, "a text holds a NUL character"),
    (b'{"name":"\\ud800"}', "application/json", 400, "a text holds half of a surrogate pair"),
    (b'{"name":1e999}', "application/json", 400, "a number is larger than any number here"),
    (b'{"name":' + b"9" * 5000 + b"}", "application/json", 400, "a number has more than 40 digits"),
    (b'{"name":NaN}', "application/json", 400, "NaN is no JSON"),
    (b"[" * 100_000, "application/json", 400, "the body is nested deeper than 32"),
    (b'{"name":"\xff"}', "application/json", 400, "byte 9 of the body is no UTF-8"),
    (b'{"name":"' + b"x" * (1 << 20) + b'"}', "application/json", 413, "the body is larger than 1048576 bytes"),
]


@pytest.mark.parametrize(("body", "media", "status", "said"), SHAPES, ids=lambda value: str(value)[:30])
async def test_a_body_that_does_not_fit_is_refused_in_plain_text(
    api: Api, body: bytes, media: str, status: int, said: str
) -> None:
    answer = await api.client.post("/store/job", content=body, headers={"Content-Type": media})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert answer.text.startswith(said)
    assert await api.store.head() == 0


@pytest.mark.parametrize("step", ["", "/pause", "/resume", "DELETE"])
async def test_o25_an_invalid_id_is_400_and_an_unknown_one_404(api: Api, step: str, base: str) -> None:
    method = "GET" if not step else "DELETE" if step == "DELETE" else "POST"
    path = f"{base}/store/job{step if method == 'POST' else ''}"
    missing = await api.client.request(method, path)
    assert (missing.status_code, json.loads(missing.text)["error"][:18]) == (400, "job_id: is missing")
    invalid = await api.client.request(method, path, params={"job_id": "no-uuid"})
    assert (invalid.status_code, invalid.json()["error"][:27]) == (400, "job_id: 'no-uuid' is no UUI")
    job_id = str(uuid4())
    unknown = await api.client.request(method, path, params={"job_id": job_id})
    assert (unknown.status_code, unknown.json()) == (404, {"error": f"job id {job_id} not found"})


async def test_a_job_of_the_other_kind_is_unknown(api: Api) -> None:
    job = (await api.client.post("/store/job", json=STORE)).json()["id"]
    for method, path in (("GET", ""), ("POST", "/pause"), ("DELETE", "")):
        assert (await api.client.request(method, f"/load/job{path}", params={"job_id": job})).status_code == 404


async def test_other_methods_are_405_and_other_paths_404(api: Api, base: str) -> None:
    other = await api.client.put(f"{base}/store/job")
    assert (other.status_code, other.json()) == (405, {"error": "PUT is not possible here"})
    assert set(other.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "DELETE"}
    nowhere = await api.client.get(f"{base}/nowhere")
    assert (nowhere.status_code, nowhere.json()) == (404, {"error": "there is no such resource"})
