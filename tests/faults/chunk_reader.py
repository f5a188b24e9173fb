"""Reads a chunk by docs/chunk-format.md and by nothing else. Imports nothing of the product.

`read(object)` gives header and messages, or raises NotWhole with what is wrong: it makes every check of section 8.
"""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from struct import unpack_from
from typing import Any

import msgpack
import zstandard

HEADER_MAGIC, INDEX_MAGIC, SEEK_MAGIC, SEEK_END = 0x184D2A53, 0x184D2A54, 0x184D2A5E, 0x8F92EAB1
WINDOW = 8 << 20
COLUMNS = ["seqs", "times", "subjects", "ids", "headers", "payloads"]
LINE_MEMBERS = {"seq", "time", "subject", "subject_b64", "headers", "header_block_b64", "data", "data_b64"}
HEADER_MEMBERS = {
    *("codec", "log_id", "job_id", "stream", "subject_filter", "consumer", "life", "previous_seq", "previous_sha256"),
    *("activation", "bind", "prefix", "date_floor", "gaps", "first", "last", "count", "first_time", "last_time"),
    *("raw_bytes", "message_bytes", "content_sha256", "last_fingerprint"),
}


class NotWhole(Exception):
    pass


@dataclass(frozen=True)
class Message:
    seq: int
    time: int
    subject: bytes
    header: bytes | None
    payload: bytes


@dataclass(frozen=True)
class Chunk:
    header: dict[str, Any]
    messages: list[Message]
    gaps: list[tuple[int, int]]


def need(condition: object, what: str) -> None:
    if not condition:
        raise NotWhole(what)


def read(body: bytes) -> Chunk:
    """The whole chunk, every check made. Raises NotWhole and nothing else."""
    try:
        return _read(body)
    except NotWhole:
        raise
    except Exception as error:
        raise NotWhole(f"{type(error).__name__}: {error}") from error


def _read(body: bytes) -> Chunk:
    head, at = skippable(body, 0, HEADER_MAGIC, b"NATS3CH", 16 << 20)
    need(set(head) == HEADER_MEMBERS, f"header members {sorted(set(head) ^ HEADER_MEMBERS)}")
    index_length, _, entries, zero, end = unpack_from("<IIIBI", body, len(body) - 17)
    need((zero, end) == (0, SEEK_END), "seek table's footer")
    tail = len(body) - (index_length + 8 + 8 * entries + 9)
    rows, behind = skippable(body, tail, INDEX_MAGIC, b"NATS3IX", 64 << 20)
    need(set(rows) == {"frames"}, "index members")
    frames = rows["frames"]
    need(body[behind:] == seek_table(at, frames, index_length), "seek table")
    messages: list[Message] = []
    content = sha256()
    raw_bytes = 0
    for row in frames:
        need(row[0] == at, "frames do not stand one behind the other")
        raw = frame(body[at : at + row[1]], row)
        content.update(raw)
        raw_bytes += len(raw)
        found = columns(raw) if head["codec"] == "binary" else lines(raw)
        check_frame(found, row)
        messages += found
        at += row[1]
    need(at == tail, "bytes between frames and index")
    need(content.hexdigest() == head["content_sha256"], "content_sha256")
    need(raw_bytes == head["raw_bytes"], "raw_bytes")
    gaps = check(head, messages)
    return Chunk(head, messages, gaps)


def skippable(body: bytes, at: int, magic: int, tag: bytes, most: int) -> tuple[dict[str, Any], int]:
    found, length = unpack_from("<II", body, at)
    need(found == magic and length <= most and at + 8 + length <= len(body), "skippable frame")
    whole = body[at : at + 8 + length]
    need(whole[8:15] == tag and whole[15] == 1, "tag or version")
    need(sha256(whole[:-32]).digest() == whole[-32:], "digest")
    return msgpack.unpackb(whole[16:-32], raw=False), at + 8 + length


def seek_table(header: int, frames: list[list[Any]], index_length: int) -> bytes:
    pairs = [(header, 0), *((row[1], row[2]) for row in frames), (index_length, 0)]
    table = b"".join(a.to_bytes(4, "little") + b.to_bytes(4, "little") for a, b in pairs)
    table += len(pairs).to_bytes(4, "little") + b"\0" + SEEK_END.to_bytes(4, "little")
    return SEEK_MAGIC.to_bytes(4, "little") + len(table).to_bytes(4, "little") + table


