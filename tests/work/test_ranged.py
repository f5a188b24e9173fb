"""Reading a part of a chunk: the same messages as a whole read gives, for fewer bytes, and nothing unproven."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

import pytest

from nats3.chunk.encode import encode
from nats3.chunk.layout import Codec, DecodeError, Encoded, Origin
from nats3.errors import Blocked
from nats3.job.storing import ChunkFlushed
from nats3.life import Opening
from nats3.message import Batch
from nats3.objects.memory import MemoryStore
from nats3.objects.store import ObjectMissing, ObjectShort
from nats3.selection import Selection
from nats3.work.archive import Archive
from nats3.work.memory import MemoryIndex
from nats3.work.ranged import WHOLE_BYTES, RangedChunk, worth_it
from nats3.work.record import flushed

T = TypeVar("T")
COUNT = 4000
TIME = 1_700_000_000_000_000_000
CHANCE = Random(1)
BATCH = Batch(
    [2 * n for n in range(1, COUNT + 1)],
    [TIME + n * 1000 for n in range(COUNT)],
    [b"s.%d" % (n // 1000) for n in range(COUNT)],
    [None] * COUNT,
    [CHANCE.randbytes(1024) for _ in range(COUNT)],
)
LIFE = Opening(1, "life-1", TIME)


class Counted:
    """A Meter."""

    def __init__(self) -> None:
        self.bytes = 0
        self.gets = 0

    def put(self, size: int) -> None: ...

    def got(self, size: int) -> None:
        self.bytes += size

    def request(self, operation: str) -> None:
        self.gets += operation == "get"


async def in_thread(work: Callable[[], T]) -> T:
    return work()


def chunk_of(codec: Codec, batch: Batch = BATCH) -> tuple[Encoded, ChunkFlushed]:
    made = encode(
        batch,
        Origin("log", "aaaaaaaa-0000-4000-8000-000000000000", "S", ">", None, LIFE, 0, LIFE.uuid, 1, 1),
        codec=codec,
    )
    return made, flushed("b", made.key, made.header, made.sha256, len(made.body), sealed_by="count")


@pytest.fixture(params=[Codec.BINARY, Codec.JSON], scope="module")
def chunk(request: pytest.FixtureRequest) -> tuple[Encoded, ChunkFlushed]:
    return chunk_of(request.param)


def stored(body: bytes, said: ChunkFlushed) -> tuple[RangedChunk, Counted]:
    meter = Counted()
    objects = MemoryStore("b", meter=meter)
    objects.buckets["b"][said.key] = body
    return RangedChunk(objects, said, in_thread), meter


SELECTIONS = (
    (Selection(first_seq=4000, last_seq=4000), 0.35),
    (Selection(first_seq=4001, last_seq=4001), 0.35),
    (Selection(from_time=TIME + 100_000, to_time=TIME + 200_000), 0.35),
    (Selection(subjects=("s.3",)), 0.6),
    (Selection(subjects=("none",)), 0.02),
    (Selection(first_seq=10_000), 0.02),
    (Selection(), 1.02),
)


@pytest.mark.parametrize(("selection", "most"), SELECTIONS)
async def test_the_selected_messages_come_for_the_frames_that_hold_them(
    chunk: tuple[Encoded, ChunkFlushed], selection: Selection, most: float
) -> None:
    made, said = chunk
    ranged, meter = stored(made.body, said)
    assert await ranged.select(selection) == selection.select(BATCH)
    assert meter.bytes <= most * len(made.body), f"{meter.bytes} of {len(made.body)} bytes"
    assert meter.gets <= 3


async def test_any_flipped_byte_that_is_used_is_found(chunk: tuple[Encoded, ChunkFlushed]) -> None:
    made, said = chunk
    selection = Selection(first_seq=4000, last_seq=4000)
    right = selection.select(BATCH)
    found = 0
    head, tail = made.frames[0].offset, made.frames[-1].offset + made.frames[-1].stored_bytes
    places = [*range(0, head, 9), *range(tail, len(made.body), 9), *range(head, tail, 199_999)]
    for at in places:
        body = bytearray(made.body)
        body[at] ^= 1 << at % 8
        ranged, _ = stored(bytes(body), said)
        try:
            assert await ranged.select(selection) == right, at
        except (DecodeError, ObjectShort):
            found += 1
    assert found >= (head + len(made.body) - tail) // 9, "every byte of header and index counts"


@pytest.fixture(params=list(Codec), scope="module")
def chunk_of_any_codec(request: pytest.FixtureRequest) -> tuple[Encoded, ChunkFlushed]:
    return chunk_of(request.param)


def archive_of(body: bytes, said: ChunkFlushed) -> Archive:
    objects = MemoryStore("b")
    objects.buckets["b"][said.key] = body
    return Archive(objects, MemoryIndex(list), in_thread)


async def at_once(_: float) -> None: ...


@pytest.mark.parametrize("selection", [each for each, _ in SELECTIONS])
async def test_an_intact_chunk_of_every_codec_gives_what_is_selected_of_it(
    chunk_of_any_codec: tuple[Encoded, ChunkFlushed], selection: Selection
) -> None:
    made, said = chunk_of_any_codec
    assert await archive_of(made.body, said).confirmed(said, at_once, selection) == selection.select(BATCH)


async def test_a_flipped_byte_anywhere_in_a_large_parquet_chunk_is_found_whatever_is_selected() -> None:
    made, said = chunk_of(Codec.PARQUET)
    for at in range(0, len(made.body), len(made.body) // 40):
        body = bytearray(made.body)
        body[at] ^= 1
        with pytest.raises(Blocked, match="chunk_corrupt"):
            await archive_of(bytes(body), said).confirmed(said, at_once, Selection(first_seq=4000, last_seq=4000))


@pytest.mark.parametrize("how", ["cut", "another chunk", "gone"])
async def test_another_object_in_its_place_is_found(how: str) -> None:
    made, said = chunk_of(Codec.BINARY)
    other, _ = chunk_of(Codec.BINARY, Batch(BATCH.seqs, BATCH.times, BATCH.subjects, BATCH.headers, [b"x"] * COUNT))
    bodies = {"cut": made.body[:-100], "another chunk": other.body}
    ranged, _ = stored(bodies.get(how, b""), said)
    if how == "gone":
        ranged = RangedChunk(MemoryStore("b"), said, in_thread)
    with pytest.raises((DecodeError, ObjectShort, ObjectMissing)):
        await ranged.select(Selection(first_seq=2, last_seq=2))


def test_it_is_not_worth_it_for_small_objects_nor_for_all_of_one() -> None:
    _, large = chunk_of(Codec.BINARY)
    _, small = chunk_of(Codec.BINARY, BATCH.slice(0, 20))
    one = Selection(first_seq=2, last_seq=2)
    assert worth_it(large, one)
    assert worth_it(large, Selection(subjects=("s.*",)))
    assert not worth_it(small, one)
    assert not worth_it(large, Selection())
    assert not worth_it(large, Selection(first_seq=1, last_seq=2 * COUNT, from_time=TIME, to_time=TIME + COUNT * 1000))
    assert not worth_it(large, Selection(limit=5))


def test_it_is_never_worth_it_for_a_codec_of_which_only_the_whole_can_be_proven() -> None:
    _, large = chunk_of(Codec.PARQUET)
    assert large.stored_bytes > WHOLE_BYTES
    assert not worth_it(large, Selection(first_seq=2, last_seq=2))
