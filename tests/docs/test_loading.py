"""The page about loads, command by command, on real servers."""

from __future__ import annotations

import json

import httpx2
import nats
import pytest

from tests.docs.pages import page, words
from tests.docs.test_quick_start import Place, place, until

__all__ = ["place"]

PAGE = page("docs/loading.md")
COUNT = 60


async def fill(place: Place) -> None:
    """What the page says is there."""
    client = await nats.connect(place.nats_url)
    js = client.jetstream()
    await js.update_stream(name="ORDERS", subjects=["orders.*.*"])
    await js.add_stream(name="REPLAY", subjects=["replay.>"])
    for number in range(COUNT):
        headers = {"Region": "us" if number % 3 else "eu"}
        await js.publish(f"orders.{number % 5}.{'new' if number % 2 else 'old'}", b"%d" % number, headers=headers)
    await client.close()


async def archived(place: Place) -> None:
    store = {
        "kind": "store",
        "stream": "ORDERS",
        "bucket": place.bucket,
        "limits": {"max_count": 16, "max_age": "500ms"},
    }
    async with httpx2.AsyncClient(base_url=place.api) as client:
        assert (await client.post("/api/v2/jobs", json=store)).status_code == 201

        async def whole() -> bool:
            chunks = (await client.get("/api/v2/chunks")).json()["items"]
            return sum(chunk["count"] for chunk in chunks) == COUNT

        await until(whole)


async def replayed(place: Place) -> list[tuple[str, int]]:
    """(subject, number) of all that the target holds, in order."""
    client = await nats.connect(place.nats_url)
    js = client.jetstream()
    last = (await js.stream_info("REPLAY")).state.last_seq
    found = [await js.get_msg("REPLAY", seq) for seq in range(1, last + 1)]
    await client.close()
    return [(str(message.subject), int(message.data or b"")) for message in found]


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_the_page_about_loads_does_what_it_says(place: Place) -> None:
    await fill(place)
    await archived(place)
    plan, *orders = [words(place.put(line))[1:] for line in PAGE.shell_lines()]
    told = json.loads(await place.run("-m", "nats3", *plan, "-o", "json"))
    assert (told["messages"], told["exact"], told["refusal"]) == (20, True, None)
    for order in orders:
        await place.run("-m", "nats3", *order)
    eu = [("replay.eu", number) for number in range(COUNT) if number % 3 == 0][:20]
    renamed = [
        (f"replay.{number % 5}.first" if number % 2 else f"replay.rest.{number % 5}.old", number)
        for number in range(10)
    ]
    slow = [("replay.slow", number) for number in range(COUNT)]
    assert await replayed(place) == eu + renamed + slow
