"""Subject transforms of NATS: how one subject becomes another."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from nats3.errors import Invalid
from nats3.subject import REMEMBERED, Filter, check_filter, check_literal, shown


class Transform:
    """A subject transform of NATS: `source -> destination`, as nats-server applies it to a stream's subjects.

    The destination holds literal tokens, `{{wildcard(n)}}` or `$n`, `{{partition(buckets, n, ...)}}`,
    `{{split(n, delimiter)}}`, `{{splitFromLeft(n, at)}}`, `{{splitFromRight(n, at)}}`, `{{sliceFromLeft(n, size)}}`,
    `{{sliceFromRight(n, size)}}`, `{{left(n, length)}}`, `{{right(n, length)}}`, n being the n-th `*` of the source;
    and `>` at its end exactly when the source has one.
    """

    def __init__(self, source: str, destination: str, field: str = "subject_transform") -> None:
        self._filter = Filter([check_filter(field, source)])
        tokens = source.encode().split(b".")
        self._stars = [place for place, token in enumerate(tokens) if token == b"*"]
        self._open_at = len(tokens) - 1 if tokens[-1] == b">" else None
        self._parts = _DESTINATION_TOKEN.findall(destination)
        self._pieces = [self._piece(field, part) for part in self._parts]
        self._check_shape(field, destination)

    def apply(self, subject: bytes) -> bytes | None:
        """What the subject becomes, None when the source does not match it."""
        if not self._filter.matches(subject):
            return None
        tokens = subject.split(b".")
        stars = [tokens[place] for place in self._stars]
        rest = [] if self._open_at is None else [b".".join(tokens[self._open_at :])]
        return b".".join([piece(stars) for piece in self._pieces] + rest)

    @property
    def reach(self) -> str:
        """A filter that everything matches which comes of it."""
        tokens: list[str] = []
        for part in self._parts:
            call = _CALL.fullmatch(part)
            if part == ">" or (call is not None and call["name"].lower() in _SEVERAL):
                return ".".join([*tokens, ">"])
            tokens.append("*" if call is not None or _DOLLAR.fullmatch(part) else part)
        return ".".join(tokens)

    def _piece(self, field: str, part: str) -> Piece:
        """What one token of the destination becomes, given what the stars of the source stand for."""
        if part == ">":
            return _REST
        call = _CALL.fullmatch(part) or _DOLLAR.fullmatch(part)
        if call is None and "{{" not in part:
            return _literal(check_literal(field, part).encode())
        try:
            piece = _function(call)
            piece([b"x"] * len(self._stars))
        except (ValueError, LookupError):
            remedy = "use a function of NATS, such as {{wildcard(1)}}, with a '*' of the source for each number"
            raise Invalid(field, f"{shown(part)} is no mapping", remedy) from None
        return piece

    def _check_shape(self, field: str, destination: str) -> None:
        is_open = bool(self._pieces) and self._pieces[-1] is _REST
        if _REST in self._pieces[:-1] or is_open != (self._open_at is not None):
            raise Invalid(field, "'>' ends only one side", "end both source and destination with '>', or neither")
        if not self._pieces or ".".join(self._parts) != destination:
            raise Invalid(field, f"{destination!r} is no destination", "use tokens with a '.' between")
        if is_open:
            self._pieces.pop()


class Transforms:
    """Several transforms, of which the first that matches decides, as in a stream's sources. Raises Invalid."""

    def __init__(self, pairs: Sequence[tuple[str, str]], field: str = "subject_transforms") -> None:
        self.each = [Transform(src, dest, f"{field}.{at}") for at, (src, dest) in enumerate(pairs)]
        self._known: dict[bytes, bytes | None] = {}

    def apply(self, subject: bytes) -> bytes | None:
        """What the subject becomes, None when no source matches it."""
        made = (each.apply(subject) for each in self.each)
        return next((new for new in made if new is not None), None)

    def apply_all(self, subjects: Sequence[bytes]) -> list[bytes | None]:
        """What each becomes; the cost is one look-up for each but the first of its kind."""
        if len(self._known) > REMEMBERED:
            self._known = {}
        known = self._known
        known.update((subject, self.apply(subject)) for subject in set(subjects).difference(known))
        return list(map(known.__getitem__, subjects))


