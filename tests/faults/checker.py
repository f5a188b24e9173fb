"""The checker: reads bucket, log and target with decoders of its own and says what is wrong. Imports nothing of the product.

    python -m tests.faults.checker --ledger FILE --postgres URL --endpoint URL --access A --secret S [--job ID]

What is checked, by the names of the design: I1 every acknowledged message is in the recorded chunks exactly once, I2 an
unknown one at most once, I3 order by (life, seq), I4 bytes equal, I5 every row resolves and hashes, I6 what nothing
refers to is counted, I7 the view is the fold of the log, I8 the target is the plan, in order, each once, I9 no load ended
with a gap that it does not tell. I10, that memory and descriptors stay as they are, is judged in held.py, and I11, that all flows
again, the rows wait for.
"""

from __future__ import annotations

import argparse
import re
import sys
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import boto3
import psycopg
from botocore.config import Config
from botocore.exceptions import ClientError
from psycopg.rows import dict_row

from tests.faults import chunk_reader, ledger
from tests.faults.chunk_reader import Message, NotWhole
from tests.faults.ledger import Entry
from tests.faults.plain_nats import Kept

SHOWN = 5
LAG_S = 5.0
"""How far behind the log a view may be when nothing is wrong any more."""
OF_EVENT = ("bucket", "key", "life", "ordinal", "created", "previous_seq", "first", "last", "count", "sha256")


@dataclass
class Verdict:
    """Empty `wrong` means that all held. `counts` say over how much."""

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def need(self, condition: object, what: str) -> None:
        if not condition:
            self.wrong.append(what)

    def none(self, found: Sequence[object], what: str) -> None:
        """`what` names what must not be."""
        if found:
            self.wrong.append(f"{len(found)} {what}: {list(found)[:SHOWN]}")

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return "\n".join(["FAILED" if self.wrong else "holds", *self.wrong, counts])


@dataclass(frozen=True)
class Archived:
    """A message of a recorded chunk; `ordinal` counts the job's lives of the stream."""

    ordinal: int
    life: str
    message: Message

    @property
    def place(self) -> tuple[int, int]:
        return self.ordinal, self.message.seq


@dataclass
class Archive:
    """What is recorded of one store job, read from log and bucket."""

    rows: list[dict[str, Any]]
    messages: list[Archived]
    gaps: list[tuple[str, int, int]]
    lives: list[dict[str, Any]]


class Bucket:
    """An S3 endpoint, by boto3."""

    def __init__(self, endpoint: str, access: str, secret: str, region: str = "us-east-1") -> None:
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            region_name=region,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def get(self, bucket: str, key: str) -> bytes | None:
        try:
            return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404", "NoSuchBucket"}:
                return None
            raise

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=body)

    def delete(self, bucket: str, key: str) -> None:
        self.client.delete_object(Bucket=bucket, Key=key)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def close(self) -> None:
        self.client.close()


