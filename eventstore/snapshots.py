"""States of entities, kept so that recovery need not fold the whole history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgpack
import zstandard

from eventstore.connection import Link
from eventstore.errors import Undecodable
from eventstore.event import Position, Version

SMALL = 1024
"""States up to so many bytes are kept as they are."""

_PLAIN, _ZSTD = b"\x00", b"\x01"
_LIMIT = 1 << 28
_BROKEN = (ValueError, TypeError, msgpack.UnpackException, zstandard.ZstdError)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of an entity after `version`, whose event stands at `position`; fold on from there.

    `state` is plain data (what msgpack takes); `schema_version` is that of the state: throw away what you do not know.
    """

    entity_id: str
    version: Version
    position: Position
    schema_version: int
    state: Any


class Snapshots:
    """The newest snapshot of each entity, in Postgres. Losing one costs time, never truth."""

    def __init__(self, url: str) -> None:
        self._link = Link(url, "eventstore snapshots")

    async def save(self, snapshot: Snapshot) -> None:
        """Keep it, unless a newer one is kept already."""
        await self._link.call(
            "INSERT INTO es.snapshot AS s (entity_id, version, position, schema_version, state)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (entity_id) DO UPDATE SET version = excluded.version,"
            " position = excluded.position, schema_version = excluded.schema_version, state = excluded.state"
            " WHERE s.version <= excluded.version RETURNING 1",
            (snapshot.entity_id, snapshot.version, snapshot.position, snapshot.schema_version, pack(snapshot.state)),
        )

    async def load(self, entity_id: str) -> Snapshot | None:
        """The newest one, None where there is none. Raises Undecodable for bytes that are none of ours."""
        rows = await self._link.fetch(
            "SELECT entity_id, version, position, schema_version, state FROM es.snapshot WHERE entity_id = %s",
            (entity_id,),
        )
        if not rows:
            return None
        entity, version, position, schema_version, state = rows[0]
        try:
            return Snapshot(entity, version, position, schema_version, unpack(state))
        except _BROKEN as fault:
            raise Undecodable(f"the snapshot of {entity}", f"{type(fault).__name__}: {fault}") from fault

    async def forget(self, entity_id: str) -> None:
        """Remove it: the next recovery folds the whole history."""
        await self._link.call("DELETE FROM es.snapshot WHERE entity_id = %s RETURNING 1", (entity_id,))

    async def close(self) -> None:
        """Close the connection."""
        await self._link.drop()


class MemorySnapshots:
    """The same in memory; states go through their bytes."""

    def __init__(self) -> None:
        self._kept: dict[str, Snapshot] = {}

    async def save(self, snapshot: Snapshot) -> None:
        kept = self._kept.get(snapshot.entity_id)
        if kept is None or kept.version <= snapshot.version:
            self._kept[snapshot.entity_id] = replace(snapshot, state=unpack(pack(snapshot.state)))

    async def load(self, entity_id: str) -> Snapshot | None:
        return self._kept.get(entity_id)


def pack(state: Any) -> bytes:  # noqa: ANN401 - whatever msgpack takes
    """A state as bytes: a mark, then msgpack, compressed by zstd when that is above SMALL bytes."""
    raw: bytes = msgpack.Packer().pack(state)
    if len(raw) <= SMALL:
        return _PLAIN + raw
    return _ZSTD + zstandard.compress(raw)


def unpack(kept: bytes) -> Any:  # noqa: ANN401 - what was packed
    """The state that `pack` was given, tuples as lists."""
    body = kept[1:]
    if kept[:1] == _ZSTD:
        body = zstandard.decompress(body, max_output_size=_LIMIT)
    return msgpack.unpackb(body, strict_map_key=False)
