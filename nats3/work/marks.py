"""The marker that ends every atomic batch: how far a load is, said in the target itself. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from hashlib import sha256
from typing import Any

from nats3.job.loading import PlannedRange


@dataclass(frozen=True, slots=True)
class Mark:
    """Of this generation everything up to `seq` of `life`, in range rank `rank`, is stored: `published` messages.

    `plan` is the digest of all ranges up to that rank: without it a rank says nothing.
    """

    job: str
    generation: int
    plan: str
    rank: int
    life: str
    seq: int
    published: int

    def to_bytes(self) -> bytes:
        return json.dumps(dict(zip(_NAMES, astuple(self), strict=True)), separators=(",", ":")).encode()


_NAMES = tuple(field.name for field in fields(Mark))
_TYPES = (str, int, str, int, str, int, int)


def read_mark(payload: bytes) -> Mark | None:
    """The mark that a message carries, None for what is none."""
    try:
        told: Any = json.loads(payload)
        values = [told[name] for name in _NAMES]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    fits = all(type(value) is type_ for value, type_ in zip(values, _TYPES, strict=True))
    return Mark(*values) if fits else None


def mark_subject(stream: str, job_id: str) -> str:
    """Where a load keeps its marker in the target."""
    return f"nats3.mark.{stream}.{job_id}"


def plan_digest(ranges: Sequence[PlannedRange], rank: int) -> str:
    """Equal for equal ranges up to this rank; what a polling load plans later changes nothing."""
    told = [astuple(each) for each in ranges if each.rank <= rank]
    return sha256(json.dumps(told).encode()).hexdigest()[:16]
