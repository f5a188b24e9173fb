"""What only a Parquet chunk can do wrong. That it comes back byte for byte, and every flipped bit is seen, all codecs share."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nats3.api import orders
from nats3.api.errors import Unfit
from nats3.chunk import parquet
from nats3.chunk.decode import decode
from nats3.chunk.encode import encode
from nats3.chunk.layout import Codec, DecodeError, Limits, Origin
from nats3.job.order import StoreOrder
from nats3.message import Batch


def _parquet(origin: Origin, count: int = 1000) -> bytes:
    batch = Batch(list(range(5, count + 5)), [1] * count, [b"s"] * count, [None] * count, [b"x" * 100] * count)
    return encode(batch, replace(origin, gaps=()), Codec.PARQUET).body


def test_a_parquet_file_with_more_messages_than_a_reader_takes_is_refused_before_it_is_read(origin: Origin) -> None:
    with pytest.raises(DecodeError, match="more than this reader takes"):
        decode(_parquet(origin), limits=Limits(max_count=999))


def test_a_parquet_file_of_a_stranger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stranger.parquet"
    pq.write_table(pa.table({"seq": [1, 2]}), path)
    with pytest.raises(DecodeError, match="without the digest"):
        decode(path.read_bytes())


@pytest.mark.timeout(60)
def test_a_dictionary_that_unfolds_to_a_gigabyte_is_refused_before_it_does(origin: Origin, tmp_path: Path) -> None:
    """One value of 1 MiB, a thousand times: small in the file, and pyarrow would write out each."""
    path = tmp_path / "bomb.parquet"
    table = pq.read_table(pa.BufferReader(_parquet(origin)))
    bomb = table.set_column(6, "data", pa.array([b"x" * (1 << 20)] * 1000, pa.binary()))
    told = dict(pq.read_metadata(pa.BufferReader(_parquet(origin))).metadata or {})
    with pq.ParquetWriter(path, bomb.schema, use_dictionary=["data"], store_schema=False) as file:
        file.write_table(bomb)
        file.add_key_value_metadata({**told, b"nats3.sha256": b"0" * 64})
    body = bytearray(path.read_bytes())
    place = body.rfind(b"0" * 64)
    body[place : place + 64] = sha256(body).hexdigest().encode()
    with pytest.raises(DecodeError, match="unfold"):
        decode(bytes(body))


def test_without_the_extra_the_order_is_refused_and_told_which_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    order = StoreOrder("job", "S", ">", "bucket", codec="parquet")
    assert orders.checked(order) is order
    monkeypatch.setattr(parquet, "AVAILABLE", False)
    with pytest.raises(Unfit, match=r"nats3\[parquet\]"):
        orders.checked(order)


def test_pyarrow_is_loaded_by_the_first_parquet_chunk_and_not_before() -> None:
    program = "import sys, nats3.chunk.encode, nats3.work.adopt, nats3.api.orders; print('pyarrow' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )
