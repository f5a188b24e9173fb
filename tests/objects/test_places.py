"""Several S3 endpoints as one: what each is asked, and what none is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256

import pytest

from nats3.errors import Unavailable
from nats3.objects.memory import MemoryStore
from nats3.objects.places import Places
from nats3.objects.store import ObjectMissing, Put

BODY = b"what is in it"


class Swept(MemoryStore):
    async def sweep(self, bucket: str, prefix: str, owned: Callable[[str], bool]) -> int:
        return int(owned(f"{bucket} {prefix}"))


@pytest.fixture
def places() -> Places:
    return Places({"main": Swept("archive"), "cold": Swept("cold:archive")})


async def test_the_same_bucket_of_two_connections_is_two_places(places: Places) -> None:
    assert await places.put_new("cold:archive", "k", BODY, sha256(BODY).hexdigest()) is Put.CREATED
    assert await places.get("cold:archive", "k") == BODY
    assert [[each.key for each in page] async for page in places.list("cold:archive", "")] == [["k"]]
    assert await places.sweep("cold:archive", "p", lambda key: key == "cold:archive p") == 1
    with pytest.raises(ObjectMissing):
        await places.head("archive", "k")
    await places.delete("archive", "k")
    assert (await places.head("cold:archive", "k")).size == len(BODY)
    assert await places.bucket_exists("archive")


ASKED: dict[str, Callable[[Places], Awaitable[object]]] = {
    "put_new": lambda places: places.put_new("old:archive", "k", BODY, sha256(BODY).hexdigest()),
    "get": lambda places: places.get("old:archive", "k"),
    "head": lambda places: places.head("old:archive", "k"),
    "list": lambda places: anext(places.list("old:archive", "")),
    "delete": lambda places: places.delete("old:archive", "k"),
    "bucket_exists": lambda places: places.bucket_exists("old:archive"),
    "sweep": lambda places: places.sweep("old:archive", "", lambda _: True),
}


@pytest.mark.parametrize("asked", ASKED)
async def test_a_place_of_a_connection_that_is_not_here_is_away_whatever_is_asked_of_it(
    places: Places, asked: str
) -> None:
    with pytest.raises(Unavailable, match=r"no S3 connection old, only cold, main: add \[s3\.old\]"):
        await ASKED[asked](places)
