"""A node out of the nursery, with the face that a World knows of a node, and failpoints."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter

from nats3.dev.nats3_server import environment
from nats3.dev.ports import LOOPBACK, own_port
from tests.faults.nursery import Forked, Nursery
from tests.faults.world import World

LOOK_S = 0.02


class ForkedNode:
    """Started again and again at the same address; each time with other failpoints."""

    def __init__(self, world: World, nursery: Nursery) -> None:
        self._nursery = nursery
        self._settings = environment("", world.servers.nats.url, world.postgres_url, world.s3)
        self.directory = world.directory / f"node-{len(world.nodes)}"
        self.directory.mkdir()
        self.log = self.directory / "log"
        self.port = own_port(self)
        self._process: Forked | None = None
        self._read_from = 0
        world.nodes.append(self)  # type: ignore[arg-type] - it has the face of a server

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def process(self) -> Forked:
        assert self._process is not None, "never started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, failpoints: str = "", *, migrate: bool = False) -> None:
        """Returns at once; whether it is ready, the API says."""
        own = {
            "NATS3_SERVER_ADDR": f"{LOOPBACK}:{self.port}",
            "NATS3_POSTGRES_MIGRATE": str(migrate).lower(),
            "NATS3_LOG_FORMAT": "json",
        }
        if failpoints:
            own |= {"NATS3_FAILPOINTS": failpoints, "NATS3_FAILPOINTS_ALLOWED": "true"}
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        self._process = await self._nursery.fork(self.directory, self.log, {**self._settings, **own})

    def reached(self) -> Counter[tuple[str, str]]:
        """Failpoints that acted since the last start, as (place, action), by the node's own log."""
        found: Counter[tuple[str, str]] = Counter()
        if not self.log.exists():
            return found
        with self.log.open("rb") as file:
            file.seek(self._read_from)
            for line in file:
                if b'"failpoint"' in line and line.endswith(b"\n"):
                    said = json.loads(line)
                    found[said["place"], said["action"]] += 1
        return found

    async def struck(self, place: str, action: str) -> None:
        """Until the failpoint has acted: the process is dead, frozen, or has said so."""
        while True:
            if action == "kill" and not self.running:
                return
            if action == "stop" and self.process.frozen:
                return
            if action == "raise" and self.reached()[place, "fail"]:
                return
            if action != "kill" and not self.running:
                raise AssertionError(f"the node ended with {self.process.returncode} before {place}={action}")
            await asyncio.sleep(LOOK_S)

    async def kill(self) -> None:
        if self.running:
            self.process.send(signal.SIGKILL)
            await self.process.wait()

    async def stop(self) -> int:
        self.process.send(signal.SIGCONT)
        self.process.send(signal.SIGTERM)
        return await self.process.wait()

    def pause(self) -> None:
        self.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send(signal.SIGCONT)
