"""Types of events: dataclasses to JSON and back, and older versions raised to the newest when they are read."""

from __future__ import annotations

import types
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, Literal, NewType, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID, uuid4

from eventstore.errors import Undecodable, UnknownType
from eventstore.event import NewEvent, Recorded

Upcaster: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""Data of one schema version to data of the next; pure."""

C = TypeVar("C", bound=type[Any])
KIND = "kind"
"""The key that says which of a union's dataclasses a dict is: the name of its class."""


class Registry:
    """Which dataclass an event type is, at which schema version, and how older data is raised to it."""

    def __init__(self) -> None:
        self._class_of: dict[str, type[Any]] = {}
        self._name_of: dict[type[Any], str] = {}
        self._version_of: dict[str, int] = {}
        self._upcasters: dict[tuple[str, int], Upcaster] = {}

    def event(self, type_: str, schema_version: int = 1) -> Callable[[C], C]:
        """Decorator: this dataclass is the newest version of that event type."""

        def add(class_: C) -> C:
            self.add(class_, type_, schema_version)
            return class_

        return add

    def add(self, class_: type[Any], type_: str, schema_version: int = 1) -> None:
        """Say that `class_` is the newest version of an event type."""
        if type_ in self._class_of or class_ in self._name_of:
            raise ValueError(f"{type_} or {class_.__name__} is registered already")
        self._class_of[type_] = class_
        self._name_of[class_] = type_
        self._version_of[type_] = schema_version

    def upcaster(self, type_: str, schema_version: int) -> Callable[[Upcaster], Upcaster]:
        """Decorator: this raises data of `schema_version` to the next."""

        def add(upcaster: Upcaster) -> Upcaster:
            self._upcasters[type_, schema_version] = upcaster
            return upcaster

        return add

    def types(self) -> frozenset[str]:
        """All event types known."""
        return frozenset(self._class_of)

    def type_of(self, class_: type[Any]) -> str:
        """The event type of a registered dataclass."""
        return self._name_of[class_]

    def version_of(self, type_: str) -> int:
        """The newest schema version of a registered event type."""
        return self._version_of[type_]

    def knows(self, type_: str) -> bool:
        """Whether events of this type can be read; who needs no others may pass over the rest."""
        return type_ in self._class_of

    def reads(self, recorded: Recorded) -> bool:
        """Whether `decode` knows this type in this version; one of a newer program it does not."""
        return recorded.schema_version <= self._version_of.get(recorded.type, 0)

    def encode(self, event: object, event_id: UUID | None = None) -> NewEvent:
        """The event as it is stored."""
        type_ = self._name_of[type(event)]
        return NewEvent(type_, to_json(event), self._version_of[type_], event_id or uuid4())

    def decode(self, recorded: Recorded) -> Any:  # noqa: ANN401 - the caller matches on what he registered
        """The event as it was said. Raises UnknownType, Undecodable."""
        return self.decode_data(recorded.type, recorded.schema_version, recorded.data)

    def decode_data(self, type_: str, schema_version: int, data: Mapping[str, Any]) -> Any:  # noqa: ANN401 - see decode
        """The event that `data` of this type and version is, raised to the newest version."""
        newest = self._version_of.get(type_)
        if newest is None or schema_version > newest:
            raise UnknownType(type_, schema_version)
        raised: Mapping[str, Any] = data
        for version in range(schema_version, newest):
            upcaster = self._upcasters.get((type_, version))
            if upcaster is None:
                raise UnknownType(type_, version)
            raised = upcaster(dict(raised))
        return from_json(self._class_of[type_], raised)


def to_json(value: Any) -> Any:  # noqa: ANN401 - any value of an event
    """A value of a dataclass's field as JSON. Raises TypeError for what has no place in an event."""
    for type_, write in _WRITERS:
        if isinstance(value, type_):
            return write(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _dataclass_to_json(value)
    raise TypeError(f"{type(value).__name__} cannot be part of an event")


_WRITERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.value),
    ((str, int, float, type(None)), lambda value: value),
    (UUID, str),
    (bytes, lambda value: b64encode(value).decode()),
    (datetime, datetime.isoformat),
    ((tuple, list), lambda value: [to_json(item) for item in value]),
    ((frozenset, set), lambda value: sorted(to_json(item) for item in value)),
    (Mapping, lambda value: {key: to_json(item) for key, item in value.items()}),
)


