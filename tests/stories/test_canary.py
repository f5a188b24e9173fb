"""A canary in every secret that a running nats3 is told: whatever happens to it, the canary is seen nowhere."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import re
import shutil
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aioboto3
import httpx2
import psycopg
import pytest
from typing_extensions import override

from nats3.config.settings import SETTINGS
from nats3.dev.errors import NotReady
from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.nats_server import NatsServer
from nats3.dev.natswire import Said, Wire
from nats3.dev.ports import free_port
from nats3.dev.s3_server import S3Access
from tests.docs.pages import elsewhere
from tests.jetstream.test_tls import make_certificate

pytestmark = pytest.mark.timeout(150)

CANARIES = {
    "NATS3_NATS_PASSWORD": "can+ary one",
    "NATS3_POSTGRES_URL": "can+ary/two",
    "NATS3_POSTGRES_MIGRATE_URL": "can+ary/two",
    "nats.wrong.url": "can+ary-three",
    "nats.other.token": "can+ary-four",
    "s3.wrong.secret": "can+ary/five",
    "s3.wrong.session_token": "can+ary/six",
    "s3.lost.secret": "can+ary/eight",
}
"""What stands in each secret. Keys of S3 that work are the server's own, which are as good."""


@dataclass
class Seen:
    """All that came out of it, by where."""

    texts: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])

    def add(self, where: str, what: bytes | str) -> None:
        self.texts.append((where, what.encode() if isinstance(what, str) else what))

    def leaks(self, secrets: set[str]) -> list[str]:
        needles = {form.encode() for secret in secrets for form in (secret, quote(secret, safe=""))}
        needles |= {base64.b64encode(secret.encode()) for secret in secrets}
        return [f"{where}: {needle!r}" for where, text in self.texts for needle in needles if needle in text]


@dataclass(frozen=True)
class Asked:
    """Keeps every answer: head and body."""

    client: httpx2.AsyncClient
    seen: Seen

    async def __call__(self, method: str, path: str, **more: Any) -> httpx2.Response:
        answer = await self.client.request(method, path, **more)
        self.seen.add(f"{method} {path}", str(dict(answer.headers)).encode() + answer.content)
        return answer

    async def until(self, path: str, member: str, wanted: str) -> None:
        found: Any = None
        try:
            async with asyncio.timeout(30):
                while wanted not in str(found):
                    await asyncio.sleep(0.1)
                    found = (await self("GET", path)).json()[member]
        except TimeoutError:
            pytest.fail(f"{path}: {member} is {found}, not {wanted}")


def with_password(url: str) -> str:
    """The same database for a role of its own, whose password is a canary."""
    name, password = f"canary_{uuid4().hex[:8]}", CANARIES["NATS3_POSTGRES_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{password}'")  # type: ignore[arg-type]
        told = psycopg.conninfo.conninfo_to_dict(url)
    return f"postgresql://{name}:{quote(password, safe='')}@{told['host']}:{told['port']}/{told['dbname']}"


