"""The log in Postgres: one function call per append, one indexed scan per read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Literal, LiteralString, TypeAlias
from uuid import UUID, uuid4

from psycopg.errors import CheckViolation

from eventstore import chain, migrate, retention
from eventstore.cold import Cold
from eventstore.connection import SETTINGS, Connection, Link, Row
from eventstore.errors import SegmentMissing
from eventstore.event import (
    Append,
    Appended,
    Conflict,
    Fence,
    NewEvent,
    NodeId,
    Outcome,
    Position,
    Recorded,
    Refused,
    Version,
)
from eventstore.partitions import SELECTED, SegmentIndex
from eventstore.segments import Segments

_APPEND = (
    "SELECT outcome, version, fence, first_position, last_position FROM es.append(%s,"
    " %b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bytea[], %b::bytea[], %b::text[], %s::uuid[], %s::bigint[],"
    " %b::int[], %b::bigint[], %b::text[], %b::smallint[], %b::uuid[], %b::text[], %b::bytea[], %b::boolean[])"
)
# Each is one statement, and so one snapshot: what it says of the floor is true of the rows beside it.
_VERSION: LiteralString = "SELECT (SELECT version FROM es.entity WHERE entity_id = %s), e.* FROM (VALUES (1)) o"
_FLOOR: LiteralString = "SELECT l.floor, e.* FROM es.log l"
_WITH: LiteralString = " LEFT JOIN LATERAL (" + SELECTED + " FROM es.event WHERE "
_AT_ENTITY: LiteralString = (
    _VERSION + _WITH + "entity_id = %s AND version > %s ORDER BY version LIMIT %s) e ON true ORDER BY e.version"
)
_READ_LOG: LiteralString = _FLOOR + _WITH + "position > %s ORDER BY position LIMIT %s) e ON true ORDER BY e.position"
# Of each type its next positions, from an index that is in their order, and the least of all these.
_NEXT: LiteralString = (
    "SELECT n.position FROM unnest(%s::text[]) wanted (type), LATERAL ("
    "SELECT position FROM es.event e WHERE e.type = wanted.type AND e.position > %s ORDER BY e.position LIMIT %s"
    ") n ORDER BY n.position LIMIT %s"
)
PAGE_OF_TYPES: LiteralString = _FLOOR + _WITH + "position = ANY (ARRAY(" + _NEXT + "))) e ON true ORDER BY e.position"
_IN_ORDER = {"enable_sort": "off", "enable_bitmapscan": "off", "enable_seqscan": "off"}
"""The log is read along its indexes. Without statistics, as of a log that has just grown, Postgres would rather gather and sort
all that lies behind a position: the whole rest of the log for each page, until no page comes within `statement_timeout`.
"""
_HASHES_KEPT = 10_000

Ends: TypeAlias = Callable[[NewEvent], bool]
"""Whether the history of an entity ends with this event: pure, and of the product."""


class PostgresStore:
    """A log in a database that was migrated. Each method is one attempt and raises LogUnavailable when it is away.

    `node` stands in every event that is written here. Appends, entities and the log have a connection each, so that
    who recovers many entities does not hold up who follows the log. `ends` says of an event whether its entity ends
    with it; `segments` is where what was dropped from the database is kept, None: nothing ever was.
    Reads raise SegmentMissing and SegmentAltered for a past that cannot be read.
    """

    def __init__(
        self, url: str, node: NodeId | None = None, *, ends: Ends = retention.never, segments: Segments | None = None
    ) -> None:
        self.url = url
        self.node = node or NodeId(uuid4())
        self._writing = Link(url, "eventstore append")
        self._reading = Link(url, "eventstore read")
        self.following = Link(url, "eventstore log", {**SETTINGS, **_IN_ORDER})
        self._ends = ends
        self._index = SegmentIndex(self._reading)
        self._cold = Cold(self._index, segments)
        self._hashes: OrderedDict[str, tuple[Version, bytes]] = OrderedDict()
        self._room_until = 0

    async def append(self, batch: Sequence[Append]) -> list[Appended | Conflict | Refused]:
        """See EventStore.append. A call takes an entity once, so one entity twice is two calls."""
        outcomes: dict[int, Outcome] = {}
        for places in _rounds(batch):
            part = [batch[place] for place in places]
            outcomes.update(zip(places, await self._append(part), strict=True))
        return [outcomes[place] for place in range(len(batch))]

    async def read(self, entity_id: str, after: Version, limit: int) -> list[Recorded]:
        rows = await self._reading.fetch(_AT_ENTITY, (entity_id, entity_id, after, limit))
        found = _recorded(rows)
        begins = found[0].version if found else (rows[0][0] or 0) + 1
        if begins <= after + 1 or limit < 1:
            return found
        cold = await self._cold.entity(entity_id, after, limit)
        if not cold:
            raise SegmentMissing(f"of {entity_id} at version {after + 1}", "the log does not remember one")
        rest = limit - len(cold)
        return cold + (await self.read(entity_id, cold[-1].version, rest) if rest else [])

    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> list[Recorded]:
        if types is None:
            rows = await self.following.fetch(_READ_LOG, (after, limit))
        else:
            rows = await self.following.fetch(PAGE_OF_TYPES, (list(types), after, limit, limit))
        floor = rows[0][0]
        if after + 1 >= floor or limit < 1:
            return _recorded(rows)
        cold = await self._cold.after(after, floor, limit, types)
        rest = limit - len(cold)
        return cold + (await self.read_log(Position(floor - 1), rest, types) if rest else [])

    async def head(self) -> Position:
        rows = await self.following.fetch("SELECT position FROM es.event ORDER BY position DESC LIMIT 1")
        return Position(rows[0][0] if rows else 0)

    async def log_id(self) -> UUID:
        rows = await self._reading.fetch("SELECT log_id FROM es.log")
        return rows[0][0]

    async def check_schema(self) -> None:
        """Raise SchemaMissing or SchemaNewer unless the database has the schema of this program."""
        rows = await self._reading.fetch("SELECT to_regclass('es.schema_version') IS NOT NULL")
        found = None
        if rows[0][0]:
            versions = await self._reading.fetch("SELECT version_num FROM es.schema_version")
            found = versions[0][0] if versions else None
        migrate.judge(found)

    async def power(self) -> Literal["superuser", "owner"] | None:
        """Why this URL could change what is recorded in spite of all guards; None: it could not."""
        rows = await self._reading.fetch(
            "SELECT r.rolsuper, pg_has_role(current_user, c.relowner, 'MEMBER') FROM pg_roles r, pg_class c"
            " WHERE r.rolname = current_user AND c.oid = 'es.event'::regclass"
        )
        superuser, owner = rows[0]
        return "superuser" if superuser else "owner" if owner else None

    async def floor(self) -> Position:
        """Events below this position were moved into segments."""
        return await self._index.floor()

    async def close(self) -> None:
        """Close the connections."""
        for link in (self._writing, self._reading, self.following):
            await link.drop()

    def _closes(self, event: NewEvent) -> bool:
        return retention.ends(event) or self._ends(event)

    async def _append(self, part: Sequence[Append]) -> list[Outcome]:
        outcomes = await self._attempt(part)
        settled = [outcome for outcome in outcomes if outcome is not None]
        await self._make_room_ahead(settled)
        if len(settled) == len(part):
            return settled
        # Only where another node wrote between our look at the hash and our append.
        again = await self._append([append for append, o in zip(part, outcomes, strict=True) if o is None])
        rest = iter(again)
        return [outcome or next(rest) for outcome in outcomes]

    async def _attempt(self, part: Sequence[Append]) -> list[Outcome | None]:
        """One call; None for an append that was chained to a hash that is no longer the entity's."""
        before = await self._hashes_before(part)
        hashes = [list(_links(append, start)) for append, start in zip(part, before, strict=True)]
        values = (*_values(self.node, part, before, hashes), [self._closes(append.events[-1]) for append in part])
        try:
            rows = await self._writing.call(_APPEND, values)
        except CheckViolation:
            await self._make_room(sum(len(append.events) for append in part))
            rows = await self._writing.call(_APPEND, values)
        outcomes = [_outcome(append, row) for append, row in zip(part, rows, strict=True)]
        self._learn(outcomes, part, hashes)
        return outcomes

    async def _hashes_before(self, part: Sequence[Append]) -> list[bytes]:
        """What each append is chained to, as far as is known here; the database has the last word."""
        known = {append.entity_id: self._known_hash(append) for append in part}
        missing = [entity_id for entity_id, hash_ in known.items() if hash_ is None]
        if missing:
            rows = await self._writing.call(
                "SELECT entity_id, hash FROM es.entity WHERE entity_id = ANY (%s::text[])", (missing,)
            )
            known.update({row[0]: row[1] for row in rows})
        return [known[append.entity_id] or chain.START for append in part]

    def _known_hash(self, append: Append) -> bytes | None:
        if append.expected == 0:
            return chain.START
        version, hash_ = self._hashes.get(append.entity_id, (0, None))
        return hash_ if version == append.expected else None

    def _learn(self, outcomes: Sequence[Outcome | None], part: Sequence[Append], hashes: Sequence[list[bytes]]) -> None:
        for outcome, append, chained in zip(outcomes, part, hashes, strict=True):
            self._hashes.pop(append.entity_id, None)
            if isinstance(outcome, Appended):
                self._hashes[outcome.entity_id] = (outcome.version, chained[-1])
        while len(self._hashes) > _HASHES_KEPT:
            self._hashes.popitem(last=False)

    async def _make_room_ahead(self, outcomes: Sequence[Outcome]) -> None:
        last = max((outcome.last for outcome in outcomes if isinstance(outcome, Appended)), default=0)
        if last >= self._room_until:
            await self._make_room()

    async def _make_room(self, events: int = 0) -> None:
        rows = await self._writing.call("SELECT es.make_partitions(%s)", (events,))
        self._room_until = rows[0][0]


