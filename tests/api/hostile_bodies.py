"""Bodies that are made to cost: as large as one may be, or nearly, and wrong as often as there is room for."""

from __future__ import annotations

import json

_LOAD = {"kind": "load", "bucket": "archive", "read_stream": "ORDERS"}

_VALUES: dict[str, tuple[str, object]] = {
    "numbers for subjects": ("/api/v2/jobs", {**_LOAD, "read_subjects": [1] * 500_000}),
    "wrong subjects": ("/api/v2/jobs", {**_LOAD, "read_subjects": ["a b"] * 140_000}),
    "good subjects": ("/api/v2/jobs", {**_LOAD, "read_subjects": ["a.b"] * 140_000}),
    "wrong transforms": ("/api/v2/jobs", {**_LOAD, "subject_transforms": [{}] * 260_000}),
    "transforms with unknown fields": (
        "/api/v2/jobs",
        {**_LOAD, "subject_transforms": [dict.fromkeys(map(str, range(950)), 1)] * 100},
    ),
    "unknown fields": ("/api/v2/jobs", {**_LOAD, **{"x" * 900 + str(at): 1 for at in range(900)}}),
    "headers": ("/api/v2/jobs", {**_LOAD, "read_headers": {f"{at} ": "x" * 900 for at in range(950)}}),
    "a long name": ("/api/v2/jobs", {**_LOAD, "name": "x" * 1_000_000}),
    "a long subject": ("/api/v2/jobs", {**_LOAD, "read_subject": "a." * 500_000}),
    "a long duration": ("/api/v2/jobs", {**_LOAD, "poll_interval": "1s" * 500_000}),
    "a scope": ("/api/v2/tokens", {"name": "x", "role": "read", "scope": {"jobs": [1] * 500_000}}),
    "long scopes": ("/api/v2/tokens", {"name": "x", "role": "read", "scope": {"streams": [""] * 300_000}}),
    "lists in lists": ("/store/job", {"stream": [[{}] * 20] * 12_000}),
}
BODIES: dict[str, tuple[str, bytes]] = {
    "a text that never ends": ("/api/v2/jobs", b'"\\' * (1 << 19)),
    **{what: (path, json.dumps(value, separators=(",", ":")).encode()) for what, (path, value) in _VALUES.items()},
}
"""By what they are: the route they are sent to, and the body."""
