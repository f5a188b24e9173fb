"""Header blocks as bytes: what a replay adds to them and how that is undone. Nothing here parses into a dict.

A block is what stands between the control line and the payload: `NATS/1.0`, lines, an empty line, each with CRLF.
The rule "what equal means" is the pair `replayed` and `restored`: whatever the block, restoring gives it back.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import assert_never

from nats3.errors import Invalid

EMPTY = b"NATS/1.0\r\n\r\n"
CARRIER = b"Nats3-Header-Block"

_OURS = re.compile(rb"(?<=\r\n)(?:Nats-Msg-Id:|Nats-Expected-|Nats-Batch-|Nats3-(?!Orig-)).*?\r\n", re.DOTALL)
_RESERVED = re.compile(rb"(?<=\r\n)Nats-(?=Msg-Id|Expected-|Batch-)")
_CARRIED = re.compile(rb"(?<=\r\n)Nats3-Header-Block: ([^\r\n]*)\r\n")
_MARKER = b"\r\nNats3-Orig-Marker-Reason"


class HeaderPolicy(Enum):
    """What a replay does with archived headers.

    SAFE moves every `Nats-*` to `Nats3-Orig-*`, since control headers act on the target. VERBATIM keeps them, but for
    those that nats3 sets itself (`Nats-Msg-Id`, `Nats-Expected-*`, `Nats-Batch-*`), which move too. NONE drops them.
    """

    SAFE = "safe"
    VERBATIM = "verbatim"
    NONE = "none"


def is_well_formed(block: bytes) -> bool:
    """Whether lines can be added before its end and be read there: the plain version line, and no empty line but its end.

    A version line with a status (`NATS/1.0 503`) does not count: a server takes the status off what is published.
    """
    return block.startswith(b"NATS/1.0\r\n") and block.find(b"\r\n\r\n") == len(block) - 4


def replayed(block: bytes | None, policy: HeaderPolicy, added: bytes, *, key_value: bool = False) -> bytes | None:
    """The block to publish, None where no header is sent. `added` are whole lines, each with CRLF, or nothing.

    `key_value`: the target is a `$KV.` subject, so `Nats-Marker-Reason` is kept. A block in which lines could not be
    found again (not well formed, empty, or with lines named `Nats3-*`) travels in base64 in a line of its own; only
    VERBATIM with nothing to add sends one that is not well formed as it is.
    """
    if block is None:
        return b"NATS/1.0\r\n" + added + b"\r\n" if added else None
    if policy is not HeaderPolicy.NONE and b"\r\nNats" not in block and is_well_formed(block) and block != EMPTY:
        return block[:-2] + added + b"\r\n"
    if not is_well_formed(block):
        return block if policy is HeaderPolicy.VERBATIM and not added else _carried(block, added)
    match policy:
        case HeaderPolicy.NONE:
            return replayed(None, policy, added)
        case HeaderPolicy.SAFE | HeaderPolicy.VERBATIM:
            return (
                _moved(block, policy, key_value=key_value)[:-2] + added + b"\r\n"
                if _plain(block)
                else _carried(block, added)
            )
        case _:
            assert_never(policy)


def _plain(block: bytes) -> bool:
    """Whether nothing in it could be taken for ours, and no header at all for it."""
    return b"\r\nNats3-" not in block and block != EMPTY


def _moved(block: bytes, policy: HeaderPolicy, *, key_value: bool) -> bytes:
    if b"\r\nNats-" not in block:
        return block
    if policy is HeaderPolicy.VERBATIM:
        return _RESERVED.sub(b"Nats3-Orig-", block)
    moved = block.replace(b"\r\nNats-", b"\r\nNats3-Orig-")
    return moved.replace(_MARKER, b"\r\nNats-Marker-Reason") if key_value else moved


def _carried(block: bytes, added: bytes) -> bytes:
    return b"NATS/1.0\r\n%b: %b\r\n%b\r\n" % (CARRIER, b64encode(block), added)


def restored(block: bytes | None) -> bytes | None:
    """The archived block out of a replayed one. Raises Invalid when a line in base64 does not decode."""
    if block is None or not is_well_formed(block):
        return block
    if b"\r\nNats" not in block:
        return None if block == EMPTY else block
    carried = _CARRIED.search(block)
    if carried:
        return _uncarried(carried[1])
    rest = _OURS.sub(b"", block).replace(b"\r\nNats3-Orig-", b"\r\nNats-")
    return None if rest == EMPTY else rest


def _uncarried(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except Base64Error as error:
        raise Invalid(CARRIER.decode(), "is no base64", "replay the message again") from error


def has_line(blocks: Sequence[bytes | None], name: bytes, value: bytes) -> list[bool]:
    """For each block whether one of its lines says `name: value`; blanks around the value do not count."""
    line = _line(name, value)
    return [block is not None and name in block and line.search(block) is not None for block in blocks]


@lru_cache(maxsize=256)
def _line(name: bytes, value: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\r\n" + re.escape(name) + rb":[ \t]*" + re.escape(value) + rb"[ \t]*\r\n")