@asynccontextmanager
async def collector(seen: Seen) -> AsyncIterator[str]:
    """Takes traces as OTLP over HTTP, and keeps every byte."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"content-length: (\d+)", head.lower())
                body = await reader.readexactly(int(length[1]) if length else 0)
                packed = b"content-encoding: gzip" in head.lower()
                seen.add("trace", head + (gzip.decompress(body) if packed else body))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def world(
    directory: Path, postgres_url: str, s3: S3Access, traces: str
) -> AsyncIterator[tuple[NatsServer, dict[str, str]]]:
    users = f'[{{ user: guest, password: guest }}, {{ user: nats3, password: "{CANARIES["NATS3_NATS_PASSWORD"]}" }}]'
    extra = f"accounts {{ A {{ jetstream: enabled, users: {users} }} }}\nno_auth_user: guest"
    async with NatsServer(directory / "nats", extra=extra) as nats:
        host = nats.url.removeprefix("nats://")
        secret = directory / "secret"
        secret.write_text(CANARIES["s3.wrong.secret"])
        file = directory / "nats3.toml"
        file.write_text(
            f'[nats.wrong]\nurl = "nats://nats3:{CANARIES["nats.wrong.url"]}@{host}"\n'
            f'[nats.other]\nurl = "{host}"\ntoken = "{CANARIES["nats.other.token"]}"\n'
            f'[s3.wrong]\nendpoint = "{s3.endpoint}"\naccess = "{s3.access}"\nsecret_file = "{secret}"\n'
            f'session_token = "{CANARIES["s3.wrong.session_token"]}"\n'
            f'[s3.lost]\nendpoint = "{s3.endpoint}"\naccess = "{s3.access}"\nsecret = "{CANARIES["s3.lost.secret"]}"\n'
        )
        postgres = await asyncio.to_thread(with_password, postgres_url)
        yield (
            nats,
            {"NATS3_TRACES_ENDPOINT": traces}
            | environment("", nats.url, postgres, s3)
            | {
                "NATS3_CONFIG": str(file),
                "NATS3_NATS_USER": "nats3",
                "NATS3_NATS_PASSWORD": CANARIES["NATS3_NATS_PASSWORD"],
                "NATS3_POSTGRES_MIGRATE_URL": postgres,
                "NATS3_LOG": "trace",
                "NATS3_LOG_FORMAT": "json",
                "NATS3_EVENTS_PUBLISH": "true",
                "NATS3_EVENTS_MAKE_STREAM": "true",
            },
        )


class Here(Nats3Server):
    """It has started when Postgres answers: two of its connections never will be ready."""

    @override
    async def _ask(self) -> None:
        try:
            async with httpx2.AsyncClient(base_url=self.url) as client:
                (await client.get("/api/v2/jobs")).raise_for_status()
        except httpx2.HTTPError as fault:
            raise NotReady(str(fault)) from None


async def lived(asked: Asked, nats: NatsServer, bucket: str) -> None:
    """What goes well, what goes wrong, and what was never right."""
    store = {"kind": "store", "stream": "ORDERS", "bucket": bucket, "limits": {"max_count": 10}}
    load = {"kind": "load", "bucket": bucket, "read_stream": "ORDERS", "write_subject": "again"}
    good = (await asked("POST", "/api/v2/jobs", json=store)).json()["id"]
    await asked.until(f"/api/v2/jobs/{good}", "progress", "'messages': 20")
    done = (await asked("POST", "/api/v2/jobs", json=load)).json()["id"]
    await asked.until(f"/api/v2/jobs/{done}", "state", "completed")
    for bad in ({"nats": "wrong"}, {"s3": "wrong"}, {"s3": "lost"}):
        job = (await asked("POST", "/api/v2/jobs", json={**store, **bad})).json()["id"]
        await asked.until(f"/api/v2/jobs/{job}", "state", "degraded" if "nats" in bad else "blocked")
    for wrong in ({"s3": "http://169.254.169.254/"}, {"nats": "nats://x@y"}, {"secret": "x"}, {"bucket": "a/b"}):
        assert (await asked("POST", "/api/v2/jobs", json={**store, **wrong})).status_code == 422
    await nats.kill()
    await asked.until(f"/api/v2/jobs/{good}", "state", "degraded")
    await nats.start()
    await asked.until(f"/api/v2/jobs/{good}", "state", "running")
    for path in (
        "/ready",
        "/metrics",
        "/openapi.json",
        "/config",
        "/api/v2/nodes",
        "/api/v2/streams",
        "/api/v2/projections",
    ):
        await asked("GET", path)
    for path in ("/api/v2/events?format=ndjson", "/api/v2/chunks", "/store/jobs", "/load/jobs", "/api/v2/jobs/nowhere"):
        await asked("GET", path)


async def ran(seen: Seen, settings: dict[str, str], *words: str) -> None:
    """A command, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nats3", *words),
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    seen.add(" ".join(words), said)


async def look_into(seen: Seen, nats: NatsServer, postgres_url: str, s3: S3Access) -> None:
    """Tables, objects with their headers, and the stream of events."""
    with psycopg.connect(postgres_url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('es', 'public')"
        ).fetchall()
        for schema, table in tables:
            rows = connection.execute(f'SELECT t::text FROM "{schema}"."{table}" t').fetchall()  # type: ignore[arg-type]
            seen.add(f"{schema}.{table}", "\n".join(row[0] for row in rows))
    session = aioboto3.Session()
    keys = {"aws_access_key_id": s3.access, "aws_secret_access_key": s3.secret, "region_name": s3.region}
    async with session.client("s3", endpoint_url=s3.endpoint, **keys) as client:
        for each in (await client.list_objects_v2(Bucket=s3.bucket))["Contents"]:
            found = await client.get_object(Bucket=s3.bucket, Key=each["Key"])
            seen.add(
                each["Key"], json.dumps(found["Metadata"]).encode() + each["Key"].encode() + await found["Body"].read()
            )
    async with await Wire.open(nats.url) as wire:
        last = (await wire.api("STREAM.INFO.NATS3_EVENTS", {}))["state"]["last_seq"]
        assert last > 5
        for seq in range(1, last + 1):
            message = (await wire.api("STREAM.MSG.GET.NATS3_EVENTS", {"seq": seq}))["message"]
            seen.add(f"event {seq}", base64.b64decode(message["data"]) + base64.b64decode(message.get("hdrs", "")))


