"""The permissions in docs/privileges are enough for whole jobs, on servers that enforce them; one less, and the job says which."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import aioboto3
import httpx2
import nats
import psycopg
import pytest
from typing_extensions import override

from eventstore.migrate import migrate
from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.nats_server import NatsServer
from nats3.dev.natswire import Said, Wire
from nats3.dev.process import Command
from nats3.dev.s3_server import S3Access, S3Server
from tests.docs.pages import ROOT, elsewhere, page

PRIVILEGES = ROOT / "docs" / "privileges"
NATS = (PRIVILEGES / "nats.conf").read_text()
ALL = (PRIVILEGES / "nats-events-and-service.conf").read_text()
POLICY = (PRIVILEGES / "s3-policy.json").read_text()
SQL = (PRIVILEGES / "postgres.sql").read_text()

pytestmark = pytest.mark.timeout(150)


class Issuing(S3Server):
    """Takes users and policies by IAM's API, which it does not by itself."""

    @override
    def _command(self) -> Command:
        command = super()._command()
        return replace(command, arguments=(*command.arguments, "-s3.iam.readOnly=false"))

    async def user(self, name: str, policy: str) -> S3Access:
        """Keys that may do what the policy says."""
        # AWS has a word for listing unfinished uploads that this server does not know, and denies what it does not know.
        known = policy.replace('"s3:ListBucketMultipartUploads"', '"s3:ListBucket"')
        admin = self.access
        session = aioboto3.Session()
        async with session.client(
            "iam",
            endpoint_url=admin.endpoint,
            region_name=admin.region,
            aws_access_key_id=admin.access,
            aws_secret_access_key=admin.secret,
        ) as iam:
            await iam.create_user(UserName=name)
            key = (await iam.create_access_key(UserName=name))["AccessKey"]
            await iam.put_user_policy(UserName=name, PolicyName="nats3", PolicyDocument=known)
        return replace(admin, access=key["AccessKeyId"], secret=key["SecretAccessKey"], bucket="archive")


def guarded(directory: Path, user: str) -> NatsServer:
    """Whoever gives no name may do all."""
    users = f"[{{ user: guest, password: guest }}, {user}]"
    return NatsServer(
        directory / "nats", extra=f"accounts {{ A {{ jetstream: enabled, users: {users} }} }}\nno_auth_user: guest"
    )


def role(owner: str, sql: str) -> str:
    """The URL of a role with these grants in the owner's database; roles are of the whole server, so it has a name of its own."""
    name = f"least_{uuid4().hex[:12]}"
    migrate(owner)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'hush'")  # type: ignore[arg-type]
        connection.execute(sql.replace(" nats3;", f" {name};"))  # type: ignore[arg-type]
        told = psycopg.conninfo.conninfo_to_dict(owner)
    return f"postgresql://{name}:hush@{told['host']}:{told['port']}/{told['dbname']}"


