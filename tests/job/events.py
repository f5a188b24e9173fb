"""One of every event, no field left at its default: what the golden files hold for ever."""

from __future__ import annotations

from dataclasses import replace

from nats3.job.gaps import PossibleGap
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
from nats3.job.order import ChunkLimits, LoadOrder, StoreOrder, SubjectTransform
from nats3.job.ordering import JobChanged, JobCreated, JobDeleted, JobPaused, JobResumed, JobRetried
from nats3.job.running import (
    RunActivated,
    RunBlocked,
    RunDegraded,
    RunFailed,
    RunPaused,
    RunRecovered,
    RunStopped,
)
from nats3.job.storing import (
    ChunkFlushed,
    ConsumersForgotten,
    GapObserved,
    LifeContinued,
    LifeOpened,
    ObjectsCondemned,
    ObjectsSwept,
)
from nats3.job.surveying import (
    Finding,
    SurveyAsked,
    SurveyCancelled,
    WalkBegun,
    WalkEnded,
    WalkFound,
    WalkProgressed,
    WalkWaits,
)
from nats3.life import Opening
from nats3.pace import PaceLimits

TIME = 1_763_900_000_123_456_789
JOB = "0b1c2d3e-4f50-4617-8829-3a4b5c6d7e8f"
LIFE = "11112222-3333-4444-8555-666677778888"
PARENT = "99990000-aaaa-4bbb-8ccc-ddddeeeeffff"

OLD_STORE = StoreOrder(
    name="orders",
    stream="ORDERS",
    subject="orders.*.>",
    bucket="archive",
    prefix="cold/ünïcode",
    consumer="mine",
    limits=ChunkLimits(2048, 77, 2.5),
    codec="json",
    level=7,
    drain=True,
)
STORE = replace(OLD_STORE, bucket="cold:archive", nats="hub")
OLD_LOAD = LoadOrder(
    name="again",
    bucket="archive",
    read_stream="ORDERS",
    read_subject="orders.eu.>",
    write_subject="replayed",
    prefix="cold",
    read_consumer="mine",
    poll_interval_s=1.5,
    delete_chunks=True,
    from_time=TIME,
    to_time=TIME + 1,
    from_seq=3,
    to_seq=9_007_199_254_740_993,
    limit=5,
    headers="verbatim",
    mode="exclusive",
    on_bad_chunk="quarantine",
)
LOAD_2 = replace(
    OLD_LOAD,
    read_subjects=("orders.eu.*", "orders.us.>"),
    read_headers=(("Region", "eu"), ("Kind", "order: new")),
    subject_transforms=(
        SubjectTransform("orders.*.*", "again.{{wildcard(2)}}.$1"),
        SubjectTransform("orders.>", "rest.>"),
    ),
    unmatched_subjects="refuse",
    pace=PaceLimits(100.5, 1e6, 2.0, 3.5),
)
LOAD_3 = replace(LOAD_2, bucket="cold:archive", nats="hub")
LOAD = replace(LOAD_3, strict_order=True)
OLD_RANGE = PlannedRange(1, JOB, LIFE, TIME, 1, 9_007_199_254_740_993)
RANGE = replace(OLD_RANGE, first_time=TIME - 2, last_time=TIME - 1)
OPENING = Opening(2, LIFE, TIME, PARENT, 41, 40, 42, ((43, "ab" * 32), (44, "cd" * 32)), "ef" * 32)
CHUNK = ChunkFlushed(
    bucket="archive",
    key="cold/n3v1/ORDERS/1763900000123456789/0001/0b1c2d3e/2025-11-23/1-9-7-0123456789abcdef-1-1.n3c",
    codec="binary",
    stream="ORDERS",
    subject="orders.>",
    consumer="mine",
    prefix="cold",
    life=LIFE,
    ordinal=2,
    created=TIME,
    previous_seq=42,
    first=45,
    last=60,
    count=14,
    first_time=TIME + 2,
    last_time=TIME + 3,
    raw_bytes=1400,
    stored_bytes=140,
    sha256="01" * 32,
    content_sha256="23" * 32,
    previous_sha256="45" * 32,
    last_fingerprint="67" * 32,
    sealed_by="age",
    gaps=((50, 50), (55, 55)),
    gap_count=2,
    adopted_from="3-1",
)

