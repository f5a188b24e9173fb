"""What the routes of version 2 take and answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nats3.api.shapes_load import Count, Plan
from nats3.api.shapes_log import (
    Entity,
    Event,
    NodeAnswer,
    OperationAnswer,
    PartitionAnswer,
    Projection,
    Returned,
    SegmentAnswer,
    Skipped,
)
from nats3.api.shapes_v2 import (
    Chunk,
    Coverage,
    DryRun,
    LoadJob,
    MessageAnswer,
    RunAnswer,
    StoreJob,
    StreamAnswer,
    Verdict,
)
from nats3.api.spec import (
    AS_OF,
    IDEMPOTENCY,
    IF_MATCH,
    JSON,
    LAST_EVENT_ID,
    LIMIT,
    MIN_POSITION,
    NDJSON,
    SSE,
    Answer,
    Parameter,
    Says,
    Schema,
    Takes,
    flag,
    json_answer,
    number,
    text,
)
from nats3.api.v2_changes import ChangeLoadV2, ChangeStoreV2
from nats3.api.v2_jobs import CancelV2, RetryV2
from nats3.api.v2_orders import LoadV2, StoreV2
from nats3.api.v2_questions import ENTITIES, ENTITIES_SAID
from nats3.api.v2_system import SkipV2
from nats3.job.states import State

JOB: Schema = {"one of": (StoreJob, LoadJob)}
ORDER: Schema = {"one of": (StoreV2, LoadV2)}
_STORE = {"kind": "store", "stream": "ORDERS", "bucket": "archive"}
_LOAD = {"kind": "load", "bucket": "archive", "read_stream": "ORDERS"}
_ORDERS: dict[str, Any] = {
    "store": _STORE,
    "store, every field": {
        **_STORE,
        "subject": "orders.>",
        "name": "orders",
        "prefix": "cold",
        "consumer": None,
        "limits": {"max_bytes": 20_000_000, "max_count": 10_000, "max_age": "10s"},
        "codec": "binary",
        "level": 3,
        "drain": False,
    },
    "load": _LOAD,
    "load, a part at a pace": {
        **_LOAD,
        "read_subjects": ["orders.eu.>", "orders.us.>"],
        "read_headers": {"Kind": "paid"},
        "limit": 1000,
        "subject_transforms": [{"src": "orders.*.>", "dest": "replay.{{wildcard(1)}}.>"}],
        "unmatched_subjects": "refuse",
        "pace": {"messages_per_s": 100},
    },
    "load, to another subject": {
        **_LOAD,
        "read_subject": "orders.*.paid",
        "write_subject": "replayed",
        "from_time": "2026-01-01T00:00:00Z",
        "mode": "dedupe",
    },
}
_STATES = ", ".join(state.value for state in State)


def page(what: str, item: Schema) -> Answer:
    return Answer(200, what, {JSON: {"page of": item}}, ("Link",))


def listed(what: str, item: Schema, *query: Parameter, refuses: Sequence[int] = ()) -> Says:
    """A list in pages."""
    return Says((page(what, item),), (*query, LIMIT), refuses=tuple(refuses))


_DELETED = Parameter(
    "deleted", "Those that were deleted by order: without them, alone, or both.", {"enum": ["true", "false", "any"]}
)
_AFTER = number("Go on behind this position.", "after")
_FILTERS = (
    text(f"Only of this entity: {ENTITIES_SAID}.", "entity"),
    text("Only of entities of this kind.", "category", enum=[*ENTITIES]),
    text("Only of these types, by commas or repeated.", "type"),
    text("Only written by this node.", "node", format="uuid"),
    text("Only done by this one.", "actor"),
    text("Only what came of this request.", "correlation", format="uuid"),
    text("From this time on (RFC 3339).", "since", format="date-time"),
    text("Before this time (RFC 3339).", "until", format="date-time"),
)
_A_JOB = json_answer(200, "The job.", JOB, "ETag")

JOBS_CREATE = Says(
    (
        json_answer(201, "The job.", JOB, "ETag", "Location"),
        json_answer(200, "What would be ordered; with dry_run=true nothing is recorded.", DryRun),
    ),
    (flag("Record nothing: say what would be ordered, and what a load would read.", "dry_run"),),
    takes=Takes(ORDER, _ORDERS),
    refuses=(409,),
    headers=(IDEMPOTENCY,),
)
JOBS_PLAN = Says(
    (json_answer(200, "What it would publish. Nothing is recorded.", Count),),
    (
        number(
            "Bytes of objects that may be read for it; what they do not reach is an upper bound.",
            "most_read",
            0,
            1 << 30,
        ),
    ),
    takes=Takes(LoadV2, {name: order for name, order in _ORDERS.items() if name.startswith("load")}),
)
JOBS_LIST = listed(
    "Jobs, newest first.",
    JOB,
    text("Only of this kind.", "kind", enum=["store", "load"]),
    text(f"Only in one of these states, by commas or repeated: {_STATES}.", "state"),
    text("Only of this name.", "name"),
    text("Only of this stream.", "stream"),
    text("Only of this bucket.", "bucket"),
    number("Go on before the job that was created at this position.", "before"),
    MIN_POSITION,
)
JOB_GET = Says((_A_JOB,), (MIN_POSITION,))
JOB_DELETE = Says((Answer(204, "It is gone.", {}),), refuses=(409, 412), headers=(IF_MATCH,))
JOB_STEER = Says((_A_JOB,), refuses=(409, 412), headers=(IF_MATCH, IDEMPOTENCY))
JOB_CHANGE = Says(
    (_A_JOB,),
    takes=Takes(
        {"any of": (ChangeStoreV2, ChangeLoadV2)},
        {
            "larger chunks": {"limits": {"max_count": 10_000}},
            "go on without bad chunks": {"on_bad_chunk": "quarantine"},
        },
    ),
    refuses=(409, 412),
    headers=(IF_MATCH,),
)
JOB_CANCEL = Says(
    (Answer(204, "It is gone.", {}),),
    takes=Takes(CancelV2, {"with a reason": {"reason": "ordered by mistake"}}, optional=True),
    refuses=(409, 412),
    headers=(IF_MATCH, IDEMPOTENCY),
)
JOB_RETRY = Says(
    (_A_JOB,),
    takes=Takes(RetryV2, {"from the start, under new message ids": {"restart": True}}, optional=True),
    refuses=(409, 412),
    headers=(IF_MATCH, IDEMPOTENCY),
)
JOB_CHUNKS = listed("The chunks that it made.", Chunk, _DELETED, _AFTER, MIN_POSITION)
JOB_COVERAGE = Says(
    (json_answer(200, "What of its stream is archived, and what is not.", Coverage, "Link"),),
    (_AFTER, number("Go on behind this seq of that position.", "after_seq"), LIMIT, MIN_POSITION),
)
JOB_EVENTS = listed("What was ordered of it and what happened to it.", Event, _AFTER, AS_OF, MIN_POSITION)
CHUNKS_LIST = listed(
    "Chunks in the order of the log.",
    Chunk,
    text("Only made by this job.", "job_id", format="uuid"),
    text("Only in this bucket.", "bucket"),
    text("Only of this stream.", "stream"),
    _DELETED,
    _AFTER,
    MIN_POSITION,
)
CHUNK_GET = Says((json_answer(200, "The chunk.", Chunk),), (MIN_POSITION,))
CHUNK_VERIFY = Says((json_answer(200, "Whether the object is whole.", Verdict),), refuses=(409, 410))
CHUNK_MESSAGES = listed(
    "Messages in the order of their seqs, bytes in base64.",
    MessageAnswer,
    number("Only the one with this seq.", "seq"),
    text("From this time on (RFC 3339).", "from", format="date-time"),
    text("Before this time (RFC 3339).", "to", format="date-time"),
    text("Only on subjects that this filter takes.", "subject"),
    number("Go on behind this seq.", "after"),
    MIN_POSITION,
    refuses=(409, 410),
)
JOB_RUNS = listed("Its runs, oldest first.", RunAnswer, number("Go on behind this run.", "after"), MIN_POSITION)
JOB_PLAN = Says(
    (json_answer(200, "What it reads; subjects are chosen later, message by message.", Plan),), (MIN_POSITION,)
)
_AFTER_NAME = text("Go on behind this one.", "after")
_NATS = text("Of this connection to NATS; main by default.", "nats")
STREAMS_LIST = listed("Streams by name.", StreamAnswer, _NATS, _AFTER_NAME, MIN_POSITION)
STREAM_GET = Says((json_answer(200, "The stream.", StreamAnswer),), (_NATS, MIN_POSITION))
EVENTS_LIST = Says(
    (
        Answer(
            200,
            "A page; with format=ndjson all of the log that is left, one event a line; with follow=true events as they happen.",
            {JSON: {"page of": Event}, NDJSON: {"type": "string"}, SSE: {"events of": Event}},
            ("Link",),
        ),
    ),
    (
        *_FILTERS,
        _AFTER,
        number("Newest first, before this position.", "before"),
        text("Oldest first (asc) or newest first (desc).", "order", enum=["asc", "desc"]),
        flag("Events as they happen.", "follow"),
        text("A page, or the whole rest.", "format", enum=["json", "ndjson"]),
        LIMIT,
        MIN_POSITION,
    ),
    refuses=(429,),
    headers=(LAST_EVENT_ID,),
)
EVENTS_VERIFY = Says(
    (Answer(200, "How far it is, a line each; the last one is the verdict.", {NDJSON: {"type": "string"}}),),
    refuses=(429,),
)
PARTITIONS_LIST = Says((page("Every partition, oldest first.", PartitionAnswer),))
SEGMENTS_LIST = listed("Segments in the order of the log.", SegmentAnswer, _AFTER)
SEGMENTS_VERIFY = Says(
    (Answer(200, "A line for each segment; the last one is the verdict.", {NDJSON: {"type": "string"}}),),
    refuses=(429,),
)
EVENT_GET = Says((json_answer(200, "The event.", Event),))
ENTITY_GET = Says((json_answer(200, "The entity.", Entity),), (AS_OF, MIN_POSITION))
PROJECTIONS_LIST = listed("Every version of every view.", Projection, _AFTER_NAME)
PROJECTION_GET = Says((json_answer(200, "The version that readers see.", Projection),))
PROJECTION_SKIP = Says(
    (json_answer(202, "It is recorded; the view goes on.", Skipped),),
    refuses=(409,),
    takes=Takes(SkipV2, {"an event that cannot be folded": {"position": 4711, "reason": "issue 12"}}),
)
PROJECTION_WORK = Says(
    (json_answer(202, "It is under way.", OperationAnswer, "Location"),), refuses=(409,), headers=(IDEMPOTENCY,)
)
PROJECTION_RETURN = Says((json_answer(200, "Readers see the version before.", Returned),), refuses=(409,))
OPERATIONS_LIST = listed(
    "What was asked of the view, newest first.", OperationAnswer, number("Go on before this one.", "before")
)
OPERATION_GET = Says((json_answer(200, "How far it is.", OperationAnswer),))
NODES_LIST = listed("Nodes, oldest first.", NodeAnswer, _AFTER_NAME)
