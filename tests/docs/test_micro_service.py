"""The micro service does what its page says, on a server that enforces the permissions of that page."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from nats3.api.on_nats import OFFERS
from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.nats_server import NatsServer
from tests.docs.pages import elsewhere, page

pytestmark = pytest.mark.timeout(60)
HERE = "docs/micro-service.md"


@dataclass
class Person:
    """Somebody on NATS, and what the server refused to them."""

    client: Client
    refused: list[str]

    async def ask(self, subject: str, /, **fields: Any) -> Msg:
        return await self.client.request(subject, json.dumps(fields).encode(), timeout=10)

    async def read(self, subject: str, /, **fields: Any) -> Any:
        answer = await self.ask(subject, **fields)
        assert answer.headers is None, answer.headers
        return json.loads(answer.data)


async def logged_in(url: str, user: str, password: str) -> Person:
    refused: list[str] = []

    async def heard(error: Exception) -> None:
        refused.append(str(error))

    return Person(await nats.connect(url, user=user, password=password, error_cb=heard), refused)


@pytest.fixture
async def people(server_directory: Path, postgres_url: str, s3) -> AsyncIterator[tuple[Person, Person]]:
    (permissions,) = page(HERE).blocks("")
    # Our own question whether the server is up comes without a login.
    extra = permissions.replace("users: [", "users: [ { user: guest, password: guest }", 1) + "\nno_auth_user: guest\n"
    async with NatsServer(server_directory / "nats", extra=extra) as server:
        login = {"NATS3_NATS_USER": "nats3", "NATS3_NATS_PASSWORD": "n3", "NATS3_SERVICE_ROLE": "operate"}
        async with elsewhere(
            Nats3Server(server_directory / "nats3", environment("", server.url, postgres_url, s3) | login)
        ):
            viewer, operator = await logged_in(server.url, "viewer", "v"), await logged_in(server.url, "operator", "o")
            yield viewer, operator
            await viewer.client.close()
            await operator.client.close()


def test_its_table_is_the_table_of_offers() -> None:
    rows = page(HERE).table("subject", "role", "is", "fields of the request")
    told = {(row[0].strip("`"), row[1], row[2].strip("`")) for row in rows}
    assert told == {(offer.subject("nats3.api"), offer.role, f"{offer.method} {offer.path}") for offer in OFFERS}


async def test_an_operator_commands_and_a_viewer_only_looks(people: tuple[Person, Person], s3) -> None:
    viewer, operator = people
    info = await viewer.read("$SRV.INFO.nats3")
    assert {each["subject"] for each in info["endpoints"]} == {offer.subject("nats3.api") for offer in OFFERS}

    order = {"kind": "store", "name": "orders", "stream": "ORDERS", "subject": ">", "bucket": s3.bucket}
    job = await operator.read("nats3.api.operate.jobs.create", **order)
    assert (await operator.read("nats3.api.operate.jobs.pause", id=job["id"]))["state"] == "paused"
    assert [each["name"] for each in (await viewer.read("nats3.api.read.jobs.list", kind="store"))["items"]] == [
        "orders"
    ]
    assert (await viewer.read("nats3.api.read.jobs.get", id=job["id"]))["state"] == "paused"

    with pytest.raises(nats.errors.TimeoutError):
        await viewer.client.request("nats3.api.operate.jobs.delete", json.dumps({"id": job["id"]}).encode(), timeout=1)
    assert any(re.search("permissions violation", text, re.IGNORECASE) for text in viewer.refused)
    assert (await operator.ask("nats3.api.operate.jobs.delete", id=job["id"])).data == b""
    assert (await viewer.read("nats3.api.read.jobs.list"))["items"] == []


REFUSED = (
    ("nats3.api.read.jobs.get", b'{"id": "00000000-0000-4000-8000-000000000000"}', "404", "not found"),
    ("nats3.api.read.jobs.get", b'{"id": "none"}', "400", "no UUID"),
    ("nats3.api.read.jobs.get", b"{}", "400", "id: is missing"),
    ("nats3.api.read.jobs.get", b"[", "400", "no JSON"),
    ("nats3.api.read.jobs.get", b'{"id": "a", "id": "b"}', "400", "twice"),
    ("nats3.api.read.jobs.list", b"[]", "400", "no JSON object"),
    ("nats3.api.read.jobs.list", b'{"colour": "red"}', "422", "colour"),
    ("nats3.api.operate.jobs.create", b'{"kind": "store"}', "422", "stream"),
)


async def test_a_refusal_says_why(people: tuple[Person, Person]) -> None:
    for subject, payload, code, said in REFUSED:
        answer = await people[1].client.request(subject, payload, timeout=10)
        assert answer.headers["Nats-Service-Error-Code"] == code, (payload, answer.headers)
        assert said in answer.data.decode()
        assert json.loads(answer.data)["status"] == int(code)
