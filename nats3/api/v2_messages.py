"""Version 2: what is in a chunk: its messages, and whether the object is what was recorded."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nats3 import subject
from nats3.api.errors import BadQuery, Gone, TooLarge
from nats3.api.pages import listing, shown
from nats3.api.reading import int_of, only, text_of
from nats3.api.services import Services
from nats3.api.v2_chunks import row_of
from nats3.api.words import format_ns, parse_time
from nats3.errors import Invalid
from nats3.message import Batch, Message
from nats3.selection import Selection
from nats3.views.chunks import ChunkRow

MAX_PAGE = 1000
MAX_PAGE_BYTES = 8 << 20
"""A page ends with the message that goes beyond it."""
MAX_CHUNK_BYTES = 256 << 20
"""Raw and stored: what one reader may make this process hold."""


async def verify(services: Services, request: Request) -> Response:
    """Read the object, every byte of it, and hold it against the log."""
    only(request)
    row = _readable(await row_of(services, request))
    verdict, fault = await services.archive.judge(row)
    body = {"id": row.position, "bucket": row.bucket, "key": row.key, "verdict": verdict, "fault": fault or None}
    return JSONResponse({**body, "sha256": row.sha256, "messages": row.count, "stored_bytes": row.stored_bytes})


async def messages(services: Services, request: Request) -> Response:
    """In seq order, in pages; every byte of what is told is verified before."""
    only(request, "seq", "from", "to", "subject", "after", "limit", "min_position")
    await shown(services, request, "chunks")
    chosen, limit = _chosen(request), int_of(request, "limit", 100, 1, MAX_PAGE)
    row = _readable(await row_of(services, request))
    batch = await services.archive.messages(row, chosen)
    page = _page(batch, limit)
    more = {"after": page[-1].seq} if len(page) < len(batch) else None
    return listing(request, [message_body(message) for message in page], more)


def _chosen(request: Request) -> Selection:
    """Raises BadQuery, Invalid."""
    wanted, start, end = (text_of(request, name) for name in ("subject", "from", "to"))
    if wanted is not None:
        subject.check_filter("subject", wanted)
    from_time = None if start is None else parse_time("from", _plus(start))
    to_time = None if end is None else parse_time("to", _plus(end))
    if from_time is not None and to_time is not None and from_time >= to_time:
        raise BadQuery([Invalid("from", "is not before to", "give a from that comes before to")])
    seq, after = int_of(request, "seq", 0), int_of(request, "after", 0)
    return Selection(
        subjects=() if wanted is None else (wanted,),
        from_time=from_time,
        to_time=to_time,
        first_seq=max(seq, after + 1),
        last_seq=seq or None,
    )


def _plus(text: str) -> str:
    """A '+' of a zone that the address turned into a blank is one again."""
    return text.replace(" ", "+") if "T" in text.upper() else text


def _page(batch: Batch, limit: int) -> list[Message]:
    page: list[Message] = []
    size = 0
    for message in batch:
        page.append(message)
        size += len(message.payload) + len(message.header or b"") + len(message.subject)
        if len(page) == limit or size > MAX_PAGE_BYTES:
            break
    return page


def _readable(row: ChunkRow) -> ChunkRow:
    """Raises Gone, TooLarge."""
    if row.deletion is not None:
        raise Gone(f"chunk {row.position} was deleted by order")
    if row.raw_bytes + row.stored_bytes > MAX_CHUNK_BYTES:
        raise TooLarge(MAX_CHUNK_BYTES, f"chunk {row.position}")
    return row


def message_body(message: Message) -> dict[str, Any]:
    """Bytes in base64; `subject` and `text` as text, where bytes that are no UTF-8 are escaped or leave `text` out."""
    return {
        "seq": message.seq,
        "time": format_ns(message.time_ns),
        "subject": message.subject.decode(errors="backslashreplace"),
        "header": None if message.header is None else b64encode(message.header).decode(),
        "payload": b64encode(message.payload).decode(),
        "text": _text(message.payload),
    }


def _text(payload: bytes) -> str | None:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None
