"""Whatever comes in, what goes out is an answer that version and route have a word for: never 500."""

from __future__ import annotations

import json
from random import Random
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from nats3.api.routes import ROUTES
from nats3.api.words import format_ns, parse_time
from tests.api.conftest import Api

REQUESTS = 1500
EXPECTED = {200, 201, 202, 204, 303, 400, 404, 405, 409, 412, 413, 415, 421, 422}

NASTY: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**39, 1.5, -0.0, 1e308, "", " ", "a", "a.b", "*", ">", "a.>",
    "$JS.API.x", "_INBOX.x", "x\r\nPUB y 1\r\n", "\t", "\u202e", "é" * 300, "x" * 5000, "../..", "a//b", "%00", "'; DROP", [],
    {}, [[]], {"secs": 1}, {"secs": -1, "nanos": 10**12}, {"codec": "Json"}, {"max_bytes": 0, "max_count": 0}, "5m", "1e9y",
    "99999999999999999999d", "2024-01-01T00:00:00Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59.999999999-23:59",
    "2024-02-30T00:00:00Z", "binary", "store", "load", "safe", "auto", "halt",
)  # fmt: skip
FIELDS = (
    "kind", "name", "stream", "subject", "bucket", "consumer", "prefix", "batch", "encoding", "limits", "codec", "level",
    "drain", "read_stream", "read_subject", "read_consumer", "write_subject", "poll_interval", "delete_chunks", "from_time",
    "to_time", "from_seq", "to_seq", "limit", "headers", "mode", "on_bad_chunk", "restart", "position", "reason", "unknown",
)  # fmt: skip
PARAMETERS = (
    "job_id", "limit", "before", "after", "after_seq", "min_position", "state", "status", "kind", "name", "stream", "bucket",
    "entity", "category", "type", "node", "actor", "correlation", "since", "until", "order", "format", "deleted", "as_of",
)  # fmt: skip
HEADERS = ("If-Match", "Idempotency-Key", "X-Request-Id", "Last-Event-ID", "Accept", "Content-Type")
VALUES: tuple[str | bytes, ...] = (
    "",
    "*",
    '"1"',
    "x",
    "1",
    "-1",
    "9" * 30,
    "application/json",
    "text/plain",
    "a,b",
    ";;;",
    b"\xc3\xbc\xff",
)


def body(chance: Random) -> bytes:
    whole = {"kind": chance.choice(("store", "load")), "stream": "jobs", "subject": "a", "bucket": "bucket-1"}
    whole |= {"read_stream": "jobs", "read_subject": "a", "write_subject": "b"}
    kept = {name: value for name, value in whole.items() if chance.random() < 0.9}
    kept |= {chance.choice(FIELDS): chance.choice(NASTY) for _ in range(chance.randrange(4))}
    text = json.dumps(kept).encode()
    if chance.random() < 0.15:
        place = chance.randrange(len(text))
        text = text[:place] + chance.randbytes(chance.randrange(4)) + text[place + chance.randrange(3) :]
    return text


def address(chance: Random, path: str, jobs: list[str]) -> str:
    def value() -> str:
        return str(chance.choice((*NASTY[:60], *jobs, uuid4(), chance.randrange(100), "2024-01-01T00:00:00Z")))

    for name in ("{id}", "{id:path}", "{position}", "{name}"):
        path = path.replace(name, quote(value(), safe="/" if "path" in name else ""))
    query = "&".join(
        f"{chance.choice(PARAMETERS)}={quote(value(), safe='')}" for _ in range(chance.choice((0, 0, 1, 1, 2)))
    )
    return f"{path}?{query}" if query else path


async def test_no_input_is_answered_with_a_fault_of_ours(api: Api) -> None:
    seed = 20_261_123
    chance = Random(seed)
    jobs: list[str] = []
    for turn in range(REQUESTS):
        entry = chance.choice(ROUTES)
        method = entry.method if chance.random() < 0.95 else chance.choice(("GET", "PUT", "HEAD", "OPTIONS", "PATCH"))
        path = address(chance, entry.path, jobs)
        headers: dict[str, Any] = {"Content-Type": "application/json"} if chance.random() < 0.95 else {}
        if chance.random() < 0.2:
            headers[chance.choice(HEADERS)] = chance.choice(VALUES)
        content = body(chance) if method == "POST" else None
        answer = await api.client.request(method, path, content=content, headers=headers)
        assert answer.status_code in EXPECTED, (seed, turn, method, path, content, headers, answer.text)
        assert "Traceback" not in answer.text
        if answer.status_code in (200, 201) and entry.path.endswith(("/job", "/jobs")) and method == "POST":
            jobs.append(str(UUID(answer.json()["id"])))
    assert len(jobs) > 10, "some orders are good"


def test_a_year_has_four_digits_also_in_the_middle_ages() -> None:
    assert format_ns(parse_time("from_time", "0713-05-28T12:25:17Z")) == "0713-05-28T12:25:17.000000Z"
