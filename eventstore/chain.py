"""The hash chain of an entity: each event's hash covers the one before, so that history cannot change unseen."""

from __future__ import annotations

from hashlib import sha256

from eventstore.event import NewEvent

START = b""
"""What the first event of an entity is chained to."""


def link(before: bytes, entity_id: str, version: int, event: NewEvent) -> bytes:
    """SHA-256 (32 bytes) over the hash before and all that the writer said."""
    head = f"{len(entity_id)}:{entity_id}:{version}:{len(event.type)}:{event.type}:{event.schema_version}:"
    return sha256(b"".join((before, head.encode(), event.event_id.bytes, event.text.encode()))).digest()
