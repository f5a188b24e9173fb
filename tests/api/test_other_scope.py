"""The trick «other scope»: a token whose scope names another job, stream or bucket learns nothing of this one, by any route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest

from eventstore import Append, Fence, Position, Recorded, Version
from eventstore.audit import Question
from nats3.access.scope import Scope
from nats3.api.follow import frames
from nats3.api.reach import FILTERED, within
from nats3.api.routes import ROUTES, Entry
from nats3.api.services import Follower
from nats3.api.world import StreamFacts
from nats3.job.history import HISTORY
from nats3.job.running import RunBlocked
from nats3.job.storing import GapObserved
from nats3.job.surveying import Finding, WalkEnded, WalkFound, walk_entity
from tests.api.conftest import Api
from tests.api.test_scopes import OURS, THEIRS
from tests.api.test_tokens import admin_of, bearer, token
from tests.api.test_tricks import written_otherwise
from tests.views.samples import flushed, opened

SCOPES: tuple[dict[str, list[str]], ...] = (
    {"jobs": ["ours-*"]},
    {"streams": ["jobs"]},
    {"buckets": ["bucket-1"]},
    {"streams": ["jobs"], "buckets": ["bucket-1"]},
    {"jobs": ["theirs-1"], "buckets": ["bucket-1"]},
    {"streams": ["secret"], "buckets": ["bucket-1"]},
    {"jobs": ["nobody"], "streams": ["secret"], "buckets": ["bucket-9"]},
)
"""Each leaves their job out, some by a hair: the name fits and the bucket does not."""

HIDDEN = "their-own-words"


@dataclass
class Theirs:
    """Their job with all that a nats3 can know of one, and by what a stranger would recognise it."""

    job: str
    chunk: int
    event: int
    survey: str
    admin: str
    marks: dict[str, str]


async def scene(api: Api, scope: dict[str, list[str]]) -> Theirs:
    api.outside.streams |= {"secret": StreamFacts(exists=True, retention="limits")}
    ours = (await api.client.post("/store/job", json=OURS)).json()["id"]
    their_order = {**THEIRS, "subject": f"{HIDDEN}.subject"}
    theirs = (await api.client.post("/store/job", json=their_order)).json()["id"]
    for job_id, said in ((ours, OURS), (theirs, their_order)):
        key = f"key-of-{said['name']}"
        chunk = flushed(1, 10, stream=said["stream"], bucket=said["bucket"], subject=said["subject"], key=key)
        gap = GapObserved("life-1", 11, 12, "expired")
        await api.run(job_id, opened(), chunk, gap, RunBlocked("bucket_missing", f"{said['name']} waits"))
    asked = {"bucket": THEIRS["bucket"], "job_id": theirs}
    survey = (await api.client.post("/api/v2/archive/verifications", json=asked)).json()["id"]
    found = WalkFound((Finding("missing", THEIRS["bucket"], "key-of-theirs-1", theirs, 1, 10, HIDDEN),))
    walked = tuple(map(HISTORY.encode, (found, WalkEnded("done", {"chunks": 1}))))
    await api.batcher.append(Append(walk_entity(survey), Version(0), Fence(0), walked))
    items = (await api.client.get("/api/v2/chunks")).json()["items"]
    events = (await api.client.get(f"/api/v2/jobs/{theirs}/events")).json()["items"]
    marks = {
        "id": theirs,
        "survey": survey,
        "name": "theirs-1",
        "stream": '"secret"',
        "bucket": "bucket-9",
        "key": "key-of-theirs-1",
        "words": HIDDEN,
    }
    if "secret" in scope.get("streams", ()):
        del marks["stream"]  # a stream that a scope names is no secret to it
    chunk = next(each["id"] for each in items if each["job_id"] == theirs)
    return Theirs(theirs, chunk, events[-1]["position"], survey, await admin_of(api), marks)


def asked_for(entry: Entry, made: Theirs) -> list[str]:
    """Every way of this route to ask for what is theirs."""
    path = entry.path.replace("/chunks/{id}", f"/chunks/{made.chunk}").replace(
        "/surveys/{id}", f"/surveys/{made.survey}"
    )
    path = path.replace("/streams/{name}", "/streams/secret").replace("{position}", str(made.event))
    path = path.replace("/projections/{name}", "/projections/jobs").replace("{id}", made.job)
    if "{id:path}" in path:
        kinds = (f"job/{made.job}", f"run/{made.job}", f"survey/{made.survey}", f"walk/{made.survey}")
        return [path.replace("{id:path}", each) for each in kinds]
    if path.endswith(("/job", "/job/pause", "/job/resume")):
        return [f"{path}?job_id={made.job}"]
    return [path, *(f"{path}?{more}" for more in _QUERIES.get(entry.path, ()))]


_QUERIES: dict[str, tuple[str, ...]] = {
    "/store/jobs": ("status=Failure",),
    "/api/v2/jobs": ("name=theirs-1", "stream=secret", "bucket=bucket-9", "limit=1", "kind=store"),
    "/api/v2/chunks": ("stream=secret", "bucket=bucket-9", "deleted=any", "limit=1"),
    "/api/v2/events": (
        "order=desc", "format=ndjson", "limit=1", "category=job", "category=run", "category=survey", "category=walk",
        "category=token", "type=job_created,chunk_flushed,walk_found",
    ),
    "/api/v2/streams": ("limit=1", "nats=main", "after=jobs"),
    "/api/v2/archive/surveys": ("limit=1",),
}  # fmt: skip

OPEN_TO_ALL = frozenset(
    {
        *(f"{prefix}/{kind}/jobs" for prefix in ("", "/api/v1") for kind in ("store", "load")),
        *(f"/api/v2/{many}" for many in ("jobs", "streams", "streams/{name}", "chunks", "events", "archive/surveys")),
    }
)
"""Routes that answer with what is within, or nothing; of a stream, what is archived within."""

BODIES: dict[str, dict[str, Any]] = {"PATCH": {}, "POST": {}}


async def told(api: Api, method: str, path: str, text: str, body: dict[str, Any] | None = None) -> httpx2.Response:
    return await api.client.request(method, path, headers=bearer(text), json=body)


def betrayed(made: Theirs, answer: httpx2.Response, said: str) -> list[str]:
    """Marks in an answer that the question did not hold."""
    whole = answer.text + repr(sorted(answer.headers.items()))
    return [what for what, mark in made.marks.items() if mark in whole and mark.strip('"') not in unquote(said)]


@pytest.mark.timeout(90)
@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_no_route_tells_a_token_of_another_scope_anything_of_this_job(
    api: Api, scope: dict[str, list[str]]
) -> None:
    """Every route, for both roles, in every spelling, by GET and HEAD and by its own method; and nothing is recorded."""
    made = await scene(api, scope)
    texts = [await token(api, role, made.admin, scope=scope) for role in ("read", "operate")]
    before = await api.store.head()
    told_admin: set[str] = set()
    for entry in ROUTES:
        if entry.role == "open":
            continue
        for path in asked_for(entry, made):
            if entry.method == "GET" and betrayed(made, await told(api, "GET", path, made.admin), path):
                told_admin.add(entry.path)
            for text in texts:
                for method in {entry.method, "GET", "HEAD"}:
                    answer = await told(api, method, path, text, BODIES.get(method))
                    assert betrayed(made, answer, path) == [], (method, path, answer.text[:300])
                    single = entry.path not in OPEN_TO_ALL and entry.path in FILTERED
                    assert not (single and answer.is_success), (method, path, answer.text[:300])
        for spelling in written_otherwise(asked_for(entry, made)[0].partition("?")[0]):
            answer = await told(api, entry.method, spelling, texts[1], BODIES.get(entry.method))
            assert betrayed(made, answer, spelling) == [], (entry.method, spelling, answer.text[:300])
    assert await api.store.head() == before
    assert len(told_admin) > 15, "what says nothing to anybody proves nothing"


class Watched:
    """The end of the log; knows how far a follower was led."""

    def __init__(self, inner: Follower) -> None:
        self._inner = inner
        self.reached = Position(0)

    async def follow(self, after: Position, *, idle: float | None = None) -> AsyncGenerator[Sequence[Recorded]]:
        async with aclosing(self._inner.follow(after, idle=idle)) as pages:
            async for page in pages:
                self.reached = page[-1].position if page else self.reached
                yield page


async def heard(api: Api, scope: Scope) -> str:
    """What a follower with this scope is sent of all that is in the log so far."""
    watched, head = Watched(api.services.tail), await api.store.head()
    services = replace(within(api.services, scope), tail=watched)
    sent = ""
    async with asyncio.timeout(10), aclosing(frames(services, Question(), Position(0))) as parts:
        async for part in parts:
            sent += part.decode()
            if watched.reached >= head:
                return sent
    raise AssertionError


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_the_live_log_is_as_silent(api: Api, scope: dict[str, list[str]]) -> None:
    made = await scene(api, scope)
    sent = await heard(api, Scope(**{part: tuple(words) for part, words in scope.items()}))
    assert [what for what, mark in made.marks.items() if mark in sent] == []
    everything = await heard(api, Scope())
    assert [what for what, mark in made.marks.items() if mark not in everything] == []