def from_json(class_: type[Any], data: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the instance of class_
    """The dataclass that `to_json` made this of. Keys that it does not know are passed over. Raises Undecodable."""
    try:
        return _reader(class_)(data)
    except (TypeError, ValueError, KeyError, AttributeError) as fault:
        raise Undecodable(class_.__name__, f"{type(fault).__name__}: {fault}") from fault


def shape(class_: type[Any]) -> str:
    """All fields of a dataclass and of those inside it, with their types, as one line: equal shapes read each other's JSON."""
    found: dict[str, str] = {}
    waiting: list[Any] = [class_]
    while waiting:
        hint = waiting.pop()
        waiting += get_args(hint)
        if is_dataclass(hint) and isinstance(hint, type) and hint.__name__ not in found:
            hints = get_type_hints(hint)
            found[hint.__name__] = ",".join(f"{name}:{hints[name]}" for name in _field_names(hint))
            waiting += hints.values()
    return ";".join(f"{name}({found[name]})" for name in sorted(found))


def _dataclass_to_json(value: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    unions = _union_fields(type(value))
    result: dict[str, Any] = {}
    for name in _field_names(type(value)):
        inner = getattr(value, name)
        result[name] = to_json(inner)
        if name in unions:
            result[name] = _tagged(inner, result[name])
    return result


def _tagged(value: Any, data: Any) -> Any:  # noqa: ANN401 - any value and its JSON
    if is_dataclass(value):
        return {KIND: type(value).__name__, **data}
    if isinstance(value, tuple | list):
        items: Sequence[Any] = value
        return [_tagged(item, part) for item, part in zip(items, data, strict=True)]
    return data


@cache
def _field_names(class_: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(class_) if field.init)


@cache
def _union_fields(class_: type[Any]) -> frozenset[str]:
    hints = get_type_hints(class_)
    return frozenset(name for name in _field_names(class_) if _holds_union(hints[name]))


def _holds_union(hint: Any) -> bool:  # noqa: ANN401 - a type hint
    arguments = get_args(hint)
    if get_origin(hint) in {Union, types.UnionType}:
        return sum(is_dataclass(argument) for argument in arguments) > 1
    return any(_holds_union(argument) for argument in arguments)


Reader: TypeAlias = Callable[[Any], Any]


@cache
def _reader(hint: Any) -> Reader:  # noqa: ANN401 - a type hint
    """How a value of this type is read from JSON."""
    if isinstance(hint, NewType):
        return _reader(hint.__supertype__)
    if get_origin(hint) is not None:
        return _generic_reader(get_origin(hint), get_args(hint))
    if is_dataclass(hint) and isinstance(hint, type):
        return _dataclass_reader(hint)
    return _plain_reader(hint)


def _plain_reader(hint: Any) -> Reader:  # noqa: ANN401 - a type hint
    if isinstance(hint, type) and issubclass(hint, Enum | UUID):
        return hint
    table: dict[Any, Reader] = {
        float: lambda value: float(_must(int | float, value)),
        int: lambda value: _must(int, value),
        str: lambda value: _must(str, value),
        bool: lambda value: _must(bool, value),
        type(None): lambda value: _must(types.NoneType, value),
        bytes: b64decode,
        datetime: datetime.fromisoformat,
        Any: lambda value: value,
        dict: dict,
    }
    return table[hint]


def _must(type_: Any, value: Any) -> Any:  # noqa: ANN401 - any value
    if not isinstance(value, type_):
        raise TypeError(f"{value!r} is no {type_}")
    return value


def _generic_reader(origin: Any, arguments: tuple[Any, ...]) -> Reader:  # noqa: ANN401 - a type hint
    if origin is Literal:
        return lambda value: value
    if origin in {Union, types.UnionType}:
        return _union_reader(arguments)
    if origin is tuple and Ellipsis not in arguments:
        readers = [_reader(argument) for argument in arguments]
        return lambda value: tuple(read(item) for read, item in zip(readers, value, strict=True))
    if issubclass(origin, Mapping):
        read_value = _reader(arguments[1])
        return lambda value: {key: read_value(item) for key, item in value.items()}
    read_item = _reader(arguments[0])
    container: Any = {tuple: tuple, frozenset: frozenset}.get(origin, tuple)
    return lambda value: container(read_item(item) for item in value)


def _union_reader(arguments: tuple[Any, ...]) -> Reader:
    classes = [argument for argument in arguments if isinstance(argument, type) and is_dataclass(argument)]
    kinds = {class_.__name__: _reader(class_) for class_ in classes}
    others = [_reader(argument) for argument in arguments if argument is not type(None)]

    def read(value: Any) -> Any:  # noqa: ANN401 - any value
        if value is None and type(None) in arguments:
            return None
        if len(kinds) > 1 and isinstance(value, Mapping):
            return kinds[value[KIND]](value)
        return _first_that_reads(others, value)

    return read


def _first_that_reads(readers: Sequence[Reader], value: Any) -> Any:  # noqa: ANN401 - any value
    for read in readers[:-1]:
        try:
            return read(value)
        except (TypeError, ValueError, KeyError, AttributeError):
            continue
    return readers[-1](value)


def _dataclass_reader(class_: type[Any]) -> Reader:
    """Reads field by field; where keys and the types of their values are those of something read before, at once."""
    hints = get_type_hints(class_)
    parts = [
        (field.name, _reader(hints[field.name]), field.default is MISSING and field.default_factory is MISSING)
        for field in fields(class_)
        if field.init
    ]
    others = [(place, take) for place, (name, take, _) in enumerate(parts) if not _is_plain(hints[name])]
    names = [name for name, _, _ in parts]
    read_before: set[tuple[str | type, ...]] = set()

    def read(data: Any) -> Any:  # noqa: ANN401 - the instance
        shape = (*data, *map(type, data.values()))
        if shape in read_before:
            values = [data[name] for name in names]
            for place, take in others:
                values[place] = take(values[place])
            return class_(*values)
        made = class_(**{name: take(data[name]) for name, take, needed in parts if needed or name in data})
        if data.keys() >= set(names):
            read_before.add(shape)
        return made

    return read


def _is_plain(hint: Any) -> bool:  # noqa: ANN401 - a type hint
    """Whether the type of a value alone says that it is read, and it is read as it is."""
    if get_origin(hint) in {Union, types.UnionType}:
        return all(map(_is_plain, get_args(hint)))
    return isinstance(hint, type) and hint in {int, str, bool, types.NoneType}
