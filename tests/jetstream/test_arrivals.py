"""The pieces of a socket: nothing lost, nothing out of order, and a bound on what nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from typing_extensions import override

from nats3.jetstream.arrivals import Arrivals

pytestmark = pytest.mark.pure


class Tap(asyncio.Transport):
    """Says whether it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[str] = []

    @override
    def pause_reading(self) -> None:
        self.turns.append("closed")

    @override
    def resume_reading(self) -> None:
        self.turns.append("open")


def arrivals(limit: int = 100) -> tuple[Arrivals, Tap]:
    tap, reader = Tap(), Arrivals(limit)
    reader.set_transport(tap)
    return reader, tap


async def heard(reader: Arrivals, news: Callable[[], None]) -> bytes:
    """What a reader that waits already gets once `news` happens."""
    loop = asyncio.get_running_loop()
    loop.call_soon(news)
    async with asyncio.timeout(1):
        return await reader.read()


async def test_pieces_come_out_as_they_came_in_and_then_the_end() -> None:
    reader, _ = arrivals()
    for piece in (b"a", b"bc"):
        reader.feed_data(piece)
    reader.feed_eof()
    assert [await reader.read(1) for _ in range(4)] == [b"a", b"bc", b"", b""]
    assert reader.at_eof()


async def test_others_have_the_loop_between_pieces_that_came_together() -> None:
    reader, _ = arrivals()
    turns: list[bytes] = []

    async def others() -> None:
        for _ in range(3):
            turns.append(b"others")
            await asyncio.sleep(0)

    for piece in (b"a", b"b", b"c"):
        reader.feed_data(piece)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(others())
        while len(turns) < 6:
            turns.append(await reader.read())
    assert turns == [b"others", b"a", b"others", b"b", b"others", b"c"]


async def test_the_end_is_not_there_before_the_last_piece_is_read() -> None:
    reader, _ = arrivals()
    reader.feed_data(b"last")
    reader.feed_eof()
    assert not reader.at_eof()


async def test_whoever_waits_hears_of_bytes_of_the_end_and_of_a_fault() -> None:
    reader, _ = arrivals()
    assert await heard(reader, lambda: reader.feed_data(b"x")) == b"x"
    assert await heard(reader, reader.feed_eof) == b""
    reader, _ = arrivals()
    with pytest.raises(ConnectionResetError, match="gone"):
        await heard(reader, lambda: reader.set_exception(ConnectionResetError("gone")))


@pytest.mark.parametrize("pieces", [(b"INFO {}\r\nPI", b"NG\r\n"), (b"IN", b"FO {}\r", b"\nPING\r\n")])
async def test_a_line_is_read_across_pieces_and_leaves_what_follows_it(pieces: tuple[bytes, ...]) -> None:
    reader, _ = arrivals()
    for piece in pieces:
        reader.feed_data(piece)
    assert [await reader.readline(), await reader.readline()] == [b"INFO {}\r\n", b"PING\r\n"]


async def test_a_line_without_end_is_what_there_is_of_it_or_refused() -> None:
    reader, _ = arrivals(limit=10)
    reader.feed_data(b"half")
    reader.feed_eof()
    assert await reader.readline() == b"half"
    reader, _ = arrivals(limit=10)
    reader.feed_data(b"x" * 11)
    with pytest.raises(ValueError, match="more than 10"):
        await reader.readline()


async def test_the_socket_is_held_back_while_too_much_lies_unread() -> None:
    reader, tap = arrivals(limit=10)
    reader.feed_data(b"x" * 8)
    assert tap.turns == []
    reader.feed_data(b"x" * 8)
    reader.feed_data(b"x" * 8)
    assert tap.turns == ["closed"]
    await reader.read()
    assert tap.turns == ["closed"]
    await reader.read()
    assert tap.turns == ["closed", "open"]
