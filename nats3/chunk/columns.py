"""Codec `binary`: messages as one msgpack map of columns. Nothing here runs once per message in Python."""

from __future__ import annotations

from itertools import accumulate
from operator import sub
from typing import Any

from nats3.chunk.layout import DecodeError
from nats3.chunk.packed import all_of, pack, unpack_columns
from nats3.message import Batch

NAMES = ("seqs", "times", "subjects", "ids", "headers", "payloads")


def to_raw(batch: Batch) -> bytes:
    place: dict[bytes, int] = dict.fromkeys(batch.subjects, 0)
    place = dict(zip(place, range(len(place)), strict=True))
    return pack(
        {
            "seqs": deltas(batch.seqs),
            "times": deltas(batch.times),
            "subjects": list(place),
            "ids": list(map(place.__getitem__, batch.subjects)),
            "headers": batch.headers,
            "payloads": batch.payloads,
        }
    )


def from_raw(raw: bytes, count: int) -> Batch:
    """The `count` messages of a frame. Raises DecodeError. What the seqs and times may be is checked by the index."""
    columns = unpack_columns(raw, len(NAMES), count)
    if tuple(columns) != NAMES:
        raise DecodeError(f"a frame has the columns {', '.join(columns)} and not {', '.join(NAMES)}")
    for name in NAMES:
        _check_column(name, columns[name], count)
    return Batch(
        list(accumulate(columns["seqs"])),
        list(accumulate(columns["times"])),
        _subjects(columns["subjects"], columns["ids"]),
        columns["headers"],
        columns["payloads"],
    )


def deltas(numbers: list[int]) -> list[int]:
    """The first number, then each one's distance from the one before it."""
    return [*numbers[:1], *map(sub, numbers[1:], numbers)]


_TYPES: dict[str, tuple[type, ...]] = {
    "seqs": (int,),
    "times": (int,),
    "subjects": (bytes,),
    "ids": (int,),
    "headers": (bytes, type(None)),
    "payloads": (bytes,),
}


def _check_column(name: str, values: list[Any], count: int) -> None:
    if name != "subjects" and len(values) != count:
        raise DecodeError(f"column {name} has {len(values)} values and not {count}")
    if not all_of(values, *_TYPES[name]):
        raise DecodeError(f"column {name} holds a value of another type")


def _subjects(distinct: list[bytes], ids: list[int]) -> list[bytes]:
    if len(set(distinct)) != len(distinct) or set(ids) != set(range(len(distinct))):
        raise DecodeError("the subject dictionary and the ids do not fit together")
    return list(map(distinct.__getitem__, ids))
