"""Codec `parquet`: one row group for each frame, lossless, readable by anything that reads Parquet.

pyarrow is an extra and is loaded on first use, which belongs into a thread. The header travels in the key-value metadata of
the file, and beside it a SHA-256 of the whole file in which the digits of that SHA-256 are zeros.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256
from importlib.util import find_spec
from typing import Any

from nats3.chunk.head import read_header, to_bytes
from nats3.chunk.jsonl import block_of, pairs_of
from nats3.chunk.layout import ChunkHeader, DecodeError, Limits
from nats3.errors import Blocked
from nats3.message import Batch

AVAILABLE = find_spec("pyarrow") is not None
"""Whether the extra `parquet` is installed."""

MAGIC = b"PAR1"
_HEADER = "nats3.header"
_DIGEST = "nats3.sha256"
_ZEROS = "0" * 64
_COLUMNS = ("seq", "time", "subject", "subject_bytes", "headers", "header_block", "data")


def _pyarrow() -> tuple[Any, Any]:
    """The library and its Parquet module. Raises Blocked where the extra is missing."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to load
        import pyarrow.parquet as pq  # noqa: PLC0415 - see above
    except ImportError as error:
        raise Blocked("extra_missing", "Parquet needs pyarrow here: pip install 'nats3[parquet]'") from error
    return pa, pq


class ParquetWriter:
    """A file that grows by one row group for each batch, and is finished once its header is known."""

    def __init__(self, level: int) -> None:
        pa, pq = _pyarrow()
        self._pa = pa
        self._schema = _schema(pa)
        self._sink = pa.BufferOutputStream()
        self._file = pq.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            compression_level=level,
            use_dictionary=["subject"],
            write_statistics=["seq", "time", "subject"],
            store_schema=False,
        )

    def add(self, batch: Batch) -> int:
        """One row group; the bytes that it takes, roughly."""
        before = self._sink.tell()
        self._file.write_table(self._table(batch), row_group_size=len(batch))
        return int(self._sink.tell()) - before

    def finish(self, header: ChunkHeader) -> bytes:
        """The whole object."""
        self._file.add_key_value_metadata({_HEADER: b64encode(to_bytes(header)).decode(), _DIGEST: _ZEROS})
        self._file.close()
        body = bytearray(self._sink.getvalue())
        place = _place_of_digest(body, _ZEROS)
        body[place : place + len(_ZEROS)] = sha256(body).hexdigest().encode()
        return bytes(body)

    def _table(self, batch: Batch) -> Any:  # noqa: ANN401 - pyarrow has no types
        pa = self._pa
        texts = [_text(subject) for subject in batch.subjects]
        pairs = [None if block is None else pairs_of(block) for block in batch.headers]
        blocks = [block if pair is None else None for block, pair in zip(batch.headers, pairs, strict=True)]
        columns: list[Any] = [
            batch.seqs,
            batch.times,
            texts,
            [subject if text is None else None for subject, text in zip(batch.subjects, texts, strict=True)],
            [None if pair is None else [{"name": name, "value": value} for name, value in pair] for pair in pairs],
            blocks,
            batch.payloads,
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self._schema)


def _schema(pa: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    pair = pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("value", pa.string(), nullable=False)])
    return pa.schema(
        [
            pa.field("seq", pa.uint64(), nullable=False),
            pa.field("time", pa.timestamp("ns", tz="UTC"), nullable=False),
            pa.field("subject", pa.string()),
            pa.field("subject_bytes", pa.binary()),
            pa.field("headers", pa.list_(pair)),
            pa.field("header_block", pa.binary()),
            pa.field("data", pa.binary(), nullable=False),
        ]
    )


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def read_parquet(body: bytes, limits: Limits) -> tuple[ChunkHeader, list[Batch]]:
    """The header and the messages of each row group, once every byte is proven. Raises DecodeError."""
    header, file = _opened(body)
    try:
        _check_sizes(file.metadata, header, limits)
        return header, [_batch(file.read_row_group(group)) for group in range(file.metadata.num_row_groups)]
    except _faults() as error:
        raise DecodeError(f"the object is no Parquet file of a chunk: {error}") from error


