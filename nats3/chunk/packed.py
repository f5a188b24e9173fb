"""msgpack as chunks use it: integers, text, binary, nil, arrays and maps, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, NoReturn, cast

import msgpack

from nats3.chunk.layout import DecodeError

MAX_INT = (1 << 63) - 1
"""Seqs, times and sizes stay within a signed 64-bit integer, so that any language can read them."""

UNPACK_ERRORS = (ValueError, TypeError, OverflowError, MemoryError, RecursionError, msgpack.UnpackException)

_MAX_TEXT = 1 << 16
_MAX_KEYS = 64


def pack(value: object) -> bytes:
    return cast("bytes", msgpack.packb(value, use_bin_type=True))


def unpack_map(data: bytes, max_array: int) -> dict[str, Any]:
    """One map with text keys that fills `data` to its end. Raises DecodeError and nothing else.

    The unpacker reserves a list as long as an array says it is, so `max_array` should follow from the size of `data`.
    """
    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            use_list=True,
            ext_hook=_refuse_extension,
            object_pairs_hook=_unique,
            max_str_len=_MAX_TEXT,
            max_bin_len=len(data),
            max_array_len=max_array,
            max_map_len=_MAX_KEYS,
            max_ext_len=0,
        )
    except UNPACK_ERRORS as error:
        raise DecodeError(f"msgpack does not unpack: {error}") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in cast("dict[object, object]", value)):
        raise DecodeError("msgpack holds no map with text keys")
    return cast("dict[str, Any]", value)


def _unique(pairs: list[tuple[object, object]]) -> dict[object, object]:
    """The pairs as a dict; ValueError for a key that comes twice, which readers would take differently."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key comes twice")
    return members


def unpack_columns(data: bytes, names: int, max_length: int) -> dict[str, list[Any]]:
    """One map of `names` flat arrays that fills `data` to its end. Raises DecodeError and nothing else.

    Arrays within the arrays are refused before a list is made for them: a frame of nothing but array headers, each
    claiming a million elements, would reserve a thousand such lists.
    """
    unpacker = msgpack.Unpacker(
        raw=False,
        max_buffer_size=max(1, len(data)),
        max_str_len=_MAX_TEXT,
        max_array_len=0,
        max_map_len=0,
        max_ext_len=0,
    )
    try:
        unpacker.feed(data)
        if unpacker.read_map_header() != names:
            raise ValueError(f"no map of {names}")
        columns = {_name(unpacker): _column(unpacker, max_length) for _ in range(names)}
    except UNPACK_ERRORS as error:
        raise DecodeError(f"msgpack does not unpack: {error}") from error
    if unpacker.tell() != len(data):
        raise DecodeError("bytes follow the columns")
    return columns


def _name(unpacker: Any) -> str:  # noqa: ANN401 - msgpack has no types
    name = unpacker.unpack()
    if type(name) is not str:
        raise TypeError(f"a column is called {name!r:.40}")
    return name


def _column(unpacker: Any, max_length: int) -> list[Any]:  # noqa: ANN401 - msgpack has no types
    length = unpacker.read_array_header()
    if length > max_length:
        raise ValueError(f"a column of {length} values")
    return list(islice(unpacker, length))


def _refuse_extension(code: int, _: bytes) -> NoReturn:
    raise ValueError(f"extension type {code}")


class Fields:
    """A map whose members are taken out one by one, each with its type checked."""

    def __init__(self, place: str, members: object) -> None:
        if not isinstance(members, dict):
            raise DecodeError(f"{place} is no map")
        self._place = place
        self._members = dict(cast("dict[str, Any]", members))

    def _take(self, name: str, *types: type) -> Any:  # noqa: ANN401 - the type was just checked
        value = self._members.pop(name, _ABSENT)
        if type(value) not in types:
            raise DecodeError(f"{self._place} has no {name} of type {' or '.join(t.__name__ for t in types)}")
        return value

    def integer(self, name: str, least: int = 0) -> int:
        return whole(f"{self._place}.{name}", self._take(name, int), least)

    def text(self, name: str) -> str:
        return cast("str", self._take(name, str))

    def text_or_none(self, name: str) -> str | None:
        return cast("str | None", self._take(name, str, type(None)))

    def array(self, name: str) -> list[Any]:
        return cast("list[Any]", self._take(name, list))

    def map(self, name: str) -> Fields:
        return Fields(f"{self._place}.{name}", self._take(name, dict))

    def end(self) -> None:
        """Raises DecodeError when a member was left: this version of the format knows no other."""
        if self._members:
            raise DecodeError(f"{self._place} has an unknown member {min(self._members)!r}")


_ABSENT = object()


def whole(place: str, value: object, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= MAX_INT:
        raise DecodeError(f"{place} is no integer of at least {least}")
    return value


def all_of(column: Sequence[object], *types: type) -> bool:
    """Whether each element has one of exactly these types; False for bool where int is asked."""
    return set(map(type, column)) <= set(types)
