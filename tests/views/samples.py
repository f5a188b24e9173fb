"""Events of made-up jobs: by hand, and at random."""

from __future__ import annotations

from random import Random

from nats3.job.loading import (
    ChunkDeleted,
    ChunkDeleteRequested,
    ChunkLoaded,
    ChunkSkipped,
    DisplacedRange,
    LoadCompleted,
    LoadExtended,
    LoadPlanned,
    LoadProgressed,
    MessagesDisplaced,
    PlannedRange,
    TargetBound,
)
from nats3.job.order import LoadOrder, StoreOrder
from nats3.job.ordering import JobCreated, JobDeleted, JobPaused, JobResumed, JobRetried
from nats3.job.running import (
    RunActivated,
    RunBlocked,
    RunDegraded,
    RunFailed,
    RunPaused,
    RunRecovered,
    RunStopped,
)
from nats3.job.storing import ChunkFlushed, GapObserved, LifeContinued, LifeOpened, ObjectsCondemned
from nats3.life import Opening

STORE = StoreOrder("orders", "ORDERS", "orders.>", "archive")
LOAD = LoadOrder("again", "archive", "ORDERS", write_subject="replayed")
CREATED = 1_700_000_000_000_000_000


def created(order: StoreOrder | LoadOrder = STORE, api: int = 2) -> JobCreated:
    return JobCreated("store" if isinstance(order, StoreOrder) else "load", order, api)


def opened(ordinal: int = 1, cursor: int = 0, created: int = CREATED) -> LifeOpened:
    return LifeOpened(Opening(ordinal, f"life-{ordinal}", created + ordinal, cursor=cursor, equal=cursor), "first")


def flushed(first: int, last: int, **other: object) -> ChunkFlushed:
    said: dict[str, object] = {
        "bucket": "archive",
        "key": f"n3v1/ORDERS/{other.get('life', 'life-1')}/{first:020d}-{last:020d}.n3c",
        "codec": "binary",
        "stream": "ORDERS",
        "subject": "orders.>",
        "consumer": None,
        "prefix": "",
        "life": "life-1",
        "ordinal": 1,
        "created": CREATED + 1,
        "previous_seq": first - 1,
        "first": first,
        "last": last,
        "count": last - first + 1,
        "first_time": CREATED + first * 1000,
        "last_time": CREATED + last * 1000,
        "raw_bytes": 100 * (last - first + 1),
        "stored_bytes": 10 * (last - first + 1),
        "sha256": f"{last:064x}",
        "content_sha256": f"{last + 1:064x}",
        "previous_sha256": "life-1",
        "last_fingerprint": f"{last + 2:064x}",
        "sealed_by": "count",
    }
    return ChunkFlushed(**{**said, **other})  # type: ignore[arg-type]


RANGE = PlannedRange(0, "00000000-0000-4000-8000-000000000001", "life-1", CREATED + 1, 1, 30)


def random_store_events(chance: Random, count: int) -> list[object]:
    """What a store run might say; seqs rise, lives follow each other."""
    ordinal, seq = 1, 0
    events: list[object] = [opened()]
    for _ in range(count):
        kind = chance.randrange(10)
        if kind < 5:
            first, last = seq + 1, seq + chance.randrange(1, 50)
            hole = ((first, first),) if chance.random() < 0.3 and last > first else ()
            events.append(
                flushed(
                    first + len(hole),
                    last,
                    life=f"life-{ordinal}",
                    ordinal=ordinal,
                    created=CREATED + ordinal,
                    previous_seq=seq,
                    gaps=hole,
                    gap_count=len(hole),
                )
            )
            seq = last
        elif kind == 5:
            first, seq = seq + 1, seq + chance.randrange(1, 9)
            events.append(GapObserved(f"life-{ordinal}", first, seq, chance.choice(("expired", "purged"))))
        elif kind == 6:
            ordinal, seq = ordinal + 1, chance.randrange(3)
            events.append(opened(ordinal, seq))
        elif kind == 7:
            events.append(LifeContinued(CREATED + 1000 + chance.randrange(1000)))
        else:
            events.append(
                chance.choice((random_run_event(chance), ObjectsCondemned("archive", ("a", "b"), "unlinked")))
            )
    return events


def random_run_event(chance: Random) -> object:
    """What runs of both kinds say."""
    return chance.choice(
        (
            RunActivated(chance.randrange(1, 9), "node-a"),
            RunDegraded("nats", "away"),
            RunRecovered("nats"),
            RunBlocked("bucket_missing", "make it"),
            RunPaused(),
            RunStopped("handed over"),
            RunFailed("a bug", ""),
        )
    )


def random_load_events(chance: Random, count: int) -> list[object]:
    events: list[object] = [LoadPlanned((RANGE,), 10, 3, 30, 1, 1), TargetBound("COPY", CREATED, 0, "dedupe")]
    return [*events, *(random_load_event(chance) for _ in range(count))]


def random_load_event(chance: Random) -> object:
    return chance.choice(
        (
            LoadExtended((RANGE,), 12, 1, 5),
            LoadProgressed(0, chance.randrange(1, 30), chance.randrange(30), chance.randrange(3), 7, 99),
            MessagesDisplaced((DisplacedRange(0, 1, 3, 2),), 2, 9),
            ChunkLoaded("archive", "k", 10),
            ChunkSkipped("k", 1, 2, 2, "corrupt"),
            LoadCompleted(30, 0),
            LoadPlanned((RANGE,), 10, 3, 30, chance.randrange(1, 3), 2),
            ChunkDeleteRequested("archive", "nobody's"),
            ChunkDeleted("archive", "nobody's"),
            random_run_event(chance),
        )
    )


def random_commands(chance: Random, count: int) -> list[object]:
    return [
        chance.choice((JobPaused(), JobResumed(), JobRetried(), JobRetried(restart=True), JobDeleted()))
        for _ in range(count)
    ]
