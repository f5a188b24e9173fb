"""A run folded from a snapshot and what came after is the run folded from its first event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import reduce
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore import Undecodable
from eventstore.snapshots import pack, unpack
from nats3.job import loading, storing
from nats3.job.loading import LOADING_EVENTS, Loading
from nats3.job.running import RUN_EVENTS
from nats3.job.storing import STORING_EVENTS, Storing
from nats3.work.journal import FoldedState

TEXT = st.sampled_from(["a", "b", "life-1", "life-2", "ünï", ""])
NUMBER = st.integers(0, 12) | st.just(1 << 53)


def any_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type as it stands in an event."""
    plain = {int: NUMBER, str: TEXT, bool: st.booleans(), bytes: st.binary(max_size=20), NoneType: st.none()}
    if hint in plain:
        return plain[hint]
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{field.name: any_of(hints[field.name]) for field in fields(hint) if field.init})
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return st.sampled_from(arguments)
    if get_origin(hint) is UnionType:
        return st.one_of(*map(any_of, arguments))
    assert get_origin(hint) is tuple, hint
    if arguments[-1] is Ellipsis:
        return st.lists(any_of(arguments[0]), max_size=3).map(tuple)
    return st.tuples(*map(any_of, arguments))


def lives(*events: Sequence[type]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*(any_of(each) for group in events for each in group)), max_size=25)


def through_bytes(codec: FoldedState, state: Any) -> Any:
    return codec.decode(unpack(pack(codec.encode(state))))


def check(class_: type[Any], evolve: Callable[[Any, Any], Any], version: int, life: Sequence[Any], cut: int) -> None:
    codec = FoldedState(class_, version)
    kept = through_bytes(codec, reduce(evolve, life[:cut], class_()))
    assert reduce(evolve, life[cut:], kept) == reduce(evolve, life, class_())


@settings(deadline=None, max_examples=200)
@given(lives(STORING_EVENTS, RUN_EVENTS), st.integers(0, 25))
def test_of_a_store_job(life: list[Any], cut: int) -> None:
    check(Storing, storing.evolve, storing.FOLD, life, cut)


@settings(deadline=None, max_examples=200)
@given(lives(LOADING_EVENTS, RUN_EVENTS), st.integers(0, 25))
def test_of_a_load_job(life: list[Any], cut: int) -> None:
    check(Loading, loading.evolve, loading.FOLD, life, cut)


@dataclass(frozen=True, slots=True)
class Inner:
    n: int = 0


@dataclass(frozen=True, slots=True)
class State:
    inner: Inner | None = None


def test_a_state_of_a_class_that_had_other_fields_is_not_read() -> None:
    """A field that came later would have its default, and not what the events say."""

    @dataclass(frozen=True, slots=True)
    class Grown:
        inner: Inner | None = None
        more: int = 0

    Grown.__name__ = State.__name__
    kept = FoldedState(State, 1).encode(State(Inner(3)))
    assert FoldedState(State, 1).decode(kept) == State(Inner(3))
    with pytest.raises(Undecodable):
        FoldedState(Grown, 1).decode(kept)
    for garbage in (None, [], {}, "x", [1], [kept[0]], [kept[0], {"inner": 5}]):
        with pytest.raises(Undecodable):
            FoldedState(State, 1).decode(garbage)
