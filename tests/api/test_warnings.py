"""What a person is told of an order that is taken although something is not as it should be: nothing that is not so."""

from __future__ import annotations

from typing import Any

import pytest

from nats3.api.world import StreamFacts
from nats3.job.running import RunActivated
from tests.api.conftest import Api
from tests.views.samples import flushed, opened

STORE = {"stream": "ORDERS", "subject": "orders.>", "bucket": "archive"}
LOAD = {"bucket": "archive", "read_stream": "ORDERS", "read_subject": "orders.>", "write_subject": "replayed.orders"}
NOWHERE = "nowhere.x"
NOTHING = "nothing archived of stream {} in bucket {} matches: the job will publish nothing"


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest) -> int:
    return request.param


async def warned(api: Api, version: int, order: dict[str, Any]) -> list[str]:
    """What the answer to an order warns of."""
    kind = "load" if "read_stream" in order else "store"
    path = f"/{kind}/job" if version == 1 else "/api/v2/jobs"
    answer = await api.client.post(path, json=order if version == 1 else {"kind": kind, **order})
    assert answer.status_code == (200 if version == 1 else 201), answer.text
    return answer.json().get("warnings", [])


async def archived(api: Api) -> None:
    """Thirty messages of ORDERS lie in a bucket that exists; a stream takes what is replayed."""
    api.outside.streams |= {name: StreamFacts(exists=True, retention="limits") for name in ("orders", "replayed")}
    api.outside.buckets.add("archive")
    job = (await api.client.post("/store/job", json=STORE)).json()["id"]
    await api.run(job, RunActivated(1, "node-a"), opened(), flushed(1, 30))


async def test_a_load_for_which_all_is_there_is_warned_of_nothing(api: Api, version: int) -> None:
    await archived(api)
    assert await warned(api, version, LOAD) == []
    assert await warned(api, version, {**LOAD, "poll_interval": "5m"}) == []


@pytest.mark.parametrize(
    ("change", "stream", "bucket"),
    [
        ({"read_stream": "NOSUCH"}, "NOSUCH", "archive"),
        ({"bucket": "nowhere"}, "ORDERS", "nowhere"),
        ({"bucket": "nowhere", "s3": "cold"}, "ORDERS", "cold:nowhere"),
        ({"prefix": "other"}, "ORDERS", "archive"),
        ({"to_time": "2001-01-01T00:00:00Z", "write_subject": NOWHERE}, "ORDERS", "archive"),
        ({"read_subject": "order.*"}, "ORDERS", "archive"),
    ],
)
async def test_a_load_that_finds_nothing_waits_for_nothing(
    api: Api, version: int, change: dict[str, Any], stream: str, bucket: str
) -> None:
    await archived(api)
    assert await warned(api, version, {**LOAD, **change}) == [NOTHING.format(stream, bucket)]
    polling = await warned(api, version, {**LOAD, **change, "poll_interval": "5m"})
    assert polling[0] == f"{NOTHING.format(stream, bucket)} until something does"
    assert polling[1:] == [f"no stream takes {NOWHERE}: the job waits until one does"] * (NOWHERE in change.values())


async def test_a_load_that_no_stream_takes_waits_for_one(api: Api, version: int) -> None:
    await archived(api)
    waits = "no stream takes nowhere.x: the job waits until one does"
    assert await warned(api, version, {**LOAD, "write_subject": NOWHERE}) == [waits]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"read_subjects": ["gone.a", "orders.b"]}, []),
        ({"subject_transforms": [{"src": "orders.*", "dest": "away.{{wildcard(1)}}"}]}, []),
        (
            {
                "subject_transforms": [{"src": "orders.*", "dest": "away.{{wildcard(1)}}"}],
                "unmatched_subjects": "refuse",
            },
            ["away.*"],
        ),
    ],
)
async def test_what_keeps_or_changes_its_subject_is_looked_for_as_it_will_be(
    api: Api, change: dict[str, Any], told: list[str]
) -> None:
    """Only where no stream takes any of it: of the rest only the messages themselves can tell."""
    await archived(api)
    order = {name: value for name, value in LOAD.items() if name not in ("write_subject", "read_subject")} | change
    assert await warned(api, 2, order) == [f"no stream takes {each}: the job waits until one does" for each in told]


async def test_a_load_to_original_subjects_waits_for_a_stream_that_takes_them(api: Api) -> None:
    await archived(api)
    del api.outside.streams["orders"]
    order = {"bucket": "archive", "read_stream": "ORDERS", "read_subjects": ["orders.a", "orders.b.*"]}
    assert await warned(api, 2, order) == ["no stream takes orders.a, orders.b.*: the job waits until one does"]


async def test_a_load_whose_bucket_went_away_waits_for_its_chunks(api: Api, version: int) -> None:
    await archived(api)
    api.outside.buckets.remove("archive")
    waits = "bucket archive does not exist: the job waits until it is back with its chunks"
    assert await warned(api, version, LOAD) == [waits]


async def test_who_does_not_answer_is_named(api: Api, version: int) -> None:
    await archived(api)
    api.outside.answers = False
    assert await warned(api, version, LOAD) == [
        "NATS did not answer whether a stream takes replayed.orders: the job waits until it does",
        "S3 did not answer whether bucket archive exists: the job waits until it does",
    ]
    assert await warned(api, version, {**LOAD, "bucket": "nowhere"}) == [NOTHING.format("ORDERS", "nowhere")]
    assert await warned(api, version, STORE) == [
        "NATS did not answer whether stream ORDERS exists: the job waits until it does",
        "S3 did not answer whether bucket archive exists: the job waits until it does",
    ]


async def test_a_store_job_waits_for_stream_and_bucket(api: Api, version: int) -> None:
    assert await warned(api, version, {**STORE, "stream": "none", "bucket": "nowhere"}) == [
        "stream none does not exist: the job waits until you create it",
        "bucket nowhere does not exist: the job waits until you create it",
    ]


async def test_a_dry_run_a_count_and_a_change_warn_as_an_order_does(api: Api) -> None:
    order, nothing = {"kind": "load", **LOAD}, [NOTHING.format("ORDERS", "archive")]
    assert (await api.client.post("/api/v2/jobs?dry_run=true", json=order)).json()["warnings"] == nothing
    assert (await api.client.post("/api/v2/jobs/plan", json=order)).json()["warnings"] == nothing
    job = (await api.client.post("/api/v2/jobs", json=order)).json()["id"]
    await api.run(job, RunActivated(1, "node-a"))
    changed = await api.client.patch(f"/api/v2/jobs/{job}", json={"poll_interval": "5m"})
    assert changed.json()["warnings"] == [
        f"{nothing[0]} until something does",
        "no stream takes replayed.orders: the job waits until one does",
    ]
