"""Where a chunk lies: a bucket, and the S3 connection that leads to it.

A *place* is what events, tables and object stores call a bucket: its plain name on the connection `main`, `cold:archive` on
the one called `cold`. No bucket has a colon in its name, so nothing that knows no connections can mistake one for the other.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from nats3.errors import Invalid

MAIN = "main"
"""The connection that `[nats]`, `[s3]` and the variables tell of; an order that names none means it."""

NAME = r"[a-z][a-z0-9_-]{0,31}"
_NAME = re.compile(NAME)


def is_name(text: str) -> bool:
    """Whether a connection may be called so."""
    return _NAME.fullmatch(text) is not None


def place_of(connection: str, bucket: str) -> str:
    """The bucket as it is called inside. One with a colon, which none has, stays none."""
    return bucket if connection == MAIN and ":" not in bucket else f"{connection}:{bucket}"


def split(place: str) -> tuple[str, str]:
    """Connection and bucket."""
    connection, colon, bucket = place.partition(":")
    return (connection, bucket) if colon else (MAIN, place)


def fault_of_name(
    kind: Literal["nats", "s3"], name: str, known: Collection[str], field: str | None = None
) -> Invalid | None:
    """What is wrong with a connection that somebody names in `field`, where the configuration has those that are `known`."""
    if name in known:
        return None
    fault = f"{name[:60]!r} is no connection to {'NATS' if kind == 'nats' else 'S3'} of this node"
    return Invalid(
        field or kind, fault, f"use {', '.join(sorted(known))}, or add [{kind}.{name[:60]}] to its configuration"
    )
