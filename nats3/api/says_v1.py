"""What the routes outside of versions and those of version 1 take and answer."""

from __future__ import annotations

from typing import Any

from nats3.api.shapes_v1 import Alive, LoadJob1, MadeLoadJob1, MadeStoreJob1, NotReady, StoreJob1
from nats3.api.spec import JSON, TEXT, Answer, Parameter, Says, Schema, Takes, json_answer, text
from nats3.api.v1_orders import LoadV1, StoreV1
from nats3.job.order import Kind

_ID = "24ce1555-b937-4321-9fa2-5e853a833690"
_TIMES = {"created": "2026-02-26T00:32:20.123456Z", "updated": "2026-02-26T00:32:21.123456Z"}
_STORE_ORDER: dict[str, Any] = {
    "name": "orders",
    "stream": "ORDERS",
    "subject": "orders.>",
    "bucket": "archive",
    "batch": {"max_bytes": 1_000_000, "max_count": 1000},
    "encoding": {"codec": "Binary"},
}
_LOAD_ORDER: dict[str, Any] = {
    "name": "orders again",
    "bucket": "archive",
    "read_stream": "ORDERS",
    "read_subject": "orders.>",
    "write_subject": "replayed",
    "delete_chunks": False,
}
_STORE_JOB: dict[str, Any] = {
    "id": _ID,
    "name": "orders",
    "status": "Running",
    "stream": "ORDERS",
    "consumer": None,
    "subject": "orders.>",
    "bucket": "archive",
    "prefix": None,
    "batch": {"max_bytes": 1_000_000, "max_count": 1000},
    "encoding": {"codec": "Binary"},
    **_TIMES,
}
_LOAD_JOB: dict[str, Any] = {
    "id": _ID,
    "name": "orders again",
    "status": "Success",
    "bucket": "archive",
    "prefix": None,
    "read_stream": "ORDERS",
    "read_consumer": None,
    "read_subject": "orders.>",
    "poll_interval": None,
    "write_subject": "replayed",
    "delete_chunks": False,
    "from_time": None,
    "to_time": None,
    **_TIMES,
}
_JOB: dict[Kind, Schema] = {"store": StoreJob1, "load": LoadJob1}
_MADE: dict[Kind, Schema] = {"store": MadeStoreJob1, "load": MadeLoadJob1}
_EXAMPLE: dict[Kind, Any] = {"store": _STORE_JOB, "load": _LOAD_JOB}
_TAKES = {
    "store": Takes(
        StoreV1,
        {"whole": _STORE_ORDER, "least": {key: _STORE_ORDER[key] for key in ("stream", "subject", "bucket")}},
    ),
    "load": Takes(
        LoadV1,
        {
            "whole": {**_LOAD_ORDER, "poll_interval": "5m", "from_time": "2026-01-01T00:00:00Z"},
            "least": {key: _LOAD_ORDER[key] for key in ("bucket", "read_stream", "read_subject", "write_subject")},
        },
    ),
}
_JOB_ID = Parameter("job_id", "Id of the job.", {"type": "string", "format": "uuid", "examples": [_ID]}, required=True)

PING = Says((Answer(200, "It answers.", {TEXT: {"type": "string", "const": "pong"}}),))
HEALTH = Says((json_answer(200, "It is alive.", Alive),))
READY = Says(
    (
        Answer(200, "NATS, Postgres and S3 answer.", {TEXT: {"type": "string", "const": "ready"}}),
        json_answer(503, "Something does not answer.", NotReady, "Retry-After"),
    ),
)
METRICS = Says(
    (
        Answer(
            200,
            "What it counts, as Prometheus reads it.",
            {TEXT: {"type": "string"}, "application/openmetrics-text": {"type": "string"}},
        ),
    ),
)
OPENAPI = Says((json_answer(200, "This document.", {"type": "object"}),))
DOCS = Says((Answer(200, "A page without script.", {"text/html": {"type": "string"}}),))
STYLE = Says((Answer(200, "A style sheet.", {"text/css": {"type": "string"}}),))


def create(kind: Kind) -> Says:
    answer = json_answer(200, "The job.", _MADE[kind], example={**_EXAMPLE[kind], "status": "Created"})
    return Says((answer,), takes=_TAKES[kind], refuses=(400, 408, 415, 422, 503))


def one(kind: Kind) -> Says:
    answer = json_answer(200, "The job.", _JOB[kind], example=_EXAMPLE[kind])
    return Says((answer,), (_JOB_ID,), refuses=(400, 404, 503))


def steer(kind: Kind) -> Says:
    answer = json_answer(200, "The job. What already is changes nothing.", _JOB[kind], example=_EXAMPLE[kind])
    return Says((answer,), (_JOB_ID,), refuses=(400, 404, 409, 503))


def delete() -> Says:
    return Says((Answer(200, "It is gone.", {}),), (_JOB_ID,), refuses=(400, 404, 409, 503))


def every(kind: Kind) -> Says:
    query = (
        text("Only of this name.", "name"),
        text("Only of this stream.", "stream"),
        text("The same, in the words of a load.", "read_stream"),
        text("Only of this bucket.", "bucket"),
        text("Only in this status: Created, Running, Paused, Success or Failure.", "status"),
    )
    items = Answer(200, "All jobs, newest first.", {JSON: {"array of": _JOB[kind]}}, example=[_EXAMPLE[kind]])
    return Says((items,), query, refuses=(422, 503))