EVENTS: dict[str, object] = {
    "job_created.store": JobCreated("store", STORE, 1),
    "job_created.load": JobCreated("load", LOAD, 1),
    "job_changed.store": JobChanged(STORE),
    "job_changed.load": JobChanged(LOAD),
    "job_paused": JobPaused("maintenance"),
    "job_resumed": JobResumed("done"),
    "job_retried": JobRetried(restart=True),
    "job_deleted": JobDeleted("no longer needed"),
    "run_activated": RunActivated(3, "node-a"),
    "run_degraded": RunDegraded("s3", "503 Slow Down"),
    "run_recovered": RunRecovered("s3"),
    "run_blocked": RunBlocked("bucket_missing", "bucket archive does not exist"),
    "run_paused": RunPaused(),
    "run_stopped": RunStopped("shutdown"),
    "run_failed": RunFailed("KeyError: 'x'", "KeyError"),
    "life_opened": LifeOpened(OPENING, "rolled_back", '{"name":"ORDERS"}'),
    "life_continued": LifeContinued(TIME + 9),
    "gap_observed": GapObserved(LIFE, 61, 70, "purged"),
    "possible_gap": PossibleGap(LIFE, 71, 90),
    "chunk_flushed": CHUNK,
    "objects_condemned": ObjectsCondemned("archive", ("a", "b"), "unlinked"),
    "objects_swept": ObjectsSwept("archive", ("a", "b")),
    "consumers_forgotten": ConsumersForgotten("ORDERS"),
    "survey_asked": SurveyAsked("verify", "archive", "cold", JOB, deep=True),
    "survey_cancelled": SurveyCancelled("enough"),
    "walk_begun": WalkBegun(7, "node-a"),
    "walk_waits": WalkWaits("s3: no answer within 3 s"),
    "walk_found": WalkFound(
        (Finding("missing", "archive", "k", JOB, 1, 9, "it is gone"), Finding("hole", "archive", "l"))
    ),
    "walk_progressed": WalkProgressed("chunks", "4711", 10, 20, {"bytes": 5}),
    "walk_ended": WalkEnded("failed", {"bytes": 9}, "the bucket is gone"),
    "load_planned": LoadPlanned((RANGE,), 99, 3, 30, 2, 3),
    "load_extended": LoadExtended((RANGE, RANGE), 120, 1, 10),
    "target_bound": TargetBound("COPY", TIME, 12, "atomic"),
    "load_progressed": LoadProgressed(1, 45, 30, 2, 42, 3000),
    "messages_displaced": MessagesDisplaced((DisplacedRange(1, 40, 44, 5), DisplacedRange(2, 3, 9, 4)), 9, 47),
    "chunk_loaded": ChunkLoaded("archive", "k", 10),
    "chunk_skipped": ChunkSkipped("k", 1, 9, 7, "corrupt"),
    "chunk_delete_requested": ChunkDeleteRequested("archive", "k", b"what was in it"),
    "chunk_deleted": ChunkDeleted("archive", "k"),
    "load_completed": LoadCompleted(28, 2),
}
"""By the name of its newest golden file, which begins with the event's type."""

OLDER = {
    "chunk_delete_requested.v1": ChunkDeleteRequested("archive", "k"),
    "job_changed.load.v1": JobChanged(OLD_LOAD),
    "job_changed.load.v2": JobChanged(LOAD_2),
    "job_changed.load.v3": JobChanged(LOAD_3),
    "job_changed.store.v1": JobChanged(OLD_STORE),
    "job_changed.store.v2": JobChanged(OLD_STORE),
    "job_changed.store.v3": JobChanged(STORE),
    "job_created.load.v1": JobCreated("load", OLD_LOAD, 1),
    "job_created.load.v2": JobCreated("load", LOAD_2, 1),
    "job_created.load.v3": JobCreated("load", LOAD_3, 1),
    "job_created.store.v1": JobCreated("store", OLD_STORE, 1),
    "job_created.store.v2": JobCreated("store", OLD_STORE, 1),
    "job_created.store.v3": JobCreated("store", STORE, 1),
    "load_extended.v1": LoadExtended((OLD_RANGE, OLD_RANGE), 120, 1, 10),
    "load_extended.v2": LoadExtended((OLD_RANGE, OLD_RANGE), 120, 1, 10),
    "load_planned.v1": LoadPlanned((OLD_RANGE,), 99, 3, 30, 2, 3),
    "load_planned.v2": LoadPlanned((OLD_RANGE,), 99, 3, 30, 2, 3),
    "run_failed.v1": RunFailed("KeyError: 'x'", "KeyError"),
}
"""What golden files of older schema versions are read as."""