async def append_within(connection: Connection, node: NodeId, append: Append, before: bytes) -> Outcome | None:
    """One append in the transaction that is open, chained to the hash `before`; None where that is no longer the entity's.

    From here to the commit nobody else appends. It makes no room for itself: every store has made some at its first append.
    """
    hashes = [list(_links(append, before))]
    cursor = await connection.execute(_APPEND, (*_values(node, [append], [before], hashes), [False]))
    (row,) = await cursor.fetchall()
    return _outcome(append, row)


def _rounds(batch: Sequence[Append]) -> list[list[int]]:
    """Places of the batch, cut so that no round has an entity twice and each entity keeps its order."""
    rounds: list[list[int]] = []
    seen: dict[str, int] = {}
    for place, append in enumerate(batch):
        turn = seen.get(append.entity_id, 0)
        seen[append.entity_id] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(place)
    return rounds


def _links(append: Append, before: bytes) -> Iterator[bytes]:
    for place, event in enumerate(append.events, append.expected + 1):
        before = chain.link(before, append.entity_id, place, event)
        yield before


def _values(
    node: NodeId, part: Sequence[Append], before: Sequence[bytes], hashes: Sequence[list[bytes]]
) -> tuple[Any, ...]:
    """The columns that es.append takes: nine of appends, seven of events."""
    events = [(place, append, event) for place, append in enumerate(part, 1) for event in append.events]
    versions = [append.expected + step for append in part for step in range(1, len(append.events) + 1)]
    return (
        node,
        [append.entity_id for append in part],
        [append.expected for append in part],
        [append.fence for append in part],
        [len(append.events) for append in part],
        before,
        [chained[-1] for chained in hashes],
        [append.actor for append in part],
        [append.correlation_id for append in part],
        [append.causation_position for append in part],
        [place for place, _, _ in events],
        versions,
        [event.type for _, _, event in events],
        [event.schema_version for _, _, event in events],
        [event.event_id for _, _, event in events],
        [event.text for _, _, event in events],
        [hash_ for chained in hashes for hash_ in chained],
    )


def _outcome(append: Append, row: Row) -> Outcome | None:
    outcome, version, fence, first, last = row
    match outcome:
        case "appended":
            reached = Version(append.expected + len(append.events))
            return Appended(append.entity_id, reached, Position(first), Position(last))
        case "conflict":
            return Conflict(append.entity_id, Version(version))
        case "refused":
            return Refused(append.entity_id, Fence(fence))
        case _:
            return None


def _recorded(rows: Sequence[Row]) -> list[Recorded]:
    """The events behind the first column; a row of nothing says that there are none."""
    return [Recorded._make(row[1:]) for row in rows if row[1] is not None]