def transform(text: str, field: str = "subject_transform") -> Transform:
    """Out of `source -> destination`. Raises Invalid."""
    source, arrow, destination = text.partition("->")
    if not arrow:
        raise Invalid(field, f"{text!r} has no '->'", "write it as orders.> -> replay.>")
    return Transform(source.strip(), destination.strip(), field)


Piece = Callable[[list[bytes]], bytes]

_DESTINATION_TOKEN = re.compile(r"\{\{[^}]*\}\}|[^.]+")
_SEVERAL = frozenset({"split", "splitfromleft", "splitfromright", "slicefromleft", "slicefromright"})
"""Functions that may make several tokens of one."""
_CALL = re.compile(r"\{\{\s*(?P<name>[a-zA-Z]+)\s*\((?P<arguments>[^()]*)\)\s*\}\}")
_DOLLAR = re.compile(r"\$(?P<arguments>[0-9]+)")


def _function(call: re.Match[str] | None) -> Piece:
    """Raises ValueError or LookupError for what is no function of NATS."""
    if call is None:
        raise ValueError("braces that are no call")
    name = call.groupdict().get("name") or "wildcard"
    return _FUNCTIONS[name.lower()]([argument.strip() for argument in call["arguments"].split(",")])


def _rest(_: list[bytes]) -> bytes:
    return b">"


_REST: Piece = _rest


def _literal(token: bytes) -> Piece:
    return lambda _: token


def _star(number: str) -> int:
    """Position of the n-th star; ValueError below 1."""
    place = int(number) - 1
    if place < 0:
        raise ValueError(number)
    return place


def _wildcard(arguments: list[str]) -> Piece:
    (number,) = arguments
    place = _star(number)
    return lambda stars: stars[place]


def _partition(arguments: list[str]) -> Piece:
    buckets, *numbers = arguments
    count, places = int(buckets), [_star(number) for number in numbers]
    if count < 1 or not places:
        raise ValueError(buckets)
    return lambda stars: b"%d" % (_fnv1a(b"".join(stars[place] for place in places)) % count)


def _fnv1a(data: bytes) -> int:
    """The 32-bit hash by which nats-server partitions."""
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def _split(arguments: list[str]) -> Piece:
    number, delimiter = arguments
    place, cut = _star(number), delimiter.encode()
    if not cut or b"." in cut or b" " in cut:
        raise ValueError(delimiter)
    return lambda stars: b".".join(filter(None, stars[place].split(cut)))


def _sized(cut: Callable[[bytes, int], bytes]) -> Callable[[list[str]], Piece]:
    """A function of a token and a size, which leaves the token as it is unless 0 < size < its length."""

    def make(arguments: list[str]) -> Piece:
        number, size_text = arguments
        place, size = _star(number), int(size_text)
        return lambda stars: cut(stars[place], size) if 0 < size < len(stars[place]) else stars[place]

    return make


def _slices(token: bytes, first: int, size: int) -> bytes:
    starts = [0, *range(first, len(token), size)] if first else list(range(0, len(token), size))
    return b".".join(token[start:stop] for start, stop in zip(starts, [*starts[1:], len(token)], strict=True))


_FUNCTIONS: dict[str, Callable[[list[str]], Piece]] = {
    "wildcard": _wildcard,
    "partition": _partition,
    "split": _split,
    "splitfromleft": _sized(lambda token, at: token[:at] + b"." + token[at:]),
    "splitfromright": _sized(lambda token, at: token[:-at] + b"." + token[-at:]),
    "slicefromleft": _sized(lambda token, size: _slices(token, 0, size)),
    "slicefromright": _sized(lambda token, size: _slices(token, len(token) % size, size)),
    "left": _sized(lambda token, length: token[:length]),
    "right": _sized(lambda token, length: token[-length:]),
}
