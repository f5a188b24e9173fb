"""Credentials of S3 that end and are renewed while nats3 runs, and large objects whose sender dies in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.faults import checker
from tests.faults.credentials import Issuer
from tests.faults.registry import row
from tests.faults.s3_proxy import Answer, Hang, Rewrite, S3Proxy
from tests.faults.s3_wire import Request
from tests.faults.world import World

LIVES_S, AWAY_S = 4.0, 10.0
TOKEN = ("x-amz-security-token",)
MIB = 1 << 20


@asynccontextmanager
async def _short_lived_keys(world: World) -> AsyncIterator[Issuer]:
    """nats3 has no keys of its own and asks for them; the store takes only those that are still good."""
    access = world.s3
    async with (
        S3Proxy(access.endpoint, access.access, access.secret, access.region) as proxy,
        Issuer(LIVES_S) as issuer,
    ):
        proxy.always(Answer(403, "ExpiredToken"), issuer.is_stale)
        proxy.always(Rewrite(drop=TOKEN))  # what it takes it signs again, with the keys of the store
        await world.node.stop()
        world.nodes.clear()
        node = world.node_over(
            s3=replace(access, endpoint=proxy.endpoint, access="", secret=""),
            AWS_CONTAINER_CREDENTIALS_FULL_URI=issuer.url,
        )
        await node.start()
        yield issuer
        await node.kill()


@row("F43", within=300)
async def keys_end_and_are_renewed_while_it_runs(world: World) -> None:
    """Each key is good for four seconds; for ten seconds there are no new ones."""
    async with _short_lived_keys(world) as issuer:
        await world.make_stream()
        await world.make_target()
        job = await world.store(max_count=50)
        for _ in range(6):
            await world.publish(300)
            await world.until_stored(job)
            await asyncio.sleep(LIVES_S / 2)
        world.verdict.need(issuer.given > 2, f"{issuer.given} keys were given out")
        issuer.away = True
        await world.publish(300)
        await world.stays_running(job, "store", AWAY_S)
        issuer.away = False
        took = await world.until_stored(job, within=60)
        world.note(f"{issuer.given} keys; all stored {took:.1f} s after there were new ones")
        found = await world.check_store(job)
        load = await world.load()
        await world.until_word(load, "load", "Success", 60)
        await world.check_load(checker.plan_of(found))


def _is_part(request: Request) -> bool:
    return request.method == "PUT" and "partNumber=" in request.target


def _is_end(request: Request) -> bool:
    """The request that makes one object of the parts."""
    return request.method == "POST" and "uploadId=" in request.target


@row("F03", within=240)
async def killed_between_the_parts_of_a_large_object_and_their_end(world: World) -> None:
    """A chunk of more than 64 MiB goes in parts: what a dead sender left is never an object, and all is sent again."""
    access = world.s3
    async with S3Proxy(access.endpoint, access.access, access.secret, access.region) as proxy:
        await world.node.stop()
        world.nodes.clear()
        await world.node_over(s3=replace(access, endpoint=proxy.endpoint), NATS3_LIMITS_MEMORY="2GB").start()
        await world.make_stream()
        await world.publish(160, size=MIB - 4096, within=60)
        proxy.next(Hang(), when=_is_end)
        job = await world.store(limits={"max_bytes": 150 * MIB, "max_count": 1000, "max_age": "1h"})
        async with asyncio.timeout(120):
            await proxy.until(lambda: proxy.count(_is_end) > 0)
        await world.node.kill()
        world.note(f"{proxy.count(_is_part)} parts were stored")
        world.verdict.need(proxy.count(_is_part) > 1, "it did not go in parts")
        left = [key for key in world.bucket.keys(world.bucket_name) if f"/{job[:8]}/" in key]
        world.verdict.none(left, "objects that are not whole are there")
        await world.node.start()
        async with asyncio.timeout(90):
            await proxy.until(lambda: proxy.count(_is_end) > 1)
        await world.call("POST", f"/store/job/pause?job_id={job}")  # what is open is stored too
        await world.until_stored(job, within=60)
        await world.check_store(job)
        await world.node.kill()
