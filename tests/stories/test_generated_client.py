"""A client that a generator made from the OpenAPI document alone does all that a job needs, on real servers."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import uuid4

import nats
import pytest

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
DOCUMENT = Path(__file__).parents[2] / "docs/openapi.json"
COUNT = 300


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[ModuleType]:
    """The package that the generator writes; gone from this process after the test."""
    generator = Path(sys.executable).with_name("openapi-python-client")
    name = f"generated_{uuid4().hex[:8]}"
    process = await asyncio.create_subprocess_exec(
        generator, "generate", "--path", DOCUMENT, "--meta", "none", "--output-path", tmp_path / name,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert out.count(b"WARNING") == out.count(b"Unsupported content_type application/x-ndjson") > 0, (
        "NDJSON alone is beyond it: " + out.decode()
    )
    sys.path.insert(0, str(tmp_path))
    yield importlib.import_module(name)
    sys.path.remove(str(tmp_path))
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.fixture
async def server(server_directory: Path, nats_url: str, postgres_url: str, s3) -> AsyncIterator[Nats3Server]:
    server = Nats3Server(server_directory / "nats3", environment("", nats_url, postgres_url, s3))
    server.port = free_port()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def api(made: ModuleType, server: Nats3Server) -> AsyncIterator[Any]:
    """`api.post_jobs(...)` and the like, every answer checked to be one of the described models."""
    client = importlib.import_module(f"{made.__name__}.client").Client(base_url=server.url)

    def call(name: str) -> Callable[..., Any]:
        module = importlib.import_module(f"{made.__name__}.api.version_2.{name}")

        async def ask(*path: object, **named: object) -> Any:
            answer = await module.asyncio_detailed(*path, client=client, **named)
            assert answer.status_code < 300, answer.content
            return answer.parsed

        return ask

    names = [path.stem for path in (Path(str(made.__file__)).parent / "api/version_2").glob("*.py")]
    async with client:
        yield SimpleNamespace(**{name: call(name) for name in names if not name.startswith("_")})


async def until(job: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """Watch a job until something holds of it."""
    async with asyncio.timeout(30):
        while not holds(found := await job()):  # noqa: ASYNC110 - what is waited for is the state of another process
            await asyncio.sleep(0.1)
    return found


async def test_a_generated_client_orders_watches_changes_pauses_resumes_loads_and_deletes(
    made: ModuleType, api: Any, nats_url: str, s3
) -> None:
    models = importlib.import_module(f"{made.__name__}.models")
    stream, target = f"S{uuid4().hex[:8]}", f"T{uuid4().hex[:8]}"
    client = await nats.connect(nats_url)
    js = client.jetstream()
    await js.add_stream(name=stream, subjects=[f"{stream}.>"])
    await js.add_stream(name=target, subjects=[f"{target}.>"])

    async def publish(first: int, last: int) -> None:
        for number in range(first, last + 1):
            await js.publish(f"{stream}.x", b"%d" % number)

    order = models.StoreV2.from_dict(
        {"kind": "store", "stream": stream, "bucket": s3.bucket, "limits": {"max_count": 50, "max_age": "500ms"}}
    )
    dry = await api.post_jobs(body=order, dry_run=models.PostJobsDryRun.TRUE)
    assert dry.order.stream == stream
    job = await api.post_jobs(body=order, idempotency_key="one job")
    assert (await api.post_jobs(body=order, idempotency_key="one job")).id == job.id

    def store() -> Any:
        return api.get_jobs_id(job.id)

    await publish(1, 100)
    await until(store, lambda found: found.progress.messages == 100)
    change = models.ChangeStoreV2.from_dict({"name": "smaller", "limits": {"max_count": 10}})
    await until(store, lambda found: "change" in [str(command) for command in found.commands])
    changed = await api.patch_jobs_id(job.id, body=change)
    assert (changed.name, changed.order.limits.max_count) == ("smaller", 10)
    await publish(101, 200)
    await until(store, lambda found: found.progress.messages == 200)
    assert (await api.post_jobs_id_pause(job.id)).state == "paused"
    await publish(201, COUNT)
    assert (await store()).progress.messages == 200
    await api.post_jobs_id_resume(job.id)
    await until(store, lambda found: found.progress.messages == COUNT)

    chunks = (await api.get_jobs_id_chunks(job.id, limit=1000)).items
    assert [chunk.previous_seq for chunk in chunks] == [0, *(chunk.last for chunk in chunks[:-1])], "no seq is left out"
    assert max(chunk.count for chunk in chunks if chunk.first > 110) <= 10, "the change holds"
    assert (await api.post_chunks_id_verify(str(chunks[0].id))).verdict == "whole"
    found = await api.get_chunks_id_messages(str(chunks[0].id), seq=7)
    assert [message.text for message in found.items] == ["7"]

    load = await api.post_jobs(
        body=models.LoadV2.from_dict(
            {"kind": "load", "bucket": s3.bucket, "read_stream": stream, "write_subject": f"{target}.x"}
        )
    )
    ended = await until(lambda: api.get_jobs_id(load.id), lambda found: found.state == "completed")
    assert ended.progress.published == COUNT
    got = [await js.get_msg(target, seq) for seq in range(1, COUNT + 1)]
    assert [message.data for message in got] == [b"%d" % number for number in range(1, COUNT + 1)]
    plan, runs = await api.get_jobs_id_plan(load.id), await api.get_jobs_id_runs(load.id)
    assert (plan.frozen, plan.messages, runs.items[0].state) == (True, COUNT, "completed")
    assert stream in [each.name for each in (await api.get_streams(limit=1000)).items]

    for gone in (job, load):
        await api.delete_jobs_id(gone.id)
    assert (await api.get_jobs()).items == []
    await client.close()
