"""Event types: dataclasses there and back, older versions raised, unknown ones refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from json import loads
from typing import Any, Literal, NewType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import Fence, Position, Recorded, Registry, Undecodable, UnknownType, Version
from eventstore.types import from_json, to_json

Seq = NewType("Seq", int)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    ends: tuple[Point, Point]


@dataclass(frozen=True, slots=True)
class Drawn:
    seq: Seq
    name: str
    colour: Colour
    shape: Point | Line
    shapes: tuple[Point | Line, ...]
    ident: UUID
    ratio: float
    done: bool
    kind_of: Literal["a", "b"]
    note: str | None = None
    at: datetime | None = None
    raw: bytes = b""
    labels: dict[str, int] = field(default_factory=dict[str, int])
    ranges: tuple[tuple[int, int], ...] = ()


POINTS = st.builds(Point, st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
SHAPES = POINTS | st.builds(Line, st.tuples(POINTS, POINTS))
DRAWN = st.builds(
    Drawn,
    seq=st.integers(0, 2**63),
    name=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    colour=st.sampled_from(Colour),
    shape=SHAPES,
    shapes=st.lists(SHAPES, max_size=3).map(tuple),
    ident=st.uuids(),
    ratio=st.floats(-1e9, 1e9),
    done=st.booleans(),
    kind_of=st.sampled_from(["a", "b"]),
    note=st.none() | st.just("note"),
    at=st.none() | st.datetimes(timezones=st.just(UTC)),
    raw=st.binary(max_size=20),
    labels=st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    ranges=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3).map(tuple),
)


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.add(Drawn, "drawn")
    return registry


@given(event=DRAWN)
def test_an_event_comes_back_as_it_was_said(event: Drawn) -> None:
    registry = Registry()
    registry.add(Drawn, "drawn")
    new = registry.encode(event)
    assert (new.type, new.schema_version) == ("drawn", 1)
    assert registry.decode_data(new.type, new.schema_version, loads(new.text)) == event


def test_an_old_version_is_raised_step_by_step() -> None:
    registry = Registry()

    @registry.event("moved", 3)
    @dataclass(frozen=True)
    class Moved:
        x: int
        y: int
        why: str

    registry.upcaster("moved", 1)(lambda data: {"x": data["at"], "y": 0})
    registry.upcaster("moved", 2)(lambda data: {**data, "why": "unknown"})
    assert registry.decode_data("moved", 1, {"at": 4}) == Moved(4, 0, "unknown")
    assert registry.decode_data("moved", 2, {"x": 4, "y": 5}) == Moved(4, 5, "unknown")
    assert registry.encode(Moved(1, 2, "because")).schema_version == 3


def said(type_: str, version: int) -> Recorded:
    """An event of this type, of which nothing else matters."""
    at, entity = datetime(2026, 1, 1, tzinfo=UTC), ("a/1", Version(1), Fence(0))
    return Recorded(Position(1), *entity, type_, version, UUID(int=1), at, UUID(int=2), "", None, None, {})


@pytest.mark.parametrize(("type_", "version"), [("nothing", 1), ("drawn", 2)])
def test_what_is_unknown_or_newer_is_refused(registry: Registry, type_: str, version: int) -> None:
    with pytest.raises(UnknownType):
        registry.decode_data(type_, version, {})
    assert not registry.reads(said(type_, version))
    assert registry.reads(said("drawn", 1))
    assert registry.knows("drawn")
    assert not registry.knows("nothing")


def test_a_version_without_its_upcaster_is_refused() -> None:
    registry = Registry()
    registry.add(Point, "point", 2)
    with pytest.raises(UnknownType):
        registry.decode_data("point", 1, {"x": 1})


@pytest.mark.parametrize("data", [{}, {"x": "1"}, {"x": None}, {"x": [1]}])
def test_data_that_does_not_fit_is_named(data: dict[str, Any]) -> None:
    with pytest.raises(Undecodable, match="Point"):
        from_json(Point, data)


@dataclass(frozen=True, slots=True)
class Counted:
    n: int
    by: str
    note: str | None = None
    ranges: tuple[tuple[int, int], ...] = ()


def test_what_was_read_once_opens_the_way_for_nothing_else() -> None:
    """Types that were read once are read faster; others are judged as ever."""
    good = {"n": 1, "by": "ann", "note": None, "ranges": [[1, 2]]}
    for _ in range(2):
        assert from_json(Counted, good) == Counted(1, "ann", None, ((1, 2),))
    for wrong in (
        {"n": "1"},
        {"n": None},
        {"n": 1.5},
        {"by": 1},
        {"note": 1},
        {"ranges": [[1, "2"]]},
        {"n": "a", "by": 1},
    ):
        with pytest.raises(Undecodable, match="Counted"):
            from_json(Counted, {**good, **wrong})
    for _ in range(2):
        assert from_json(Counted, {"n": 2, "by": "bob"}) == Counted(2, "bob")
        assert from_json(Counted, {**good, "went": 7}) == Counted(1, "ann", None, ((1, 2),))
    with pytest.raises(Undecodable, match="by"):
        from_json(Counted, {"n": 2, "note": None, "ranges": []})


def test_a_field_that_came_later_takes_its_default_and_one_that_went_is_passed_over() -> None:
    assert from_json(Point, {"x": 1, "z": 5}) == Point(1.0, 0.0)


def test_what_has_no_place_in_an_event_is_refused_when_it_is_said() -> None:
    with pytest.raises(TypeError, match="object cannot be part of an event"):
        to_json(object())


def test_a_union_says_which_of_its_classes_it_is() -> None:
    line = Line((Point(1), Point(2)))
    event = Drawn(Seq(1), "n", Colour.RED, line, (line,), UUID(int=0), 0.5, done=True, kind_of="a")
    assert to_json(event)["shape"]["kind"] == "Line"
    assert to_json(event)["shapes"][0]["kind"] == "Line"