def read_parquet_header(body: bytes) -> ChunkHeader:
    """The header alone, out of the whole file, which is proven by its digest. Raises DecodeError."""
    return _opened(body)[0]


def _opened(body: bytes) -> tuple[ChunkHeader, Any]:
    pa, pq = _pyarrow()
    try:
        file = pq.ParquetFile(pa.BufferReader(body))
        told = file.metadata.metadata or {}
        _check_digest(body, told.get(_DIGEST.encode(), b""))
        return read_header(b64decode(told.get(_HEADER.encode(), b""), validate=True)), file
    except _faults() as error:
        raise DecodeError(f"the object is no Parquet file of a chunk: {error}") from error


def _faults() -> tuple[type[Exception], ...]:
    """What pyarrow raises for bytes that are no Parquet, and what goes wrong after it believed some."""
    pa, _ = _pyarrow()
    return (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, OverflowError, IndexError)


def _check_digest(body: bytes, said: bytes) -> None:
    """The file is what it was when its digest was written into it."""
    if len(said) != len(_ZEROS):
        raise DecodeError("the object is a Parquet file without the digest of a chunk")
    place = _place_of_digest(body, said.decode("ascii"))
    digest = sha256(memoryview(body)[:place])
    digest.update(_ZEROS.encode())
    digest.update(memoryview(body)[place + len(_ZEROS) :])
    if digest.hexdigest().encode() != said:
        raise DecodeError("the digest of the Parquet file differs")


def _place_of_digest(body: bytes | bytearray, said: str) -> int:
    """Where the digest stands: after the last mention of its key. DecodeError when it is not there."""
    key = body.rfind(_DIGEST.encode())
    place = body.find(said.encode(), key) if key >= 0 else -1
    if place < 0 or place > key + len(_DIGEST) + 8:
        raise DecodeError("the Parquet file does not hold its digest")
    return place


def _check_sizes(metadata: Any, header: ChunkHeader, limits: Limits) -> None:  # noqa: ANN401 - pyarrow has no types
    """What the file declares fits the limits and the header, before any of it is read."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    names = tuple(metadata.schema.to_arrow_schema().names)
    if (
        names != _COLUMNS
        or metadata.num_rows != header.count
        or sum(group.num_rows for group in groups) != header.count
    ):
        raise DecodeError("the Parquet file has other columns or rows than its header says")
    if header.count > limits.max_count or header.raw_bytes > limits.max_raw:
        raise DecodeError(f"{header.count} messages in {header.raw_bytes} raw bytes are more than this reader takes")
    if any(group.total_byte_size > 2 * limits.max_frame or not group.num_rows for group in groups):
        raise DecodeError("a row group is larger than this reader takes, or empty")
    if any(_is_folded(group) for group in groups):
        raise DecodeError("a column other than subject has a dictionary, which may unfold to any size")


def _is_folded(group: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    columns = [group.column(number) for number in range(group.num_columns)]
    return any("DICT" in str(column.encodings) for column in columns if column.path_in_schema != "subject")


def _batch(table: Any) -> Batch:  # noqa: ANN401 - pyarrow has no types
    if any(table.column(name).null_count for name in ("seq", "time", "data")):
        raise DecodeError("a message has no seq, time or data")
    seqs, times, texts, raw_subjects, headers, blocks, payloads = table.columns
    subjects = map(_either, map(_bytes, texts.to_pylist()), raw_subjects.to_pylist())
    pairs = [None if pair is None else [[each["name"], each["value"]] for each in pair] for pair in headers.to_pylist()]
    from_pairs = [None if pair is None else block_of(pair) for pair in pairs]
    return Batch(
        seqs.to_pylist(),
        times.cast("int64").to_pylist(),
        [_there(subject) for subject in subjects],
        list(map(_either, from_pairs, blocks.to_pylist())),
        payloads.to_pylist(),
    )


def _there(subject: bytes | None) -> bytes:
    if subject is None:
        raise DecodeError("a message has no subject")
    return subject


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _either(one: bytes | None, other: bytes | None) -> bytes | None:
    """That of both which is there. DecodeError for two."""
    if one is not None and other is not None:
        raise DecodeError("a message has a subject or a header block twice")
    return other if one is None else one