class Log:
    """The event log and the view of chunks, by SQL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, query: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self._url, row_factory=dict_row, connect_timeout=10) as connection:
            return connection.execute(query, values or None).fetchall()  # type: ignore[arg-type]

    def events(self, entity: str) -> list[dict[str, Any]]:
        return self.ask(
            "SELECT position, version, fence, type, node, data FROM es.event WHERE entity_id = %s ORDER BY version",
            entity,
        )

    def view(self, job: str) -> list[dict[str, Any]]:
        return self.ask("SELECT * FROM chunks WHERE job_id = %s ORDER BY position", job)


def archive(log: Log, bucket: Bucket, job: str, verdict: Verdict, *, deleted: bool = False) -> Archive:
    """Read all that is recorded of a store job, checking I3, I5, I6 and I7. `deleted`: missing objects are expected."""
    events = log.events(f"run/{job}")
    _numbered(events, verdict)
    flushed = [event for event in events if event["type"] == "chunk_flushed"]
    lives = [event["data"]["opening"] for event in events if event["type"] == "life_opened"]
    gaps = [
        (event["data"]["life"], event["data"]["first"], event["data"]["last"])
        for event in events
        if event["type"] == "gap_observed"
    ]
    found = Archive([event["data"] for event in flushed], [], gaps, lives)
    _view_is_fold(log, job, flushed, verdict)
    tips: dict[str, str] = {}
    ends = {life["uuid"]: life["cursor"] for life in lives}
    for row in found.rows:
        _follows(row, ends, gaps, verdict)
        chunk = _resolved(bucket, row, verdict, deleted=deleted)
        verdict.counts["chunks"] += 1
        before = tips.get(row["life"], row["life"])
        tips[row["life"]] = row["sha256"]
        if chunk is None:
            continue
        verdict.need(chunk.header["previous_sha256"] == before, f"{row['key']}: linked to another chunk")
        found.gaps += [(row["life"], first, last) for first, last in chunk.gaps]
        found.messages += [Archived(row["ordinal"], row["life"], message) for message in chunk.messages]
    verdict.counts["messages"] += len(found.messages)
    places = [each.place for each in found.messages]
    # Chunks of one life follow each other and lives are opened in turn, so this is the order of the log as well.
    verdict.none([p for p, q in pairwise(places) if p >= q], "I3 out of order or twice, after")
    _orphans(bucket, job, events, verdict)
    return found


def _numbered(events: list[dict[str, Any]], verdict: Verdict) -> None:
    verdict.need([e["version"] for e in events] == list(range(1, len(events) + 1)), "versions of a run have holes")
    fences = [e["fence"] for e in events]
    verdict.need(fences == sorted(fences), "an older fence wrote behind a newer one")


def _view_is_fold(log: Log, job: str, flushed: list[dict[str, Any]], verdict: Verdict) -> None:
    """The view may lag, but not long."""
    said = [tuple(event["data"][name] for name in OF_EVENT) for event in flushed]
    end = monotonic() + LAG_S
    while True:
        rows = [row for row in log.view(job) if not flushed or row["position"] <= flushed[-1]["position"]]
        shown = [tuple(row[name] for name in OF_EVENT) for row in rows]
        if said == shown:
            return
        if monotonic() > end:
            verdict.wrong.append(f"I7 the view has {len(shown)} chunks, the log {len(said)}, or they differ")
            return
        sleep(0.1)


def _follows(row: dict[str, Any], ends: dict[str, int], gaps: list[tuple[str, int, int]], verdict: Verdict) -> None:
    """A chunk begins where the one before it in its life ended, but for a gap that is recorded between them."""
    at = ends.get(row["life"])
    verdict.need(at is not None, f"{row['key']}: of a life that was never opened")
    at = at or 0
    while at < row["previous_seq"]:
        gap = next((last for life, first, last in gaps if life == row["life"] and first == at + 1), None)
        if gap is None:
            verdict.wrong.append(f"I3 {row['key']}: goes on after {row['previous_seq']}, its life ended at {at}")
            break
        at = gap
    verdict.need(at <= row["previous_seq"] < row["first"] <= row["last"], f"I3 {row['key']}: overlaps")
    ends[row["life"]] = row["last"]


def _resolved(bucket: Bucket, row: dict[str, Any], verdict: Verdict, *, deleted: bool) -> chunk_reader.Chunk | None:
    body = bucket.get(row["bucket"], row["key"])
    if body is None:
        verdict.need(deleted, f"I5 {row['key']} is not in the bucket")
        return None
    verdict.need(sha256(body).hexdigest() == row["sha256"], f"I5 {row['key']} hashes to something else")
    verdict.need(len(body) == row["stored_bytes"], f"I5 {row['key']} has another length")
    try:
        chunk = chunk_reader.read(body)
    except NotWhole as error:
        verdict.wrong.append(f"I5 {row['key']}: {error}")
        return None
    head = chunk.header
    said = (head["life"]["uuid"], head["previous_seq"], head["first"], head["last"], head["count"])
    verdict.need(
        said == tuple(row[name] for name in ("life", "previous_seq", "first", "last", "count")),
        f"I5 {row['key']} holds {said}, the log says otherwise",
    )
    return chunk


def _orphans(bucket: Bucket, job: str, events: list[dict[str, Any]], verdict: Verdict) -> None:
    """I6: what lies there and no event names may be at most what a crash left; it is counted, not forbidden."""
    flushed = {event["data"]["key"] for event in events if event["type"] == "chunk_flushed"}
    condemned = {key for event in events if event["type"] == "objects_condemned" for key in event["data"]["keys"]}
    verdict.none(sorted(flushed & condemned), "I6 keys are recorded and condemned")
    buckets = {event["data"]["bucket"] for event in events if event["type"] == "chunk_flushed"}
    mine = [key for name in buckets for key in bucket.keys(name) if f"/{job[:8]}/" in key]
    verdict.counts["condemned"] += len(condemned)
    verdict.counts["orphans"] += len(set(mine) - flushed - condemned)


# --- the ledger against the archive


def stored(
    entries: Sequence[Entry], found: Archive, verdict: Verdict, lost: Callable[[Entry], bool] = lambda _: False
) -> None:
    """I1, I2, I4. `lost` says which acknowledged messages the stream itself lost, which must then be recorded gaps."""
    have = Counter((m.message.subject, m.message.header, m.message.payload) for m in found.messages)
    seqs = {(m.message.seq, m.message.subject, m.message.header, m.message.payload) for m in found.messages}
    missing, twice, moved = [], [], []
    for entry in entries:
        count = have.pop(entry.raw, 0)
        if entry.seq is not None and count == 0:
            if not (lost(entry) and any(first <= entry.seq <= last for _, first, last in found.gaps)):
                missing.append((entry.n, entry.seq))
        elif count > 1:
            twice.append((entry.n, entry.seq, count))
        elif entry.seq is not None and (entry.seq, *entry.raw) not in seqs:
            moved.append((entry.n, entry.seq))
    verdict.counts["acknowledged"] += sum(entry.seq is not None for entry in entries)
    verdict.counts["unknown"] += sum(entry.seq is None for entry in entries)
    verdict.none(missing, "I1 acknowledged messages are not archived")
    verdict.none(twice, "I1/I2 messages are archived more than once")
    verdict.none(moved, "I4 messages are archived under another seq")
    verdict.none([repr(raw)[:200] for raw in have], "I4 archived messages were never published so")


def as_in_stream(kept: Iterable[Kept], found: Archive, verdict: Verdict, ordinal: int = 1) -> None:
    """I4 with times: what the stream shows is what is archived, in this life."""
    by_seq = {m.message.seq: m.message for m in found.messages if m.ordinal == ordinal}
    wrong = [
        (k.seq, by_seq.get(k.seq))
        for k in kept
        if by_seq.get(k.seq) != Message(k.seq, k.time, k.subject, k.header, k.payload)
    ]
    verdict.none(wrong, "I4 messages of the stream are archived otherwise")


# --- the target of a load

ADDED = re.compile(rb"(?<=\r\n)(?:Nats-Msg-Id:|Nats-Expected-|Nats-Batch-|Nats3-(?!Orig-))[^\r\n]*\r\n")
CARRIED = re.compile(rb"(?<=\r\n)Nats3-Header-Block: ([^\r\n]*)\r\n")
EMPTY = b"NATS/1.0\r\n\r\n"


def given_back(block: bytes | None) -> bytes | None:
    """What the archived header block was, by the rule of what equal means."""
    if block is None:
        return None
    carried = CARRIED.search(block)
    if carried:
        return b64decode(carried[1], validate=True)
    rest = ADDED.sub(b"", block).replace(b"\r\nNats3-Orig-", b"\r\nNats-")
    # A message without a block gets one that holds our lines alone.
    return None if rest == EMPTY and block != EMPTY else rest


Raw = tuple[bytes, bytes | None, bytes]


def loaded(
    planned: Sequence[Raw],
    target: Sequence[Kept],
    verdict: Verdict,
    write_subject: bytes | None = None,
    *,
    displaced: int = 0,
) -> None:
    """I8: the target holds exactly what was planned, each once, and in order but for so many that the log says are displaced."""
    want, have = _as_archived(planned, target, verdict, write_subject)
    if want == have:
        return
    wanted, found = Counter(want), Counter(have)
    verdict.none([repr(raw)[:160] for raw in (wanted - found)], "I8 messages are missing in the target")
    verdict.none([repr(raw)[:160] for raw in (found - wanted)], "I8 messages are in the target too often, or altered")
    if wanted == found and _out_of_order(want, have) > displaced:
        at = next(at for at, (a, b) in enumerate(zip(want, have, strict=True)) if a != b)
        verdict.wrong.append(f"I8 the order differs from place {at} on: {repr(have[at])[:160]}")


def _out_of_order(want: Sequence[Raw], have: Sequence[Raw]) -> int:
    """How many stand before one that should be before them."""
    place = {raw: at for at, raw in enumerate(want)}
    count, least = 0, len(want)
    for raw in reversed(have):
        count += place[raw] > least
        least = min(least, place[raw])
    return count


def loaded_at_least_once(
    planned: Sequence[Raw], target: Sequence[Kept], verdict: Verdict, write_subject: bytes | None = None
) -> None:
    """I8 where copies are allowed: all that was planned is there, its first copies in order, and nothing else."""
    want, have = _as_archived(planned, target, verdict, write_subject)
    verdict.need(list(dict.fromkeys(have)) == want, "I8 first copies in the target are not the plan")


def _as_archived(
    planned: Sequence[Raw], target: Sequence[Kept], verdict: Verdict, write_subject: bytes | None
) -> tuple[list[Raw], list[Raw]]:
    """What the target should hold, and what it holds without what a load adds."""
    want = [(write_subject or subject, header, payload) for subject, header, payload in planned]
    have = [(kept.subject, given_back(kept.header), kept.payload) for kept in target]
    verdict.counts["planned"] += len(want)
    verdict.counts["published"] += len(have)
    return want, have


def ended(events: Sequence[dict[str, Any]], published: int, verdict: Verdict) -> None:
    """I9: a load whose run says that it is complete says how many it published, and owns up to what it passed over."""
    skipped = sum(event["data"]["count"] for event in events if event["type"] == "chunk_skipped")
    for said in (event["data"] for event in events if event["type"] == "load_completed"):
        verdict.need(
            said["skipped"] == skipped, f"I9 {skipped} messages were passed over, the end says {said['skipped']}"
        )
        verdict.need(
            said["messages"] == published, f"I9 {published} messages are in the target, the end says {said['messages']}"
        )


def plan_of(found: Archive, keep: Callable[[Message], bool] = lambda _: True) -> list[Raw]:
    """What a load of this job's archive must publish."""
    return [(m.message.subject, m.message.header, m.message.payload) for m in found.messages if keep(m.message)]


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("ledger", "postgres", "endpoint", "access", "secret"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--job", required=True)
    given = parser.parse_args()
    verdict = Verdict()
    found = archive(Log(given.postgres), Bucket(given.endpoint, given.access, given.secret), given.job, verdict)
    stored(ledger.read(Path(given.ledger)), found, verdict)
    print(verdict)
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
