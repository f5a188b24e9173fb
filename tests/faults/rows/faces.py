"""What a user can send or ask while work goes on: names that want to be paths, and a view made anew under load."""

from __future__ import annotations

import asyncio
import json

import httpx2

from tests.faults import checker
from tests.faults.registry import row
from tests.faults.world import Failed, World

TRAVERSALS = (
    "../up",
    "a/../../b",
    "/",
    "//",
    "a//b",
    "%2e%2e/x",
    "..",
    ".",
    "a\0b",
    "x" * 1025,
    "\r\nX: 1",
    "a\\..\\b",
    "ü/../ü",
)


async def _ordered(world: World, **order: object) -> httpx2.Response:
    body = {
        "kind": "store",
        "name": "path",
        "stream": world.source,
        "bucket": world.bucket_name,
        "limits": {"max_count": 10, "max_age": "100ms"},
        **order,
    }
    async with httpx2.AsyncClient(base_url=world.node.url, timeout=20) as client:
        sent = {"content-type": "application/json"}
        return await client.post("/api/v2/jobs", content=json.dumps(body), headers=sent)


@row("F59", within=120)
async def names_that_want_to_be_paths_stay_names(world: World) -> None:
    """Refused with 4xx, or stored below the job's own folder and found again."""
    await world.make_stream()
    await world.publish(30)
    taken = 0
    for name in TRAVERSALS:
        for field in ("prefix", "stream", "bucket", "consumer", "subject"):
            answer = await _ordered(world, **{field: name})
            if answer.status_code >= 500 or answer.status_code < 200:
                raise Failed(f"{field}={name[:40]!r}: {answer.status_code} {answer.text[:200]}")
            if answer.status_code < 300:
                taken += 1
                job = answer.json()["id"]
                await asyncio.sleep(0.3)
                await world.call("DELETE", f"/store/job?job_id={job}")
    world.note(f"{taken} of {5 * len(TRAVERSALS)} were taken as plain names")
    keys = await asyncio.to_thread(world.bucket.keys, world.bucket_name)
    bad = [
        key
        for key in keys
        if "/../" in f"/{key}/" or "/./" in f"/{key}/" or "//" in key or "\0" in key or len(key) > 1024
    ]
    world.verdict.none(bad, "F59 object keys that are paths")
    world.hold()


@row("F66", within=150)
async def a_view_is_made_anew_while_it_is_written_and_read(world: World) -> None:
    """Readers see every chunk that was there before, at every moment; in the end the view is the fold."""
    await world.make_stream()
    await world.make_target()
    await world.publish(3000)
    job = await world.store(max_count=20, max_age="200ms")
    await world.until_stored(job)
    load = await world.load(poll_interval="200ms")
    for view in ("chunks", "jobs", "coverage"):
        await world.call("POST", f"/api/v2/projections/{view}/rebuild")
        for _ in range(6):
            before = (await world.job(job))["progress"]["messages"]
            rows = len(await asyncio.to_thread(world.log.view, job))
            await world.publish(100)
            world.verdict.need((await world.job(job))["progress"]["messages"] >= before, f"{view}: a reader went back")
            world.verdict.need(len(await asyncio.to_thread(world.log.view, job)) >= rows, f"{view}: chunks vanished")
        await world.until(f"{view} is made anew", lambda view=view: _idle(world, view), 60)
    await world.until_stored(job)
    found = await world.check_store(job)  # I7: the view is the fold
    await world.until_count(world.target, len(found.messages), 30)
    world.verdict.need(await world.word(load, "load") == "Running", "the load ended")
    await world.check_load(checker.plan_of(found))


async def _idle(world: World, view: str) -> bool:
    told = await world.call("GET", f"/api/v2/projections/{view}")
    if told.get("work") or told.get("operation"):
        raise Failed(str(told)[:300])
    return True
