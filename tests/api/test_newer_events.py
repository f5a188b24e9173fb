"""A job of which a newer nats3 has written: who asks for it is told, who asks for anything else is answered."""

from __future__ import annotations

from uuid import UUID

import pytest

from eventstore import Append, Fence, NewEvent, Version
from nats3.job.history import HISTORY, job_entity
from nats3.job.ordering import JobPaused
from tests.api.conftest import Api
from tests.api.test_scopes import OURS, THEIRS
from tests.api.test_tokens import admin_of, bearer, token

NEWER = [NewEvent("job_changed", {"x": 1}, schema_version=99), NewEvent("job_moved", {"x": 1})]


async def newer(api: Api, job_id: str, event: NewEvent) -> None:
    await api.batcher.append(Append(job_entity(UUID(job_id)), Version(1), Fence(0), (event,)))


@pytest.mark.parametrize("event", NEWER, ids=lambda event: event.type)
async def test_a_job_that_cannot_be_read_takes_no_command_and_is_not_folded(api: Api, event: NewEvent) -> None:
    job = (await api.client.post("/store/job", json=OURS)).json()["id"]
    await newer(api, job, event)
    asked = [
        await api.client.post(f"/api/v2/jobs/{job}/pause"),
        await api.client.patch(f"/api/v2/jobs/{job}", json={"name": "other"}),
        await api.client.delete(f"/api/v2/jobs/{job}"),
        await api.client.get(f"/api/v2/entities/job/{job}"),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in asked} == {(503, "newer_event")}
    unknown = f"no event type {event.type} of version {event.schema_version} is known"
    assert asked[0].json()["detail"] == f"{unknown}: ask a node of the nats3 that wrote it"
    assert len(await api.store.read(job_entity(UUID(job)), Version(0), 10)) == 2
    other = (await api.client.post("/store/job", json=THEIRS)).json()["id"]
    assert (await api.client.post(f"/api/v2/jobs/{other}/pause")).json()["state"] == "paused"


async def test_a_job_takes_no_command_although_the_view_has_gone_past_what_cannot_be_read(api: Api) -> None:
    """The newer program wrote it into the view: an order that is changed from there would lose what only that one knows."""
    job = (await api.client.post("/store/job", json=OURS)).json()["id"]
    await newer(api, job, NEWER[1])
    last = await api.batcher.append(Append(job_entity(UUID(job)), Version(2), Fence(0), (HISTORY.encode(JobPaused()),)))
    assert await api.services.projections.wait_for("jobs", last.last, 10)
    shown = await api.client.get(f"/api/v2/jobs/{job}")
    assert (shown.json()["state"], shown.headers["etag"]) == ("paused", '"3"')
    for asked in (
        await api.client.post(f"/api/v2/jobs/{job}/resume"),
        await api.client.patch(f"/api/v2/jobs/{job}", json={"name": "other"}),
        await api.client.post(f"/api/v2/jobs/{job}/resume", headers={"Idempotency-Key": "once"}),
    ):
        assert (asked.status_code, asked.json()["code"]) == (503, "newer_event")
    assert len(await api.store.read(job_entity(UUID(job)), Version(0), 10)) == 3


@pytest.mark.parametrize("event", NEWER, ids=lambda event: event.type)
async def test_a_token_with_a_scope_sees_all_but_the_job_that_may_be_outside_by_now(api: Api, event: NewEvent) -> None:
    job = (await api.client.post("/store/job", json=OURS)).json()["id"]
    other = (await api.client.post("/store/job", json=OURS)).json()["id"]
    await newer(api, job, event)
    shown = bearer(await token(api, "read", await admin_of(api), scope={"streams": ["jobs"]}))
    events = (await api.client.get("/api/v2/events", headers=shown)).json()["items"]
    assert {event["entity_id"] for event in events} == {f"job/{other}"}
