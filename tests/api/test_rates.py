"""How often somebody may ask: so many at once, so many a second, then 429 with the time after which to come again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta

import httpx2
import pytest

from eventstore import Position, Recorded, Version
from nats3.api.app import build
from nats3.api.entrance import REFUSALS, Entrance, Log
from nats3.api.rates import KEPT, Rate, Rates
from tests.api.conftest import Api, running
from tests.api.test_tokens import admin_of, bearer, token


@dataclass
class Seconds:
    """The monotonic clock, as a test has set it."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def limited(api: Api, rate: Rate) -> Seconds:
    """From now on each token has this rate."""
    clock = Seconds()
    api.services.entrance.rates = Rates(rate, clock)
    return clock


async def statuses(api: Api, text: str, count: int, path: str = "/api/v2/jobs") -> list[int]:
    return [(await api.client.get(path, headers=bearer(text))).status_code for _ in range(count)]


async def test_a_token_has_its_burst_then_429_until_it_has_waited(api: Api) -> None:
    admin = await admin_of(api)
    text = await token(api, "read", admin)
    clock = limited(api, Rate(0.5, 4))
    assert await statuses(api, text, 4) == [200] * 4
    refused = await api.client.get("/api/v2/jobs", headers=bearer(text))
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "too_often", "2")
    clock.now += 1.9
    assert await statuses(api, text, 2) == [429, 429], "who asks too early does not wait the longer for it"
    clock.now += 0.1
    assert await statuses(api, text, 2) == [200, 429]
    clock.now += 1000
    assert await statuses(api, text, 5) == [200] * 4 + [429], "what was not used does not pile up above the burst"


async def test_each_token_has_a_rate_of_its_own_and_one_that_is_limited_learns_nothing_by_another_route(
    api: Api,
) -> None:
    admin = await admin_of(api)
    first, second = [await token(api, "read", admin) for _ in range(2)]
    limited(api, Rate(1, 1))
    assert await statuses(api, first, 2) == [200, 429]
    for path in ("/store/jobs", "/api/v2/chunks", "/api/v2/nodes", "/metrics", "/api/v2/events?follow=true"):
        assert await statuses(api, first, 1, path) == [429], path
    assert await statuses(api, first, 1, "/ping") == [200], "what is open is open"
    assert await statuses(api, second, 2) == [200, 429]


async def test_a_command_that_comes_too_often_is_not_done(api: Api) -> None:
    admin = await admin_of(api)
    limited(api, Rate(1, 1))
    order = {"kind": "store", "stream": "jobs", "bucket": "bucket-1"}
    assert (await api.client.post("/api/v2/jobs", json=order, headers=bearer(admin))).status_code == 201
    before = await api.store.head()
    assert (await api.client.post("/api/v2/jobs", json=order, headers=bearer(admin))).status_code == 429
    assert await api.store.head() == before


async def test_no_limit_is_none(api: Api) -> None:
    admin = await admin_of(api)
    limited(api, Rate(0, 0))
    assert set(await statuses(api, admin, 30)) == {200}


async def test_a_session_is_counted_with_its_token(api: Api) -> None:
    text = await token(api, "read", await admin_of(api))
    signed_in = await api.client.post("/login", data={"token": text})
    cookie = {"Cookie": signed_in.headers["set-cookie"].partition(";")[0]}
    limited(api, Rate(1, 2))
    assert (await api.client.get("/api/v2/jobs", headers=cookie)).status_code == 200
    assert await statuses(api, text, 1) == [200]
    assert (await api.client.get("/api/v2/jobs", headers=cookie)).status_code == 429


WRONG = "n3_0123456789abcdef_" + "0" * 64


@pytest.mark.parametrize("wrong", [WRONG, "nonsense"])
async def test_an_address_that_guesses_is_stopped_and_a_token_that_opens_something_is_let_in_from_there(
    api: Api, wrong: str
) -> None:
    admin = await admin_of(api)
    clock = Seconds()
    api.services.entrance._refusals = Rates(REFUSALS, clock)
    assert await statuses(api, wrong, REFUSALS.burst + 2) == [401] * REFUSALS.burst + [429] * 2
    assert await statuses(api, admin, 3) == [200] * 3, "one that opens something takes nothing of it"
    clock.now += 1 / REFUSALS.per_second
    assert await statuses(api, wrong, 2) == [401, 429]


async def test_while_an_address_guesses_every_good_token_passes_and_no_bad_one_costs_a_look_into_the_log(
    api: Api, postgres_url: str
) -> None:
    """Also one that this node never saw, one that is made meanwhile at another node, and the cookie of a browser."""
    admin = await admin_of(api)
    gone = await token(api, "read", admin)
    late = await token(api, "read", admin, expires_in="1h")
    await api.client.delete(f"/api/v2/tokens/{gone.split('_')[1]}", headers=bearer(admin))
    async with running(postgres_url, required=True) as other:
        log = Counting(other.services.log)
        entrance = Entrance(
            log,
            required=True,
            now=other.clock,
            rates=Rates(Rate(0, 0), Seconds()),
            refusals=Rates(REFUSALS, Seconds()),
        )
        api.clock.now = other.clock.now
        transport = httpx2.ASGITransport(build(replace(other.services, entrance=entrance)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:

            async def told(text: str) -> int:
                return (await client.get("/api/v2/nodes", headers=bearer(text))).status_code

            head = await other.store.head()
            signed_in = await client.post("/login", data={"token": admin})
            cookie = {"Cookie": signed_in.headers["set-cookie"].partition(";")[0]}
            entrance.hear(await other.store.read_log(head, 100))
            for _ in range(REFUSALS.burst):
                assert await told(WRONG) == 401
            assert await told(WRONG) == 429
            assert await told(admin) == 200
            head = await other.store.head()
            made = await token(api, "read", admin)
            entrance.hear(await other.store.read_log(head, 100))
            assert await told(made) == 200
            assert (await client.get("/api/v2/nodes", headers=cookie)).status_code == 200
            assert await told(late) == 200
            other.clock.now += timedelta(hours=2)
            looked = log.reads
            swapped = f"{made[:20]}{admin[20:]}"
            for text in (WRONG, "nonsense", swapped, gone, late):
                assert await told(text) == 429, text
            assert (await client.get("/api/v2/nodes", headers={"Cookie": "nats3=n3s_x"})).status_code == 429
            assert log.reads == looked
            assert (await client.get("/ready", headers=bearer(WRONG))).status_code == 200, "what is open is open"


@dataclass
class Counting:
    """A log that counts how often it was read."""

    log: Log
    reads: int = 0

    async def read(self, entity_id: str, after: Version, limit: int) -> list[Recorded]:
        self.reads += 1
        return await self.log.read(entity_id, after, limit)

    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> list[Recorded]:
        self.reads += 1
        return await self.log.read_log(after, limit, types)

    async def head(self) -> Position:
        return await self.log.head()


def test_so_many_are_remembered_and_the_quietest_is_forgotten_first() -> None:
    rates = Rates(Rate(1, 1), Seconds())
    assert [rates.wait_of("first"), rates.wait_of("second")] == [0, 0]
    for number in range(KEPT - 1):
        rates.wait_of(str(number))
    assert (rates.wait_of("second"), rates.wait_of("first")) == (1, 0)