BROKEN_FILES = (
    ("torn.toml", '[s3]\nsecret = "can+ary-ten\n'),
    ("torn.yaml", "s3:\n  secret: can+ary-ten: and\n"),
    ("torn-more.yaml", 's3:\n  secret: "can+ary-ten\n'),
    ("alias.yaml", "s3:\n  secret: *canary-fourteen\n"),
    ("tag.yaml", "s3:\n  secret: !canary-fourteen x\n"),
    ("alone.toml", 'nats = "u:can+ary-ten@h"\n'),
    ("list.yaml", "s3:\n  secret: [[can+ary-ten]]\n"),
)
"""Files that cannot be read to their end, or say a secret where nothing of the kind belongs."""


def lines_of(key: Path) -> set[str]:
    return {line for line in key.read_text().splitlines() if "-----" not in line}


async def logged(log: Path, text: str) -> None:
    async with asyncio.timeout(30):
        while text not in await asyncio.to_thread(log.read_text):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
async def test_no_key_of_tls_comes_out_and_no_secret_of_a_store_that_refuses_it(
    server_directory: Path, nats_url: str, postgres_url: str, s3: S3Access
) -> None:
    certificate, key = await make_certificate(server_directory)
    secrets, seen = lines_of(key), Seen()
    file = server_directory / "nats3.toml"
    file.write_text(f'[server]\ntls_cert = "{certificate}"\ntls_key = "{key}"\n')
    wrong = "can+ary-eleven"
    settings = environment("", nats_url, postgres_url, replace(s3, secret=wrong))
    more = {"NATS3_CONFIG": str(file), "NATS3_LOG": "trace", "NATS3_LOG_FORMAT": "json"}
    log, port = server_directory / "log", free_port()
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nats3", "serve"),
            env={**os.environ, **settings, **more, "NATS3_SERVER_ADDR": f"127.0.0.1:{port}"},
            stderr=out,
        )
    try:
        await logged(log, "node started")
        trusting = ssl.create_default_context(cafile=str(certificate))
        url = f"https://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=url, verify=trusting, timeout=20) as client:
            asked = Asked(client, seen)
            order = {"kind": "store", "stream": f"S{uuid4().hex[:8]}", "bucket": s3.bucket}
            job = (await asked("POST", "/api/v2/jobs", json=order)).json()["id"]
            survey = await asked("POST", "/api/v2/archive/verifications", json={"bucket": s3.bucket})
            await asked.until(f"/api/v2/jobs/{job}", "state", "blocked")
            await asked.until(survey.headers["location"], "state", "failed")
            for torn in ("-----BEGIN PRIVATE KEY-----\ncan+ary-twelve\n-----END PRIVATE KEY-----\n", "can+ary-twelve"):
                key.write_text(torn)
                process.send_signal(signal.SIGHUP)
                await ran(seen, {**settings, **more}, "serve")
                assert b"cannot use the certificates" in seen.texts[-1][1]
            await logged(log, "settings not reloaded")
            for path in ("/ready", "/metrics", "/api/v2/events?format=ndjson", "/api/v2/nodes", "/store/jobs"):
                await asked("GET", path)
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    seen.add("log", log.read_bytes())
    assert seen.leaks({*secrets, wrong, "can+ary-twelve"}) == []
    assert seen.leaks({str(key)}) != [], "where the key lies is said, what is in it is not"


