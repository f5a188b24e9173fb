"""`nats3 serve --workers 2`: one program, three processes; a killed one is replaced and its jobs go on elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx2
import nats
import psutil
import pytest
from typing_extensions import override

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.ports import free_port
from nats3.dev.process import Command

pytestmark = pytest.mark.timeout(100)


class Workers(Nats3Server):
    @override
    def _command(self) -> Command:
        whole = super()._command()
        return Command(
            whole.program,
            (*whole.arguments, "--workers", "2"),
            directory=self.directory,
            log=self.log,
            environment=whole.environment,
        )


def write_settings(server: Workers, log: str, hosts: list[str], requests: int, sweep_hours: int) -> None:
    (server.directory.parent / "nats3.toml").write_text(
        f'log = "{log}"\n[server]\nhosts = {json.dumps(hosts)}\n[limits]\nrequests = {requests}\n'
        f"[s3]\nsweep_hours = {sweep_hours}\n"
    )


@pytest.fixture
async def server(server_directory: Path, nats_url: str, postgres_url: str, s3) -> AsyncIterator[Workers]:
    settings = environment("", nats_url, postgres_url, s3)
    own = {"NATS3_LOG_FORMAT": "json", "NATS3_NODE_NAME": "n", "NATS3_CONFIG": str(server_directory / "nats3.toml")}
    server = Workers(server_directory / "nats3", {**settings, **own})
    write_settings(server, log="info", hosts=["one.example"], requests=0, sweep_hours=24)
    server.port = free_port()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: Workers) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.url) as client:
        yield client


async def until(holds, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - what is waited for is the state of other processes
            await asyncio.sleep(0.1)


def processes(server: Workers) -> list[psutil.Process]:
    parent = psutil.Process(server._process.pid)
    return [each for each in parent.children() if "nats3.serve.child" in " ".join(each.cmdline())]


async def metric(client: httpx2.AsyncClient, name: str) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def test_jobs_run_in_workers_that_are_replaced_and_end_together(
    server: Workers, client: httpx2.AsyncClient, nats_url: str, s3
) -> None:
    async def names() -> list[str]:
        return sorted(
            node["name"].split()[0] for node in (await client.get("/api/v2/nodes")).json()["items"] if node["alive"]
        )

    async def two_nodes() -> bool:
        return await names() == ["n-1", "n-2"]

    await until(two_nodes)
    connection = await nats.connect(nats_url)
    js = connection.jetstream()
    streams = [f"S{uuid4().hex[:8]}" for _ in range(4)]
    for stream in streams:
        await js.add_stream(name=stream, subjects=[f"{stream}.>"])
        limits = {"max_count": 5, "max_age": "1s"}
        order = {"kind": "store", "name": stream, "stream": stream, "bucket": s3.bucket, "limits": limits}
        assert (await client.post("/api/v2/jobs", json=order)).status_code == 201

    async def publish() -> None:
        for stream in streams:
            for _ in range(5):
                await js.publish(f"{stream}.a", b"x")

    async def archived() -> int:
        chunks = (await client.get("/api/v2/chunks?limit=1000")).json()["items"]
        return sum(chunk["count"] for chunk in chunks)

    async def first_part() -> bool:
        return await archived() == 20

    async def counted() -> bool:
        return await metric(client, 'nats3_nats_messages_total{direction="out"}') == 20

    await publish()
    await until(first_part)
    await until(counted)
    runs = (await client.get("/api/v2/events?type=run_activated")).json()["items"]
    assert {event["data"]["node"] for event in runs} == {"n-1", "n-2"}

    asked = await client.post("/api/v2/projections/chunks/rebuild")

    async def rebuilt() -> bool:
        return (await client.get(asked.headers["location"])).json()["state"] == "done"

    await until(rebuilt)
    assert await archived() == 20

    victim, survivor = processes(server)
    os.kill(victim.pid, signal.SIGKILL)
    await publish()

    async def second_part() -> bool:
        return await archived() == 40

    async def all_counted() -> bool:
        return await metric(client, 'nats3_nats_messages_total{direction="out"}') >= 40

    async def replaced() -> bool:
        return len(processes(server)) == 2

    await until(second_part)
    await until(all_counted)
    await until(replaced)
    family = [survivor, *processes(server)]
    await connection.close()
    await server.stop()
    assert not any(each.is_running() for each in family)


async def test_a_signal_to_the_program_changes_the_settings_of_all_its_processes(
    server: Workers, client: httpx2.AsyncClient
) -> None:
    def said(text: str) -> list[dict[str, object]]:
        lines = server.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and text in line]

    async def until_said(text: str, *nodes: str) -> list[dict[str, object]]:
        async def all_said() -> bool:
            return {line.get("node") for line in said(text)} >= set(nodes)

        await until(all_said)
        return said(text)

    await until_said("node started", "n", "n-1", "n-2")
    children = {each.pid for each in processes(server)}
    assert not said('"event": "beat"'), "a line of the level debug"
    write_settings(server, log="debug", hosts=["two.example"], requests=7, sweep_hours=1)
    os.kill(server._process.pid, signal.SIGHUP)
    lines = {str(line["node"]): line for line in await until_said("settings reloaded", "n", "n-1", "n-2")}
    assert lines["n"]["changed"] == ["limits.requests", "log", "server.hosts"]
    assert [lines[node]["changed"] for node in ("n-1", "n-2")] == [["log"], ["log"]]
    assert [line["restart_needed_for"] for line in lines.values()] == [["s3.sweep_hours"]] * 3
    for host, status in (("one.example", 421), ("two.example", 200)):
        assert (await client.get("/ping", headers={"Host": host})).status_code == status

    async def both_beat() -> bool:
        return len({line["lease_age"] is None for line in said('"event": "beat"')}) == 2

    await until(both_beat)
    write_settings(server, log="no level", hosts=[], requests=7, sweep_hours=1)
    os.kill(server._process.pid, signal.SIGHUP)
    (refused,) = await until_said("settings not reloaded", "n")
    assert "log" in str(refused["reason"])
    assert {each.pid for each in processes(server)} == children, "none of them died of it"
    assert (await client.get("/ping", headers={"Host": "two.example"})).status_code == 200


async def test_workers_end_with_a_parent_that_is_killed(server: Workers, client: httpx2.AsyncClient) -> None:
    async def two() -> bool:
        return len((await client.get("/api/v2/nodes")).json()["items"]) == 2

    await until(two)
    family = processes(server)
    os.kill(server._process.pid, signal.SIGKILL)

    async def gone() -> bool:
        return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family)

    await until(gone)