def frame(stored: bytes, row: list[Any]) -> bytes:
    need(sha256(stored).digest() == row[8], "SHA-256 of a frame")
    about = zstandard.get_frame_parameters(stored)
    need(about.has_checksum and not about.dict_id and about.content_size == row[2], "zstd frame header")
    need(min(about.window_size, row[2]) <= WINDOW or row[2] <= WINDOW, "window")
    return zstandard.ZstdDecompressor(max_window_size=WINDOW).decompress(stored, max_output_size=row[2])


def columns(raw: bytes) -> list[Message]:
    said = msgpack.unpackb(raw, raw=False, strict_map_key=True)
    need(list(said) == COLUMNS, "columns")
    count = len(said["seqs"])
    need(all(len(said[name]) == count for name in ("times", "ids", "headers", "payloads")), "lengths of columns")
    need(set(said["ids"]) == set(range(len(said["subjects"]))), "subject ids")
    messages, seq, time = [], 0, 0
    for step, tick, subject, header, payload in zip(
        said["seqs"], said["times"], said["ids"], said["headers"], said["payloads"], strict=True
    ):
        seq, time = seq + step, time + tick
        need(isinstance(payload, bytes) and isinstance(header, bytes | None), "bin")
        messages.append(Message(seq, time, said["subjects"][subject], header, payload))
    return messages


def lines(raw: bytes) -> list[Message]:
    need(raw.endswith(b"\n"), "last line")
    return [_line(json.loads(line, object_pairs_hook=_once)) for line in raw[:-1].split(b"\n")]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    need(len({name for name, _ in pairs}) == len(pairs), "a member twice")
    return dict(pairs)


def _line(said: dict[str, Any]) -> Message:
    need(set(said) <= LINE_MEMBERS, "members of a line")
    need(("subject" in said) != ("subject_b64" in said), "subject")
    need(("data" in said) != ("data_b64" in said), "data")
    subject = said["subject"].encode() if "subject" in said else b64decode(said["subject_b64"], validate=True)
    payload = said["data"].encode() if "data" in said else b64decode(said["data_b64"], validate=True)
    header = None
    if "headers" in said:
        header = ("NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in said["headers"]) + "\r\n").encode()
    elif "header_block_b64" in said:
        header = b64decode(said["header_block_b64"], validate=True)
    return Message(said["seq"], said["time"], subject, header, payload)


def check_frame(found: list[Message], row: list[Any]) -> None:
    times = [each.time for each in found]
    said = (len(found), found[0].seq, found[-1].seq, min(times), max(times))
    need(said == tuple(row[3:8]), f"a frame holds {said}, the index says {row[3:8]}")
    subjects = list(dict.fromkeys(each.subject for each in found))
    need((row[9] is None) != (row[10] is None), "subjects or filter")
    if row[9] is not None:
        need(row[9] == subjects, "subjects of a frame")
    else:
        need(all(in_bloom(row[10], subject) for subject in subjects), "Bloom filter")


def in_bloom(bits: bytes, subject: bytes) -> bool:
    words = unpack_from("<4I", sha256(subject).digest())
    return all(bits[(w % (8 * len(bits))) // 8] >> (w % 8) & 1 for w in words)


def check(head: dict[str, Any], messages: list[Message]) -> list[tuple[int, int]]:
    seqs = [each.seq for each in messages]
    need(seqs and seqs[0] > head["previous_seq"], "first seq")
    need(all(a < b for a, b in pairwise(seqs)), "seqs rise strictly")
    times = [each.time for each in messages]
    said = (head["first"], head["last"], head["count"], head["first_time"], head["last_time"])
    need(said == (seqs[0], seqs[-1], len(seqs), min(times), max(times)), "bounds of the chunk")
    size = sum(len(each.subject) + len(each.header or b"") + len(each.payload) for each in messages)
    need(size == head["message_bytes"], "message_bytes")
    need(fingerprint(messages[-1]) == head["last_fingerprint"], "last_fingerprint")
    gaps, at = [], head["previous_seq"]
    pairs = head["gaps"]
    need(len(pairs) % 2 == 0, "gaps")
    for distance, more in zip(pairs[::2], pairs[1::2], strict=True):
        need(distance >= 1 and more >= 0, "gaps")
        gaps.append((at + distance, at + distance + more))
        at = gaps[-1][1]
    need(at < head["last"] or not gaps, "the last gap ends below last")
    held = set(seqs)
    need(not any(seq in held for first, last in gaps for seq in range(first, min(last, head["last"]) + 1)), "gap holds")
    return gaps


def fingerprint(message: Message) -> str:
    low = bytes(byte for byte in message.subject if byte < 0x80)
    block = b"-" if message.header is None else b"+" + message.header
    return sha256(
        b"%d %d %d\n" % (message.time, len(low), len(message.payload)) + low + block + message.payload
    ).hexdigest()