async def test_a_password_that_postgres_refuses_is_told_to_nobody(
    server_directory: Path, nats_url: str, postgres_url: str, s3: S3Access
) -> None:
    told = psycopg.conninfo.conninfo_to_dict(postgres_url)
    wrong, seen = "can+ary/thirteen", Seen()
    url = f"postgresql://{told['user']}:{quote(wrong, safe='')}@{told['host']}:{told['port']}/{told['dbname']}"
    settings = environment(f"127.0.0.1:{free_port()}", nats_url, url, s3)
    settings |= {"NATS3_LOG": "trace", "NATS3_LOG_FORMAT": "json", "NATS3_POSTGRES_MIGRATE_URL": url}
    log = server_directory / "log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nats3", "serve"), env={**os.environ, **settings}, stderr=out
        )
    try:
        await logged(log, "password authentication failed")
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    seen.add("log", log.read_bytes())
    for words in (("db", "current"), ("db", "upgrade"), ("token", "create", "boss", "--database"), ("config", "show")):
        await ran(seen, settings, *words)
    assert sum(b"password authentication failed" in text for _, text in seen.texts) == 4
    assert seen.leaks({wrong}) == []


async def test_no_secret_comes_out_whatever_happens(server_directory: Path, postgres_url: str, s3: S3Access) -> None:
    secret_kinds = {setting.key.partition(".")[2] for setting in SETTINGS if setting.secret}
    assert secret_kinds == {"url", "password", "token", "migrate_url", "secret", "session_token"}, (
        "each has a canary here"
    )
    seen = Seen()
    async with (
        collector(seen) as traces,
        world(server_directory, postgres_url, s3, traces) as (nats, settings),
    ):
        async with await Wire.open(nats.url) as wire:
            await wire.api("STREAM.CREATE.ORDERS", {"name": "ORDERS", "subjects": ["orders.>"]})
            await wire.api("STREAM.CREATE.AGAIN", {"name": "AGAIN", "subjects": ["again"]})
            async for _ in wire.publish([Said(b"orders.new", None, b"%d" % number) for number in range(20)]):
                pass
        async with (
            elsewhere(Here(server_directory / "nats3", settings)) as server,
            httpx2.AsyncClient(base_url=server.url, timeout=20) as client,
        ):
            asked = Asked(client, seen)
            await lived(asked, nats, s3.bucket)
            token = (await asked.client.post("/api/v2/tokens", json={"name": "n", "role": "admin"})).json()["token"]
            bearer = {"Authorization": f"Bearer {token}"}
            assert (await asked("GET", "/api/v2/jobs")).status_code == 401
            assert (await asked("GET", "/api/v2/tokens", headers=bearer)).status_code == 200
            assert (
                await asked("GET", "/api/v2/jobs", headers={"Authorization": f"Bearer {token}x"})
            ).status_code == 401
        for words in (("config", "show", "-o", "json"), ("config", "show"), ("config", "check"), ("config", "schema")):
            await ran(seen, settings, *words)
        for variable, wrong in (
            ("NATS3_TRACES_ENDPOINT", "http://u:can+ary-nine@h:4318"),
            ("NATS3_S3_ENDPOINT", "http://u:can+ary-nine@h:4318"),
            ("NATS3_TRACES_ENDPOINT", "http//u:can+ary-nine@h"),
        ):
            await ran(seen, settings | {variable: wrong}, "config", "check")
            assert variable.encode() in seen.texts[-1][1], "it was refused"
        for name, text in BROKEN_FILES:
            file = server_directory / name
            file.write_text(text)
            await ran(seen, settings | {"NATS3_CONFIG": str(file)}, "config", "check")
            assert name.encode() in seen.texts[-1][1], "it was refused"
        broken = {"NATS3_NATS_URL": f"http://u:{CANARIES['nats.wrong.url']}@h", "NATS3_NATS_TOKEN": "can+ary-seven"}
        await ran(seen, settings | broken, "serve")
        await ran(seen, {"NATS3_TOKEN": token, "NATS3_URL": "http://127.0.0.1:1"}, "store", "list")
        seen.add("log", server.log.read_bytes())
        await look_into(seen, nats, postgres_url, s3)
    assert len(seen.texts) > 100
    assert any(where == "trace" and b"/api/v2/jobs" in text for where, text in seen.texts), "spans came"
    secrets = {
        *CANARIES.values(),
        "can+ary-seven",
        "can+ary-nine",
        "can+ary-ten",
        "canary-fourteen",
        token.split("_")[2],
        s3.secret,
    }
    assert seen.leaks(secrets) == []
    assert seen.leaks({s3.access}) != [], "what is no secret is found, so this looks where things are"
