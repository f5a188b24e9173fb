"""The 72 rows of the fault matrix: what each is, and why one that no row here plays is not there yet."""

from __future__ import annotations

from collections.abc import Mapping

from tests.faults.registry import ROWS

MATRIX = {
    "F01": "kill -9 after receive",
    "F02": "kill -9 after seal / encode",
    "F03": "kill -9 mid PUT",
    "F04": "kill -9 after PUT",
    "F05": "kill -9 between INSERT and COMMIT",
    "F06": "COMMIT applied, reply lost",
    "F07": "kill -9 after append, before ack",
    "F08": "kill -9 after ack write",
    "F09": "ack lost on the wire",
    "F10": "kill -9 in load before / between / after batch commit",
    "F11": "PubAck lost",
    "F12": "SIGTERM under load, twice",
    "F13": "OOM kill",
    "F14": "nats-server SIGKILL + restart",
    "F15": "nats-server SIGSTOP",
    "F16": "NATS power loss: an older copy of its store",
    "F17": "consumer state newer than stream",
    "F18": "stream deleted and recreated, same name",
    "F19": "stream purged / message deleted / expired",
    "F20": "consumer deleted, edited, reset, pulled or acknowledged by a stranger",
    "F21": "stream config changed mid job: subjects, limits, retention; max_msgs under a slow reader, KV history 1",
    "F22": "mirror source, mirror promotion",
    "F23": "JetStream disk full",
    "F24": "3-node NATS cluster leader kill",
    "F25": "slow consumer: node 100x slower than producer",
    "F26": "dropped deliveries",
    "F27": "reordered / duplicated frames",
    "F28": "partition NATS, S3, PG each",
    "F29": "half-open TCP",
    "F30": "latency 2 s, bandwidth 256 kbit",
    "F31": "PG restart fast / immediate / SIGKILL",
    "F32": "PG failover with lost commits",
    "F33": "PG read-only / recovery node",
    "F34": "PG disk full",
    "F35": "PG connections exhausted, pg_terminate_backend loop",
    "F36": "PG deadlock / serialization / statement timeout",
    "F37": "S3 500, 503 SlowDown, 429 at 30 %",
    "F38": "S3 PUT applied, then timeout/RST",
    "F39": "S3 409 ConditionalRequestConflict",
    "F40": "S3 200 but body stored truncated",
    "F41": "S3 GET truncated, bit flips",
    "F42": "S3 object deleted / overwritten / swapped",
    "F43": "S3 403 / expired credentials / RequestTimeTooSkewed",
    "F44": "store without conditions or checksums",
    "F45": "S3 disk full 507",
    "F46": "wall clock jumps",
    "F47": "suspend: SIGSTOP longer than the lease",
    "F48": "boottime offset",
    "F49": "two servers, same job",
    "F50": "lease flapping every TTL/2",
    "F51": "poison: garbage header, Status: header, inline status, CRLF tricks",
    "F52": "invalid UTF-8 header or subject, unicode subject, long subject",
    "F53": "empty payload, headers only, 64 KB headers, duplicate headers",
    "F54": "payload at max_payload, +1; target smaller than source",
    "F55": "replay of every Nats-* control header",
    "F56": "chunk with subject $JS.API..., CRLF, wildcard",
    "F57": "decompression bomb",
    "F58": "forged counts/lengths/varints, truncation at every byte",
    "F59": "key traversal",
    "F60": "SSRF",
    "F61": "SQL injection, odd JSON",
    "F62": "1 GB JSON body, chunked without end, zip body",
    "F63": "slowloris",
    "F64": "auth bypass",
    "F65": "CSRF, CORS",
    "F66": "projection rebuild during writes",
    "F67": "schema/event upgrade mid-flight",
    "F68": "downgrade with unknown event type",
    "F69": "event log bit flip / deleted row",
    "F70": "fd exhaustion, DNS failure, TLS cert expiry / wrong CA",
    "F71": "node disk full / read-only FS / no /tmp",
    "F72": "24 h combined swarm",
}

JUDGED_BY = {
    "F60": ("tests/serve/test_forgery.py",),
    "F61": ("tests/api/test_any_input.py", "tests/api/test_openapi.py", "tests/api/test_hostile_bodies.py"),
    "F62": ("tests/api/test_guard.py", "tests/serve/test_line.py"),
    "F63": ("tests/serve/test_line.py",),
    "F64": ("tests/api/test_tokens.py", "tests/api/test_scopes.py", "tests/api/test_tricks.py"),
    "F65": ("tests/api/test_tricks.py",),
    "F69": ("tests/eventstore/test_verify.py",),
}
"""What of the matrix needs no world of servers, proxies and strikes, whole or beside a row: `rows` runs these tests for it."""

NOT_YET: Mapping[str, str] = {}
"""Why a row is not there: for each that nobody plays and no test judges."""


def table(outcomes: Mapping[str, str]) -> str:
    """A line for each row of the matrix: passed, failed, not played now, or not yet and why."""
    lines = [
        f"{number}  {_outcome(number, outcomes):12}  {what}{_why(number, outcomes)}" for number, what in MATRIX.items()
    ]
    states = [_outcome(number, outcomes) for number in MATRIX]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
    return "\n".join(["", *lines, "", counts])


def _outcome(number: str, outcomes: Mapping[str, str]) -> str:
    covering = [name for name, each in ROWS.items() if number in each.covers]
    covering += [number] * (number in JUDGED_BY)
    if not covering:
        return "not yet"
    played = [outcomes[name] for name in covering if name in outcomes]
    if not played:
        return "not played"
    if "failed" in played:
        return "failed"
    return "passed" if "passed" in played else "skipped"


def _why(number: str, outcomes: Mapping[str, str]) -> str:
    skipped = [outcomes[name] for name, each in ROWS.items() if number in each.covers and name in outcomes]
    if skipped and all(each.startswith("skipped") for each in skipped):
        return f": not played here, because {skipped[0].removeprefix('skipped: ')}"
    if number in JUDGED_BY:
        return f": by {', '.join(JUDGED_BY[number])}"
    if any(number in each.covers for each in ROWS.values()):
        return ""
    return f": because {NOT_YET.get(number, 'nobody has written it')}"
