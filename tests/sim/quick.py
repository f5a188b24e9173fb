"""What a process that only lives histories need not do again and again. Every answer is the same as without: pure functions
are remembered, and what keeps nothing between two calls is made once.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache, lru_cache
from typing import TypeVar

import zstandard

from nats3.chunk import decode, object_key, zstd
from nats3.chunk.layout import Decoded, Limits
from nats3.job import storing
from nats3.work import adopt, archive, bind, head_reader, shipping, stragglers, sweeper
from tests.sim import load_world, store_world

T = TypeVar("T")

MOST_KEPT = 4096


class _OneThread:
    """zstandard for one thread: a context is large beside the chunks here, so each is made once."""

    ZstdError = zstandard.ZstdError
    ZstdCompressor = staticmethod(cache(zstandard.ZstdCompressor))
    ZstdDecompressor = staticmethod(cache(zstandard.ZstdDecompressor))


def hasten() -> None:
    """For a process of its own with one thread; it cannot be taken back."""
    zstd.zstandard = _OneThread  # type: ignore[assignment]
    remembered = lru_cache(MOST_KEPT)(object_key.parse_key)
    for room in (adopt, bind, head_reader, shipping, stragglers, sweeper):
        room.parse_key = remembered
    head_reader.read_header = lru_cache(MOST_KEPT)(decode.read_header)
    for room in (archive, load_world, store_world):
        room.decode = _decode
    object_key.date_of = _date_of
    stragglers.job_prefix = lru_cache(MOST_KEPT)(object_key.job_prefix)
    storing.replace = _replace
    object_key._quoted = lru_cache(MOST_KEPT)(object_key._quoted)
    gc.collect()
    gc.freeze()  # nothing that is loaded by now is garbage
    gc.disable()  # whoever lives the histories collects between them


def _decode(body: bytes, sha256: str | None = None, limits: Limits = decode.DEFAULT_LIMITS) -> Decoded:
    """Of equal bytes the same, with a batch of its own, for that may be changed."""
    decoded = _decoded(body, sha256, limits)
    return replace(decoded, batch=decoded.batch.slice(0, len(decoded.batch)))


_DAY_NS = 86_400_000_000_000
_date_of_day = lru_cache(MOST_KEPT)(object_key.date_of)


def _date_of(time_ns: int) -> str:
    return _date_of_day(time_ns // _DAY_NS * _DAY_NS)


@cache
def _members(kind: type) -> list[tuple[str, Callable, Callable]]:
    return [(each.name, getattr(kind, each.name).__get__, getattr(kind, each.name).__set__) for each in fields(kind)]


def _replace(value: T, **changes: object) -> T:
    """Of a frozen dataclass with slots that checks nothing when it is made."""
    made = object.__new__(type(value))
    for name, get, put in _members(type(value)):
        put(made, changes[name] if name in changes else get(value))
    return made


_decoded = lru_cache(512)(decode.decode)
