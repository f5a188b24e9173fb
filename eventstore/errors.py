"""What can go wrong with the log, each named for what its caller can do."""

from __future__ import annotations


class EventStoreError(Exception):
    """The base of everything that eventstore raises on purpose."""


class VersionConflict(EventStoreError):
    """Someone else wrote to the entity: read it again, decide again. Nothing was written."""

    def __init__(self, entity_id: str, expected: int, actual: int) -> None:
        super().__init__(f"{entity_id} is at version {actual}, not at {expected}")
        self.entity_id = entity_id
        self.expected = expected
        self.actual = actual


class Fenced(EventStoreError):
    """The entity is no longer ours: stop, do not retry, do not acknowledge. Nothing was written.

    With `mine == current` Postgres itself was restarted since the claim: claim again.
    """

    def __init__(self, entity_id: str, mine: int, current: int) -> None:
        super().__init__(f"{entity_id} is fenced: fence {mine} is over, {current} is current")
        self.entity_id = entity_id
        self.mine = mine
        self.current = current


class LogUnavailable(EventStoreError):
    """Postgres is away or too busy for now: wait, try again in place; spends no restarts.

    Whether an append that met it was written is unknown.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the event log is unavailable: {reason}")
        self.reason = reason


class OverLimit(EventStoreError):
    """Something is larger than Postgres can ever take, as a row is for an index: trying again is of no use. Nothing was written."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Postgres can never do this: {reason}")
        self.reason = reason


class Unstorable(EventStoreError):
    """A value that the log cannot keep as it is: the caller changes `field`."""

    def __init__(self, field: str, fault: str) -> None:
        super().__init__(f"{field}: {fault}")
        self.field = field
        self.fault = fault


class UnknownType(EventStoreError):
    """An event that this program cannot read: whoever needs it refuses to go on; install a newer version."""

    def __init__(self, type_: str, schema_version: int) -> None:
        super().__init__(f"no event type {type_} of version {schema_version} is known")
        self.type = type_
        self.schema_version = schema_version


class Undecodable(EventStoreError):
    """The data of an event does not fit its type: a fault of the upcasters or of the writer."""

    def __init__(self, type_: str, fault: str) -> None:
        super().__init__(f"{type_}: {fault}")
        self.type = type_
        self.fault = fault


class SchemaMissing(EventStoreError):
    """The database lacks (part of) the log's schema: migrate it."""

    def __init__(self, found: str | None, known: str) -> None:
        super().__init__(f"the schema is at {found or 'nothing'}, this program needs {known}: migrate the database")
        self.found = found
        self.known = known


class SchemaNewer(EventStoreError):
    """The database was migrated by a newer program: install that one."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(f"the schema is at {found}, newer than {known} that this program knows: upgrade the program")
        self.found = found
        self.known = known


class Stopped(EventStoreError):
    """The batcher ended before this append was known to be written: read the entity to know."""

    def __init__(self, entity_id: str) -> None:
        super().__init__(f"the batcher stopped before {entity_id} was written for sure")
        self.entity_id = entity_id


class UnknownProjection(EventStoreError):
    """There is no projection of that name: see the status for those there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no projection {name}")
        self.name = name


class NotPoison(EventStoreError):
    """The projection does not stand at this event: only the one at which it stopped, `poison`, may be passed over."""

    def __init__(self, name: str, position: int, poison: int | None) -> None:
        stands = "has not stopped" if poison is None else f"stopped at position {poison}"
        super().__init__(f"{name} {stands}, so position {position} cannot be passed over")
        self.name = name
        self.position = position
        self.poison = poison


class Superseded(EventStoreError):
    """Another owner moved this projection: what was applied is rolled back; read the checkpoint again."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"projection {name} version {version} is moved by another owner")
        self.name = name
        self.version = version


class LogRewound(EventStoreError):
    """The log is not the one that was read up to `read` (an older copy was restored): start from a stored checkpoint."""

    def __init__(self, read: int, head: int) -> None:
        grown = (
            f"and what stands at {read} is not what was read there" if head >= read else f"but {read} was read before"
        )
        super().__init__(f"the log ends at {head}, {grown}: an older copy was restored")
        self.read = read
        self.head = head


class SegmentFault(EventStoreError):
    """A part of the past that is kept outside the database cannot be read: bring it back, then go on."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(f"segment {name} of the log: {fault}")
        self.name = name
        self.fault = fault


class SegmentMissing(SegmentFault):
    """The log remembers a segment, and it is not there: bring it back from a copy."""

    def __init__(self, name: str, fault: str = "it does not exist") -> None:
        super().__init__(name, fault)


class SegmentAltered(SegmentFault):
    """A segment is not the one that was written: bring that one back from a copy."""
