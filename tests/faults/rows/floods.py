"""Who floods and dawdles: hostile bodies, bodies without end, 2,000 sockets that say nothing or not all. /health is asked all the while."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import perf_counter

from tests.api.hostile_bodies import BODIES
from tests.bench.machine import Watched
from tests.faults.pulse import watched
from tests.faults.registry import row
from tests.faults.world import Failed, World

HEALTHY_S = 0.1
"""Within which /health answers, whatever else is asked."""

TRIES = 4
"""A stall that is the product's comes every time; one that a busy machine makes does not."""

SOCKETS = 2000
ARRIVE_S = 2.0
"""In which they come: all at one moment would be a flood of requests, which is not what F63 asks."""

DEAF = 40
"""One in so many asks for much and takes nothing; the others say nothing, or not all."""

CLOSED_S = 13.0
"""10 s, and what a busy machine needs to tell so many."""

_LOOK_S = 0.5

FLAT_MIB = 32
"""What bodies without end may add to the memory of a node: a few at a time, each of at most 1 MiB, in several shapes."""

_HEAD = b"POST /api/v2/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


async def healthy(world: World, what: str, play: Callable[[], Coroutine[None, None, None]]) -> float:
    """The slowest answer of /health while `play` ran, of the best of several tries. Raises Failed above the bound."""
    worst: list[float] = []
    for _ in range(TRIES):
        async with watched(world.node.port, world.node.pid) as pulse:
            await play()
        worst.append(pulse.worst)
        if pulse.worst < HEALTHY_S:
            return pulse.worst
    raise Failed(f"{what}: /health took {min(worst):.2f} s at best in {TRIES} tries")


async def posted(world: World, path: str, body: bytes) -> tuple[int, int]:
    """Status and size of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.node.port)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    try:
        answer = await reader.read()
    finally:
        writer.close()
    return int(answer.split()[1]), len(answer)


@row("F61", within=300)
async def a_hostile_body_holds_up_nobody(world: World) -> None:
    """Each 1 MB of JSON is refused in few words, and /health answers within 100 ms meanwhile."""
    slowest = 0.0
    for what, (path, body) in BODIES.items():

        async def play(what: str = what, path: str = path, body: bytes = body) -> None:
            status, size = await posted(world, path, body)
            if not 400 <= status < 500 or size > 20_000:
                raise Failed(f"{what}: {status} in {size} bytes")

        slowest = max(slowest, await healthy(world, what, play))
    world.note(f"{len(BODIES)} bodies, the slowest answer of /health meanwhile {1000 * slowest:.0f} ms")


@row("F61", within=120)
async def many_hostile_bodies_at_once_hold_up_nobody(world: World) -> None:
    path, body = BODIES["transforms with unknown fields"]

    async def play() -> None:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(posted(world, path, body)) for _ in range(16)]
        if any(not 400 <= task.result()[0] < 500 for task in asked):
            raise Failed(str([task.result() for task in asked]))

    slowest = await healthy(world, "16 at once", play)
    world.note(f"16 at once, the slowest answer of /health meanwhile {1000 * slowest:.0f} ms")


async def _endless(world: World, way: bytes) -> int:
    """Bytes that were taken of a body that never ends before the line was cut."""
    _, writer = await asyncio.open_connection("127.0.0.1", world.node.port)
    writer.write(_HEAD + way)
    part, sent = b" " * 65_536, 0
    try:
        while sent < 1 << 30:
            writer.write(b"%x\r\n%s\r\n" % (len(part), part) if b"chunked" in way else part)
            await writer.drain()
            sent += len(part)
    except (ConnectionResetError, BrokenPipeError):
        pass
    finally:
        writer.close()
    return sent


@row("F62", within=180)
async def a_body_without_end_costs_no_memory(world: World) -> None:
    """1 GB announced, chunks without end, and a packed body: cut off, memory flat, /health within 100 ms."""
    ways = (
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Content-Length: 1073741824\r\n\r\n",
        b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
    node = Watched(world.node.pid)

    async def play() -> None:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(_endless(world, ways[at % len(ways)])) for at in range(30)]
        taken = max(task.result() for task in asked)
        if taken > 64 << 20:
            raise Failed(f"{taken} bytes of a body without end were taken")

    await play()  # what a first time costs stays
    node.forget_peak()
    before = node.resident_mib()
    slowest = await healthy(world, "bodies without end", play)
    grown = node.peak_mib() - before
    if grown > FLAT_MIB:
        raise Failed(f"{grown:.0f} MiB more")
    world.note(f"/health at most {1000 * slowest:.0f} ms, memory {grown:+.0f} MiB at its peak")


@dataclass
class Dawdler:
    """One who says nothing, or not all; `lasted` seconds until he was hung up on."""

    opening: bytes
    trickle: bytes = b""
    lasted: float = 0.0

    async def dawdle(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = perf_counter()
        try:
            writer.write(self.opening)
            while not reader.at_eof():
                writer.write(self.trickle)
                try:
                    async with asyncio.timeout(_LOOK_S):
                        await reader.read(65_536)
                except TimeoutError:
                    continue
        except ConnectionError:
            pass
        self.lasted = perf_counter() - began
        writer.transport.abort()


@dataclass
class Deaf:
    """One who asks for much and takes nothing of it."""

    lasted: float = 0.0

    async def dawdle(self, port: int) -> None:
        with socket.socket() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.setblocking(False)
            await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", port))
            await asyncio.get_running_loop().sock_sendall(line, _ASKED * 24)  # more than kernels keep for one line
            began = perf_counter()
            while not line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # noqa: ASYNC110 - only the kernel knows
                await asyncio.sleep(_LOOK_S)
            self.lasted = perf_counter() - began


_ASKED = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
_WAYS: tuple[Callable[[], Dawdler], ...] = (
    lambda: Dawdler(b""),
    lambda: Dawdler(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX: ", b"a"),
    lambda: Dawdler(_HEAD + b"Content-Length: 1000\r\n\r\n{", b" "),
    lambda: Dawdler(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
)


@row("F63", within=240)
async def two_thousand_who_dawdle_are_hung_up_on(world: World) -> None:
    """In heads, bodies and reads: each gone after 10 s, and /health answers within 100 ms all the while."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lasted: list[float] = []

    async def play() -> None:
        slow = [_WAYS[at % len(_WAYS)]() if at % DEAF else Deaf() for at in range(SOCKETS)]
        async with asyncio.TaskGroup() as tasks:
            for each in slow:
                tasks.create_task(each.dawdle(world.node.port))
                await asyncio.sleep(ARRIVE_S / SOCKETS)
        lasted.append(max(each.lasted for each in slow))

    slowest = await healthy(world, f"{SOCKETS} sockets", play)
    if min(lasted) > CLOSED_S:
        raise Failed(f"the last of them was hung up on after {min(lasted):.1f} s")
    world.note(f"{SOCKETS} sockets, the last gone after {lasted[-1]:.1f} s, /health at most {1000 * slowest:.0f} ms")
