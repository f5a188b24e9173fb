"""What a scope reaches. Its promise: whatever it lets pass is inside, in Python as in SQL."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nats3 import subject
from nats3.access.roles import ROLES, at_least
from nats3.access.scope import Scope, check, covers, fits, like

TEXTS = st.text("ab.*%_\\", max_size=6)
TOKENS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4)


def test_each_role_may_do_what_those_before_it_may() -> None:
    assert [[at_least(role, needed) for needed in ROLES] for role in ROLES] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_a_job_is_seen_when_all_parts_that_are_given_fit() -> None:
    scope = Scope(jobs=("mine-*", "id-7"), streams=("A", "B*"), buckets=("x",))
    assert scope.sees("id-1", "mine-1", "B1", "x")
    assert scope.sees("id-7", "other", "A", "x")
    assert not scope.sees("id-8", "other", "A", "x")
    assert not scope.sees("id-7", "mine-1", "C", "x")
    assert not scope.sees("id-7", "mine-1", "A", "xy")
    assert Scope().sees("", "", "", "")
    assert Scope().is_everything


def test_an_order_is_told_each_part_that_is_outside() -> None:
    scope = Scope(jobs=("mine-*",), streams=("A",), buckets=("x",))
    assert [fault.field for fault in scope.faults_of("id", "other", "B", "y")] == ["name", "stream", "bucket"]
    assert scope.faults_of("id", "mine-2", "A", "x") == []


def test_a_token_bound_to_streams_orders_no_load_unless_it_names_the_subjects() -> None:
    assert Scope(streams=("A",)).fault_of_target(("a.b",)) is not None
    assert Scope(streams=("A",), subjects=("a.>",)).fault_of_target(("a.b",)) is None
    assert Scope(subjects=("a.*",)).fault_of_target(("a.>",)) is not None
    assert Scope(buckets=("x",)).fault_of_target(("anything",)) is None


@given(pattern=TEXTS, text=TEXTS)
def test_a_pattern_means_the_same_in_python_and_in_sql(pattern: str, text: str) -> None:
    def in_sql(mask: str, text: str) -> bool:
        """LIKE as Postgres does it, written down once more."""
        if not mask:
            return not text
        if mask[0] == "%":
            return any(in_sql(mask[1:], text[at:]) for at in range(len(text) + 1))
        if mask[0] == "\\":
            return text[:1] == mask[1] and in_sql(mask[2:], text[1:])
        return bool(text) and mask[0] in ("_", text[0]) and in_sql(mask[1:], text[1:])

    assert fits((pattern,), text) == in_sql(like(pattern), text)


@given(pattern=TOKENS, rest=st.booleans(), given_=TOKENS, all_=st.booleans())
def test_what_a_pattern_covers_never_reaches_beyond_it(
    *, pattern: list[str], rest: bool, given_: list[str], all_: bool
) -> None:
    wanted = ".".join([*pattern, ">"] if rest else pattern)
    asked = ".".join([*given_, ">"] if all_ else given_)
    if not covers(wanted, asked):
        return
    for end in ("a", "b.a", "z.z.z") if all_ else ("",):
        for star in ("a", "z"):
            literal = ".".join([*(star if part == "*" else part for part in given_), *([end] if end else [])])
            assert subject.matches(wanted, literal.encode())


def test_patterns_that_cannot_be_are_named() -> None:
    assert [fault.field for fault in check(Scope(jobs=("",), streams=("x" * 256,), subjects=("a\n",)))] == [
        "jobs",
        "streams",
        "subjects",
    ]
    assert list(check(Scope(jobs=("a",) * 32))) == []
    assert [fault.field for fault in check(Scope(jobs=("a",) * 33))] == ["jobs"]
