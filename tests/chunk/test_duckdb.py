"""DuckDB reads json and parquet chunks as they are."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from nats3.chunk.encode import encode
from nats3.chunk.layout import Codec, Origin
from nats3.message import Batch

SELECTED = {
    Codec.JSON: "seq, time, subject, headers[1][1], headers[1][2], data",
    Codec.PARQUET: "seq, epoch_ns(time), subject, headers[1].name, headers[1].value, decode(data)",
}


@pytest.mark.parametrize("codec", SELECTED)
def test_duckdb_reads_what_was_archived(codec: Codec, origin: Origin, tmp_path: Path) -> None:
    block = b"NATS/1.0\r\nTrace: 7\r\n\r\n"
    batch = Batch(
        [5, 9], [1_700_000_000_000_000_001, 1_700_000_000_000_000_002], [b"o.eu", b"o.us"], [block] * 2, [b"a", b"b"]
    )
    path = tmp_path / f"chunk{'.ndjson.zst' if codec is Codec.JSON else '.parquet'}"
    path.write_bytes(encode(batch, origin, codec, frame_bytes=1).body)
    found = duckdb.connect().execute(f"SELECT {SELECTED[codec]} FROM '{path}' ORDER BY seq").fetchall()
    assert found == [
        (5, 1_700_000_000_000_000_001, "o.eu", "Trace", "7", "a"),
        (9, 1_700_000_000_000_000_002, "o.us", "Trace", "7", "b"),
    ]


def test_duckdb_skips_row_groups_by_their_statistics(origin: Origin, tmp_path: Path) -> None:
    count = 50
    batch = Batch(list(range(5, count + 5)), [1] * count, [b"s"] * count, [None] * count, [b"x"] * count)
    path = tmp_path / "chunk.parquet"
    path.write_bytes(encode(batch, origin, Codec.PARQUET, frame_bytes=10).body)
    connection = duckdb.connect()
    groups = connection.execute(
        "SELECT stats_min_value::BIGINT, stats_max_value::BIGINT FROM parquet_metadata(?) WHERE path_in_schema = 'seq' ORDER BY 1",
        [str(path)],
    ).fetchall()
    assert groups == [(start, start + 4) for start in range(5, count + 5, 5)]
