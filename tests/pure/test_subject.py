"""Names, filters, targets and transforms of subjects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats3.errors import Invalid
from nats3.subject import (
    Filter,
    TargetRule,
    check_filter,
    check_literal,
    check_name,
    check_target,
    matches,
    overlap,
    refusal,
)
from nats3.transform import Transforms, transform


@pytest.mark.parametrize("name", ["ORDERS", "a-b_c", "\u00fcber", "x" * 255, "$weird", "a:b"])
def test_a_name_of_adr_6_is_taken_as_it_is(name: str) -> None:
    assert check_name("stream", name) == name


@pytest.mark.parametrize(
    "name",
    ["", "a.b", "a*", "a>", "a/b", "a\\b", "a b", "a\tb", "a\r\nb", "a\x00", "a\x7f", "x" * 256, "\ud800", "a\u2028b"],
)
def test_a_name_outside_of_adr_6_is_refused_with_its_field(name: str) -> None:
    with pytest.raises(Invalid, match=r"^stream: .*; ") as caught:
        check_name("stream", name)
    assert caught.value.field == "stream"


@pytest.mark.parametrize("subject", ["a", "a.b", "orders.*.new", "orders.>", ">", "*", "a*.b>", "\u00fc.x", "$KV.b.>"])
def test_a_filter_may_hold_wildcards(subject: str) -> None:
    assert check_filter("subject", subject) == subject


@pytest.mark.parametrize(
    "subject", ["", ".", "a.", ".a", "a..b", "a.>.b", "a b", "a\r\nb", "a\x01", "x" * 4097, "\udcff"]
)
def test_what_is_no_subject_is_refused(subject: str) -> None:
    with pytest.raises(Invalid):
        check_filter("subject", subject)
    with pytest.raises(Invalid):
        check_literal("subject", subject)


@pytest.mark.parametrize("subject", ["*", ">", "a.*", "a.>"])
def test_a_literal_holds_no_wildcard(subject: str) -> None:
    with pytest.raises(Invalid, match="wildcard"):
        check_literal("subject", subject)


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b", b"a.b", True),
        ("a.b", b"a.c", False),
        ("a.b", b"a.b.c", False),
        ("a.*", b"a.b", True),
        ("a.*", b"a.b.c", False),
        ("a.*", b"a", False),
        ("a.*.c", b"a.\xff.c", True),
        ("a.>", b"a.b.c", True),
        ("a.>", b"a", False),
        ("a.>", b"ab.c", False),
        (">", b"a", True),
        ("*", b"a", True),
        ("*", b"a.b", False),
        ("a+.b", b"aa.b", False),
        ("a*.b", b"a*.b", True),
        ("a*.b", b"ax.b", False),
        ("*.>", b"a", False),
        ("a.>", b"a.b\nc", True),
    ],
)
def test_filters_match_as_the_server_matches(pattern: str, subject: bytes, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    assert matches(pattern, subject) is expected


TOKENS = st.lists(st.sampled_from(["a", "b", "ab", "*x"]), min_size=1, max_size=4)
PATTERNS = st.lists(st.sampled_from(["a", "b", "ab", "*", ">"]), min_size=1, max_size=4).filter(
    lambda tokens: ">" not in tokens[:-1]
)


def by_the_book(pattern: list[str], subject: list[str]) -> bool:
    match pattern, subject:
        case [], []:
            return True
        case [">"], [_, *_]:
            return True
        case [token, *rest], [first, *others] if token in ("*", first):
            return by_the_book(rest, others)
        case _:
            return False


@given(patterns=st.lists(PATTERNS, min_size=1, max_size=3), subjects=st.lists(TOKENS, max_size=8))
def test_any_of_several_filters_may_match(patterns: list[list[str]], subjects: list[list[str]]) -> None:
    filters = Filter([".".join(pattern) for pattern in patterns])
    expected = [any(by_the_book(pattern, subject) for pattern in patterns) for subject in subjects]
    for _ in range(2):
        assert filters.mask([".".join(subject).encode() for subject in subjects]) == expected


@pytest.mark.parametrize(
    "subject",
    [
        b"$JS.API.STREAM.DELETE.X",
        b"$SYS.REQ",
        b"$KV.bucket.key",
        b"$O.bucket.C.x",
        b"$",
        b"_INBOX.abc",
        b"_INBOX",
        b"a.*",
        b"a.>",
        b"a b",
        b"a\r\nPUB $JS.API.STREAM.DELETE.X",
        b"a\n",
        b"a\x00",
        b"",
        b"a..b",
    ],
)
def test_what_would_harm_the_target_is_refused(subject: bytes) -> None:
    assert refusal(subject)


@pytest.mark.parametrize("byte", [*range(0x21), 0x7F])
def test_no_byte_that_could_end_a_protocol_line_passes(byte: int) -> None:
    subject = b"a" + bytes([byte]) + b"b"
    assert refusal(subject, TargetRule(key_value=True, objects=True)) == "holds a blank or a control character"
    with pytest.raises(Invalid):
        check_filter("subject", subject.decode())


@given(subject=st.binary(max_size=20))
def test_a_subject_that_passes_has_no_empty_token_and_no_wildcard(subject: bytes) -> None:
    if refusal(subject) is None:
        assert {b"", b"*", b">"}.isdisjoint(subject.split(b"."))


@pytest.mark.parametrize("subject", [b"orders.new", b"_INBOXES.a", b"x.$JS.y", b"\xff\xfe", b"_inbox.a"])
def test_an_ordinary_subject_may_be_published_to(subject: bytes) -> None:
    assert refusal(subject) is None


def test_key_value_and_object_subjects_want_an_order_that_says_so() -> None:
    assert refusal(b"$KV.b.k", TargetRule(key_value=True)) is None
    assert refusal(b"$O.b.C.x", TargetRule(objects=True)) is None
    assert refusal(b"$O.b.C.x", TargetRule(key_value=True))
    assert refusal(b"$JS.API.INFO", TargetRule(key_value=True, objects=True))


def test_a_target_of_an_order_is_refused_with_field_and_remedy() -> None:
    assert check_target("write_subject", "replayed") == "replayed"
    with pytest.raises(Invalid) as caught:
        check_target("write_subject", "$JS.API.STREAM.PURGE.X")
    assert (caught.value.field, caught.value.fault) == ("write_subject", "'$JS.API.STREAM.PURGE.X' is a system subject")


@pytest.mark.parametrize(
    ("text", "subject", "expected"),
    [
        ("orders.*.> -> replay.{{wildcard(1)}}.>", b"orders.eu.new.big", b"replay.eu.new.big"),
        ("orders.> -> replay.>", b"orders.a.b", b"replay.a.b"),
        ("orders.> -> replay.>", b"other.a", None),
        ("> -> old.>", b"a.b", b"old.a.b"),
        ("*.* -> $2.$1", b"a.b", b"b.a"),
        ("*.* -> {{ Wildcard( 2 ) }}.x.{{wildcard(1)}}", b"a.b", b"b.x.a"),
        ("a -> b", b"a", b"b"),
        ("*.* -> {{partition(10,1,2)}}.$1", b"foo.bar", b"0.foo"),
        ("* -> {{partition(3,1)}}", b"x", b"0"),
        ("* -> {{splitFromLeft(1,3)}}", b"abcde", b"abc.de"),
        ("* -> {{splitFromRight(1,3)}}", b"abcde", b"ab.cde"),
        ("* -> {{splitFromLeft(1,9)}}", b"abcde", b"abcde"),
        ("* -> {{sliceFromLeft(1,2)}}", b"abcde", b"ab.cd.e"),
        ("* -> {{sliceFromRight(1,2)}}", b"abcde", b"a.bc.de"),
        ("* -> {{sliceFromRight(1,2)}}", b"abcd", b"ab.cd"),
        ("* -> {{split(1,-)}}", b"-a--b-", b"a.b"),
        ("* -> {{split(1,-)}}", b"ab", b"ab"),
        ("* -> {{left(1,2)}}", b"abcde", b"ab"),
        ("* -> {{right(1,2)}}", b"abcde", b"de"),
    ],
)
def test_a_transform_maps_as_the_server_maps(text: str, subject: bytes, expected: bytes | None) -> None:
    mapping = transform(text)
    assert mapping.apply(subject) == expected


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("orders.> -> replay.>", "replay.>"),
        ("*.*.> -> x.{{wildcard(2)}}.$1.>", "x.*.*.>"),
        ("*.* -> {{partition(9,1)}}.{{left(1,2)}}.{{Right(2,1)}}.y", "*.*.*.y"),
        ("*.* -> a.{{split(1,-)}}.b", "a.>"),
        ("* -> a.{{SliceFromLeft(1,2)}}", "a.>"),
        ("a -> b", "b"),
    ],
)
def test_all_that_comes_of_a_transform_is_within_its_reach(text: str, reach: str) -> None:
    assert transform(text).reach == reach


def test_of_several_transforms_the_first_that_matches_decides() -> None:
    several = Transforms([("a.b", "one"), ("a.*", "two.{{wildcard(1)}}")])
    assert several.apply_all([b"a.b", b"a.c", b"b", b"a.b"]) == [b"one", b"two.c", None, b"one"]


@pytest.mark.parametrize(
    "text",
    [
        "orders.>",
        "orders.> -> replay",
        "orders -> replay.>",
        "orders.> -> replay.>.x",
        "orders.> -> *.>",
        "orders.* -> replay.{{wildcard(2)}}",
        "orders.* -> replay.{{wildcard(0)}}",
        "orders.* -> replay.{{wildcard()}}",
        "orders.* -> replay.{{wildcard(x)}}",
        "orders.* -> replay.{{launch(1)}}",
        "orders.* -> replay.{{partition(0,1)}}",
        "orders.* -> replay.{{partition(5)}}",
        "orders.* -> x{{wildcard(1)}}",
        "orders.* -> $2",
        "orders.* -> ",
        "orders.* -> a..b",
        "orders.* -> a b",
        "orders..x -> a",
        " -> a",
    ],
)
def test_a_transform_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        transform(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a.b", "a.b"), ("a.*", "a.b"), ("a.*", "*.b"), ("a.>", "a.b.c"), ("a.>", "*.*.c"), (">", "a.b"), ("", "a.b")],
)
def test_filters_overlap_where_a_subject_matches_both(one: str, other: str) -> None:
    assert overlap(one, other)
    assert overlap(other, one)


@pytest.mark.parametrize(("one", "other"), [("a.b", "a.c"), ("a.*", "a.b.c"), ("a.>", "a"), ("a.>", "b.>")])
def test_filters_that_no_subject_matches_together_are_apart(one: str, other: str) -> None:
    assert not overlap(one, other)
    assert not overlap(other, one)
