"""From a stored chunk to the event that records it: one place, for new, adopted and rebuilt chunks alike."""

from __future__ import annotations

from nats3.chunk.layout import ChunkHeader
from nats3.job.storing import ChunkFlushed

LISTED_GAPS = 100
"""How many gap ranges an event lists; the chunk itself lists all."""


def flushed(
    bucket: str,
    key: str,
    header: ChunkHeader,
    sha256: str,
    stored_bytes: int,
    *,
    sealed_by: str,
    adopted_from: str | None = None,
) -> ChunkFlushed:
    """The event for a chunk whose header is `header` and whose whole object has the hex digest `sha256`."""
    origin = header.origin
    return ChunkFlushed(
        bucket=bucket,
        key=key,
        codec=header.codec.value,
        stream=origin.stream,
        subject=origin.subject_filter,
        consumer=origin.consumer,
        prefix=origin.prefix,
        life=origin.opening.uuid,
        ordinal=origin.opening.ordinal,
        created=origin.opening.created,
        previous_seq=origin.previous_seq,
        first=header.first,
        last=header.last,
        count=header.count,
        first_time=header.first_time,
        last_time=header.last_time,
        raw_bytes=header.raw_bytes,
        stored_bytes=stored_bytes,
        sha256=sha256,
        content_sha256=header.content_sha256,
        previous_sha256=origin.previous_sha256,
        last_fingerprint=header.last_fingerprint,
        sealed_by=sealed_by,
        gaps=origin.gaps[:LISTED_GAPS],
        gap_count=len(origin.gaps),
        adopted_from=adopted_from,
    )