@dataclass(frozen=True)
class World:
    nats: NatsServer
    client: httpx2.AsyncClient
    server: Nats3Server

    async def ordered(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A store job and a load job, as soon as each has done its work or says what is in the way."""
        store = {"kind": "store", "stream": "ORDERS", "subject": "orders.new", "bucket": "archive"}
        found = [await self.until_settled(await self.order({**store, "limits": {"max_count": 10}}))]
        if not found[0]["reason"]:
            load = {"kind": "load", "bucket": "archive", "read_stream": "ORDERS", "write_subject": "orders.again"}
            found.append(await self.until_settled(await self.order(load)))
        return found[0], found[-1]

    async def order(self, body: dict[str, Any]) -> str:
        return (await self.client.post("/api/v2/jobs", json=body)).json()["id"]

    async def until_settled(self, job_id: str) -> dict[str, Any]:
        job: dict[str, Any] = {}
        try:
            async with asyncio.timeout(40):
                while not (job.get("reason") or job.get("state") == "completed" or _archived(job) == 50):
                    await asyncio.sleep(0.05)
                    job = (await self.client.get(f"/api/v2/jobs/{job_id}")).json()
        except TimeoutError:
            pytest.fail(f"nothing came of {job}")
        return job


def _archived(job: dict[str, Any]) -> int:
    return job.get("progress", {}).get("messages", 0)


@asynccontextmanager
async def world(
    directory: Path, postgres_url: str, user: str, policy: str, sql: str, **more: str
) -> AsyncIterator[World]:
    """A whole nats3 that may do what these say, with 50 messages to archive."""
    async with guarded(directory, user) as server, Issuing(directory / "s3") as s3:
        await s3.make_bucket("archive")
        settings = environment(
            "", server.url, await asyncio.to_thread(role, postgres_url, sql), await s3.user("n3", policy)
        )
        login = {"NATS3_NATS_USER": "nats3", "NATS3_NATS_PASSWORD": "n3", "NATS3_POSTGRES_MIGRATE": "false"}
        async with await Wire.open(server.url) as wire:
            await wire.api("STREAM.CREATE.ORDERS", {"name": "ORDERS", "subjects": ["orders.>"]})
            async for _ in wire.publish([Said(b"orders.new", None, b"%d" % number) for number in range(50)]):
                pass
        async with (
            elsewhere(Nats3Server(directory / "nats3", settings | login | more)) as node,
            httpx2.AsyncClient(base_url=node.url, timeout=20) as client,
        ):
            yield World(server, client, node)


async def test_who_has_these_permissions_stores_loads_and_tidies_up(server_directory: Path, postgres_url: str) -> None:
    async with world(server_directory, postgres_url, NATS, POLICY, SQL) as all_of:
        store, load = await all_of.ordered()
        assert (store["reason"], store["progress"]["messages"]) == ("", 50)
        assert (load["state"], load["progress"]["published"]) == ("completed", 50)
        listed = await all_of.client.get("/api/v2/streams")
        assert [each["there"]["messages"] for each in listed.json()["items"]] == [100]
        async with await Wire.open(all_of.nats.url) as wire, asyncio.timeout(20):
            waiting = [1]
            while any(waiting):
                await asyncio.sleep(0.05)
                found = await wire.api("CONSUMER.LIST.ORDERS", {})
                waiting = [each["num_ack_pending"] for each in found["consumers"]]
            assert waiting == [0], "what is archived is acknowledged"
        await all_of.client.delete(f"/api/v2/jobs/{store['id']}")
        async with await Wire.open(all_of.nats.url) as wire, asyncio.timeout(20):
            info: dict[str, Any] = {"state": {"consumer_count": 1}}
            while info["state"]["consumer_count"]:
                await asyncio.sleep(0.05)
                info = await wire.api("STREAM.INFO.ORDERS", {})
        assert info["state"]["messages"] == 100
        assert "Violation" not in all_of.nats.log.read_text()
        assert '"level": "error"' not in all_of.server.log.read_text()


ON = {"NATS3_EVENTS_PUBLISH": "true", "NATS3_EVENTS_MAKE_STREAM": "true", "NATS3_SERVICE_ROLE": "read"}


async def test_who_has_these_permissions_also_publishes_events_and_answers_on_nats(
    server_directory: Path, postgres_url: str
) -> None:
    async with world(server_directory, postgres_url, ALL, POLICY, SQL, **ON) as all_of:
        store, load = await all_of.ordered()
        assert (store["progress"]["messages"], load["state"]) == (50, "completed")
        whole = (await all_of.client.get("/api/v2/events", params={"limit": 1000})).json()["items"]
        client = await nats.connect(all_of.nats.url)
        async with asyncio.timeout(20):
            while (await client.jetstream().stream_info("NATS3_EVENTS")).state.messages < len(whole):
                continue
        assert json.loads((await client.request("$SRV.PING.nats3", timeout=5)).data)["name"] == "nats3"
        jobs = json.loads((await client.request("nats3.api.read.jobs.list", b"{}", timeout=5)).data)["items"]
        assert {job["id"] for job in jobs} == {store["id"], load["id"]}
        await client.close()
        assert "Violation" not in all_of.nats.log.read_text()


@pytest.mark.parametrize("line", ['"nats3.event.>"', '"nats3.api.>"'])
async def test_no_permission_for_events_and_service_is_there_for_nothing(
    line: str, server_directory: Path, postgres_url: str
) -> None:
    async with world(server_directory, postgres_url, ALL.replace(line, ""), POLICY, SQL, **ON) as less:
        await less.order({"kind": "store", "stream": "ORDERS", "subject": "orders.new", "bucket": "archive"})
        async with asyncio.timeout(20):
            while "Violation" not in await asyncio.to_thread(less.nats.log.read_text):
                continue


LESS = {
    "a stream's consumer": ("nats", '"$JS.API.CONSUMER.CREATE.ORDERS.>"', "CONSUMER.CREATE.ORDERS"),
    "a look at that consumer": ("nats", '"$JS.API.CONSUMER.INFO.ORDERS.*"', "CONSUMER.INFO.ORDERS"),
    "the subject of a load": ("nats", '"orders.>"', "orders.again"),
    "an object to write": ("s3", '"s3:PutObject", ', "put on bucket archive is denied"),
}


@pytest.mark.parametrize("what", LESS)
async def test_one_permission_less_is_a_reason_that_names_it(
    server_directory: Path, postgres_url: str, what: str
) -> None:
    kind, line, named = LESS[what]
    assert line in (NATS if kind == "nats" else POLICY)
    nats, policy = (NATS.replace(line, '"nothing"'), POLICY) if kind == "nats" else (NATS, POLICY.replace(line, ""))
    async with world(server_directory, postgres_url, nats, policy, SQL) as less:
        _, last = await less.ordered()
        assert named in last["reason"], last


@pytest.mark.parametrize("lost", [line for line in SQL.splitlines() if line.startswith("GRANT")])
async def test_no_grant_of_postgres_is_there_for_nothing(postgres_url: str, lost: str) -> None:
    """Without it the role cannot do what the program does at its start, or keeps no views and no snapshots."""
    whole = await asyncio.to_thread(role, postgres_url, SQL)
    less = await asyncio.to_thread(role, postgres_url, SQL.replace(lost, ""))
    needs = {
        "GRANT USAGE ON SCHEMA es": "SELECT count(*) FROM es.event",
        "GRANT USAGE, CREATE ON SCHEMA public": "CREATE TABLE public.view_of_mine (x int)",
        "GRANT SELECT ON ALL TABLES": "SELECT count(*) FROM es.event",
        "GRANT EXECUTE ON ALL FUNCTIONS": "SELECT es.renew(gen_random_uuid(), 'nobody', 1)",
        "GRANT INSERT, UPDATE, DELETE": "DELETE FROM es.snapshot",
    }
    (statement,) = (each for begin, each in needs.items() if lost.startswith(begin))
    with psycopg.connect(less, autocommit=True) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)  # type: ignore[arg-type]
    with psycopg.connect(whole, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


def test_the_manual_shows_the_grants_of_the_file() -> None:
    shown = [line for block in page("docs/operating.md").blocks("sql") for line in block.splitlines() if line]
    assert shown == [line for line in SQL.splitlines() if not line.startswith("--")]


def test_the_manual_names_the_subjects_of_the_file() -> None:
    rows = page("docs/operating.md").table("may", "subject", "for")
    for text in (cell.strip("` ") for row in rows for cell in row[1].split(",") if "NATS3_" not in cell):
        assert f'"{text}"' in NATS


def test_the_policy_is_one_of_s3_for_one_bucket() -> None:
    statements = json.loads(POLICY)["Statement"]
    assert {each["Resource"].partition(":::")[2] for each in statements} == {"archive", "archive/*"}
    assert not any("*" in action for each in statements for action in each["Action"])
