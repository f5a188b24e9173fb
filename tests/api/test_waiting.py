"""What comes while a node starts: it waits a moment for the node, and is told when that takes long."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from nats3.api.services import Rules, Trace
from nats3.api.waiting import AtTheGate, Front


class Nobody:
    def answered(self, method: str, route: str, status: int, seconds: float, trace: Trace) -> None:
        """Nobody is told."""

    def crashed(self, request_id: UUID, error: Exception, actor: str) -> None:
        raise AssertionError(request_id, actor) from error


def front(patience_s: float, *, metrics_public: bool = False) -> Front:
    rules = Rules(frozenset({"node"}), metrics_public)
    return Front(AtTheGate(rules, Nobody(), lambda _accept: (b"up 0\n", "text/plain")), patience_s)


async def node(scope: Scope, receive: Receive, send: Send) -> None:
    """An API that has one answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"from the node"})


def client(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://node")


async def test_what_comes_while_a_node_starts_is_answered_by_the_node() -> None:
    door = front(60.0)
    async with client(door) as asking, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(asking.post("/api/v2/jobs", json={}))
        await asyncio.sleep(0)  # its turn
        assert (await asking.get("/ping")).text == "pong"
        assert not asked.done()
        door.let_in(node)
        assert (await asked).text == "from the node"
        assert (await asking.get("/ping")).text == "from the node"


@pytest.mark.parametrize("path", ["/api/v2/jobs", "/store/jobs", "/docs", "/metrics", "/ready", "/api/v1/ready"])
async def test_a_start_that_takes_long_refuses_all_that_needs_a_node(path: str) -> None:
    async with client(front(0.0)) as asking:
        refused = await asking.get(path)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert "once postgres answers" in refused.text
    assert refused.headers["x-content-type-options"] == "nosniff"


async def test_metrics_that_are_public_are_told_without_a_node() -> None:
    async with client(front(0.0, metrics_public=True)) as asking:
        assert (await asking.get("/metrics")).text == "up 0\n"
        assert (await asking.head("/health")).status_code == 200
        assert (await asking.post("/health")).status_code == 503
