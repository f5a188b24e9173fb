"""The header of a chunk as the skippable frame that every object starts with."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

from nats3.chunk import skippable
from nats3.chunk.layout import FORMAT_VERSION, ChunkHeader, Codec, DecodeError, Origin
from nats3.chunk.packed import MAX_INT, Fields, all_of, whole
from nats3.life import Opening

PREFIX_BYTES = skippable.PREFIX.size
_HEX_SHA256 = 64


def to_bytes(header: ChunkHeader) -> bytes:
    origin = header.origin
    return skippable.to_frame(
        skippable.HEADER,
        {
            "codec": header.codec.value,
            "log_id": origin.log_id,
            "job_id": origin.job_id,
            "stream": origin.stream,
            "subject_filter": origin.subject_filter,
            "consumer": origin.consumer,
            "life": _life(origin.opening),
            "previous_seq": origin.previous_seq,
            "previous_sha256": origin.previous_sha256,
            "activation": origin.activation,
            "bind": origin.bind,
            "prefix": origin.prefix,
            "date_floor": origin.date_floor,
            "gaps": _distances(origin),
            "first": header.first,
            "last": header.last,
            "count": header.count,
            "first_time": header.first_time,
            "last_time": header.last_time,
            "raw_bytes": header.raw_bytes,
            "message_bytes": header.message_bytes,
            "content_sha256": header.content_sha256,
            "last_fingerprint": header.last_fingerprint,
        },
    )


def header_length(prefix: bytes) -> int:
    """How many bytes of the object its header takes, out of its first PREFIX_BYTES. Raises DecodeError."""
    return skippable.frame_length(skippable.HEADER, prefix)


def read_header(first_bytes: bytes) -> ChunkHeader:
    """The header out of the first bytes of an object, at least `header_length` of them. Raises DecodeError."""
    fields = Fields("header", skippable.from_frame(skippable.HEADER, first_bytes))
    header = ChunkHeader(
        version=FORMAT_VERSION,
        codec=_codec(fields.text("codec")),
        origin=_origin(fields),
        first=fields.integer("first", 1),
        last=fields.integer("last", 1),
        count=fields.integer("count", 1),
        first_time=fields.integer("first_time"),
        last_time=fields.integer("last_time"),
        raw_bytes=fields.integer("raw_bytes", 1),
        content_sha256=_sha256("content_sha256", fields),
        last_fingerprint=_sha256("last_fingerprint", fields),
        message_bytes=fields.integer("message_bytes"),
    )
    gaps = fields.array("gaps")
    fields.end()
    _check_ranges(header)
    return replace(header, origin=replace(header.origin, gaps=_gaps(gaps, header)))


def _life(opening: Opening) -> dict[str, object]:
    return {
        "ordinal": opening.ordinal,
        "uuid": opening.uuid,
        "created": opening.created,
        "parent": opening.parent,
        "upto": opening.upto,
        "equal": opening.equal,
        "cursor": opening.cursor,
        "left": opening.left,
        "tip": opening.tip,
    }


def _opening(fields: Fields) -> Opening:
    opening = Opening(
        ordinal=fields.integer("ordinal"),
        uuid=fields.text("uuid"),
        created=fields.integer("created"),
        parent=fields.text_or_none("parent"),
        upto=fields.integer("upto"),
        equal=fields.integer("equal"),
        cursor=fields.integer("cursor"),
        left=tuple(map(_left, fields.array("left"))),
        tip=fields.text_or_none("tip"),
    )
    fields.end()
    return opening


def _left(pair: Any) -> tuple[int, str]:  # noqa: ANN401 - checked here
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], str):  # noqa: PLR2004 - a pair
        raise DecodeError("header.life.left holds something that is no pair of seq and fingerprint")
    return whole("header.life.left", pair[0], 1), pair[1]


def _origin(fields: Fields) -> Origin:
    return Origin(
        log_id=fields.text("log_id"),
        job_id=fields.text("job_id"),
        stream=fields.text("stream"),
        subject_filter=fields.text("subject_filter"),
        consumer=fields.text_or_none("consumer"),
        opening=_opening(fields.map("life")),
        previous_seq=fields.integer("previous_seq"),
        previous_sha256=fields.text("previous_sha256"),
        activation=fields.integer("activation"),
        bind=fields.integer("bind"),
        prefix=fields.text("prefix"),
        date_floor=fields.text("date_floor"),
    )


def _codec(word: str) -> Codec:
    try:
        return Codec(word)
    except ValueError:
        raise DecodeError(f"codec {word!r} is not known here") from None


def _sha256(name: str, fields: Fields) -> str:
    text = fields.text(name)
    if len(text) != _HEX_SHA256 or not set(text) <= set("0123456789abcdef"):
        raise DecodeError(f"header.{name} is no SHA-256 in lower-case hex")
    return text


def _check_ranges(header: ChunkHeader) -> None:
    if not header.origin.previous_seq < header.first <= header.last:
        raise DecodeError("the seqs of the header do not rise from previous_seq over first to last")
    if header.count > header.last - header.first + 1:
        raise DecodeError("the header counts more messages than there are seqs")
    if header.first_time > header.last_time:
        raise DecodeError("the times of the header are in the wrong order")


def _distances(origin: Origin) -> list[int]:
    """Gaps as one flat list: each end's distance from the end before it, the first from previous_seq."""
    ends = [origin.previous_seq, *(end for gap in origin.gaps for end in gap)]
    return [after - before for before, after in pairwise(ends)]


def _gaps(distances: list[Any], header: ChunkHeader) -> tuple[tuple[int, int], ...]:
    """A gap starts above the end of the one before it, ends at or above its start, and below the last seq."""
    starts, lengths = distances[::2], distances[1::2]
    if not all_of(distances, int) or len(starts) != len(lengths):
        raise DecodeError("header.gaps is no list of pairs of integers")
    if distances and not (min(starts) >= 1 and min(lengths) >= 0 and max(distances) <= MAX_INT):
        raise DecodeError("header.gaps does not rise")
    ends = list(accumulate(distances, initial=header.origin.previous_seq))[1:]
    if ends and ends[-1] >= header.last:
        raise DecodeError("header.gaps reaches beyond the last message")
    return tuple(zip(ends[::2], ends[1::2], strict=True))
