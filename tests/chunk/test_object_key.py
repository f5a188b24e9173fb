"""The name of an object."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats3.chunk.encode import encode
from nats3.chunk.layout import Codec, Origin
from nats3.chunk.object_key import Span, build_key, check_prefix, job8, job_prefix, life_prefix, parse_key
from nats3.errors import Invalid
from nats3.life import Opening
from nats3.message import Batch

OPENING = Opening(1, "u", 1)
SHA = "0123456789abcdef" * 4
DAY = 86_400 * 1_000_000_000


def test_a_key_says_where_the_chunk_belongs_and_what_it_holds(origin: Origin) -> None:
    key = build_key(origin, Span(5, 20, 6, 1_700_000_000_000_000_001), SHA, Codec.BINARY)
    assert key == (
        "a/b/n3v1/ORDERS/1700000000123456789/0002/0b9d3f1e/2023-11-14/"
        "00000000000000000005-00000000000000000020-6-0123456789abcdef-17-3.n3c"
    )


def test_the_key_of_an_encoded_chunk_carries_its_digest(batch: Batch, origin: Origin) -> None:
    encoded = encode(batch, origin, Codec.JSON)
    parsed = parse_key(encoded.key)
    assert parsed is not None
    assert (parsed.sha16, parsed.first, parsed.last, parsed.count) == (encoded.sha256[:16], 5, 20, 6)
    assert encoded.key.endswith(".ndjson.zst")


STREAMS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
PREFIXES = st.lists(
    st.text(st.characters(exclude_characters="/", exclude_categories=["Cs", "Cc"]), min_size=1), max_size=3
)


@given(
    stream=STREAMS,
    prefix=PREFIXES.map("/".join).filter(lambda text: not {".", ".."} & set(text.split("/"))),
    first=st.integers(1, 2**63 - 1),
    time=st.integers(0, 2**63 - 1),
    codec=st.sampled_from(list(Codec)),
)
def test_a_key_is_parsed_into_what_it_was_built_of(
    stream: str, prefix: str, first: int, time: int, codec: Codec
) -> None:
    origin = Origin("l", "0b9d3f1e-x", stream, ">", None, OPENING, 0, "u", activation=7, bind=2, prefix=prefix)
    key = build_key(origin, Span(first, 2**63 - 1, 3, time), SHA, codec)
    parsed = parse_key(key)
    assert parsed is not None
    assert (parsed.stream, parsed.prefix, parsed.first, parsed.last, parsed.codec) == (
        stream,
        prefix,
        first,
        2**63 - 1,
        codec,
    )
    assert (parsed.activation, parsed.bind, parsed.life, parsed.job8, parsed.count) == (7, 2, 1, "0b9d3f1e", 3)
    assert re.fullmatch(r"[A-Za-z0-9_%/.-]+", key.removeprefix(prefix))
    assert key.startswith(job_prefix(prefix, stream))
    assert key.startswith(life_prefix(prefix, stream, OPENING, "0b9d3f1e-x"))


@given(
    spans=st.lists(
        st.tuples(st.integers(1, 10**6), st.integers(0, 400)), min_size=2, max_size=20, unique_by=lambda span: span[0]
    )
)
def test_keys_of_one_life_sort_by_seq_also_when_the_clock_steps_back(spans: list[tuple[int, int]]) -> None:
    origin = Origin("l", "0b9d3f1e-x", "S", ">", None, OPENING, 0, "u", activation=1, bind=1)
    keys: list[str] = []
    for first, day in sorted(spans):
        keys.append(build_key(origin, Span(first, first, 1, day * DAY), SHA, Codec.BINARY))
        parsed = parse_key(keys[-1])
        assert parsed is not None
        origin = replace(origin, date_floor=parsed.date)
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("prefix", "clean"),
    [("", ""), ("/", ""), ("/a/", "a"), ("a//b", "a/b"), ("//a///b//", "a/b"), ("a.b/..c", "a.b/..c")],
)
def test_a_prefix_loses_its_superfluous_slashes(prefix: str, clean: str) -> None:
    assert check_prefix("prefix", prefix) == clean
    assert check_prefix("prefix", clean) == clean


@pytest.mark.parametrize("prefix", ["..", "a/../b", "./a", "a/.", "a\nb", "a\x00", "a\x9f", "\ud800"])
def test_a_prefix_that_points_elsewhere_is_refused(prefix: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_prefix("prefix", prefix)
    assert caught.value.field == "prefix"


def test_a_key_beyond_what_s3_takes_is_refused_at_the_order() -> None:
    with pytest.raises(Invalid, match="1024"):
        job_prefix("p" * 500, "\u65e5" * 100)


@pytest.mark.parametrize("job", ["", "0b9d3f1", "not-a-uuid", "../../../x"])
def test_a_job_id_that_is_no_uuid_is_refused(job: str) -> None:
    with pytest.raises(Invalid):
        job8(job)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "some/other/object",
        "n3v1/S/1/0001/0b9d3f1e/2023-11-14/00000000000000000005-00000000000000000020-6-0123456789abcdef-17-3.avro",
        "n3v1/S/1/0001/0b9d3f1e/2023-11-14/5-20-6-0123456789abcdef-17-3.n3c",
        "n3v1/%53/1/0001/0b9d3f1e/2023-11-14/00000000000000000005-00000000000000000020-6-0123456789abcdef-17-3.n3c",
        "n3v1/S/1/0001/0b9d3f1e/2023-11-14/00000000000000000005-00000000000000000020-6-0123456789abcdef-17-3.n3c.tmp",
        "n3v2/S/1/0001/0b9d3f1e/2023-11-14/00000000000000000005-00000000000000000020-6-0123456789abcdef-17-3.n3c",
    ],
)
def test_the_key_of_something_else_is_none_of_ours(key: str) -> None:
    assert parse_key(key) is None


@given(key=st.text(max_size=200))
def test_any_key_in_a_bucket_can_be_looked_at(key: str) -> None:
    parse_key(key)
