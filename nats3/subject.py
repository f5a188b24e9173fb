"""NATS subjects and names: which are valid, which match, which may be published to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from nats3.errors import Invalid

MAX_NAME = 255
MAX_SUBJECT = 4096
"""Bytes. The server's control line is that long by default, so no longer subject arrives."""

_FORBIDDEN_IN_NAME = re.compile(r"[.*>/\\\x00-\x20\x7f-\xa0\u2028\u2029]")
_HALF_A_PAIR = re.compile(r"[\ud800-\udfff]")
_MOST_SHOWN = 255
_FORBIDDEN_IN_SUBJECT = re.compile(rb"[\x00-\x20\x7f]")


def check_name(field: str, name: str) -> str:
    """The name of a stream or consumer as ADR-6 has it, unchanged. Raises Invalid."""
    if not name:
        raise Invalid(field, "is empty", "give a name")
    if len(name) > MAX_NAME:
        raise Invalid(field, f"has {len(name)} characters", f"use at most {MAX_NAME}")
    found = _FORBIDDEN_IN_NAME.search(name)
    if found or not _encodable(name):
        remedy = "leave out '.', '*', '>', '/', '\\', blanks and control characters"
        raise Invalid(field, f"{name!r} is no name in NATS", remedy)
    return name


def check_filter(field: str, subject: str) -> str:
    """A subject that may hold wildcards (`*` a token, `>` the rest), unchanged. Raises Invalid."""
    fault = _fault(subject.encode(errors="surrogatepass"), wildcards=True) if _encodable(subject) else "is no UTF-8"
    if fault:
        raise Invalid(
            field, f"{shown(subject)} {fault}", "use tokens with a '.' between, such as orders.*.new or orders.>"
        )
    return subject


def check_literal(field: str, subject: str) -> str:
    """A subject without wildcards, unchanged. Raises Invalid."""
    fault = _fault(subject.encode(errors="surrogatepass"), wildcards=False) if _encodable(subject) else "is no UTF-8"
    if fault:
        raise Invalid(field, f"{shown(subject)} {fault}", "use a subject such as orders.new, without wildcards")
    return subject


def _encodable(text: str) -> bool:
    return _HALF_A_PAIR.search(text) is None


def shown(text: str) -> str:
    """As it is told to who sent it: of a long one the beginning."""
    return repr(text) if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]!r}..."


def _fault(subject: bytes, *, wildcards: bool) -> str | None:
    """What is wrong with a subject, as the end of a sentence."""
    if not 0 < len(subject) <= MAX_SUBJECT:
        return f"has {len(subject)} bytes and not 1 to {MAX_SUBJECT}"
    if _FORBIDDEN_IN_SUBJECT.search(subject):
        return "holds a blank or a control character"
    tokens = subject.split(b".")
    if b"" in tokens:
        return "has an empty token"
    if b">" in tokens[:-1]:
        return "has tokens after '>'"
    if not wildcards and (b"*" in tokens or b">" in tokens):
        return "holds a wildcard"
    return None


class Filter:
    """One or more subject filters, of which one must match. Answers are remembered per distinct subject."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._everything = ">" in patterns
        self._expression = re.compile(b"|".join(_expression(pattern.encode()) for pattern in patterns), re.DOTALL)
        self._known: dict[bytes, bool] = {}

    def matches(self, subject: bytes) -> bool:
        return self._everything or self._expression.fullmatch(subject) is not None

    def mask(self, subjects: Sequence[bytes]) -> list[bool]:
        """For each subject whether it matches; the cost is one look-up for each but the first of its kind."""
        if self._everything:
            return [True] * len(subjects)
        known = self._known
        new = set(subjects).difference(known)
        if len(known) + len(new) > REMEMBERED:
            known = self._known = {}
            new = set(subjects)
        known.update((subject, self.matches(subject)) for subject in new)
        return list(map(known.__getitem__, subjects))


REMEMBERED = 100_000
"""Distinct subjects of which an answer is kept."""


def _expression(pattern: bytes) -> bytes:
    *front, last = pattern.split(b".")
    tokens = [rb"[^.]+" if token == b"*" else re.escape(token) for token in front]
    tokens.append({b"*": rb"[^.]+", b">": rb".+"}.get(last) or re.escape(last))
    return rb"\.".join(tokens)


@lru_cache(maxsize=256)
def compiled(patterns: tuple[str, ...]) -> Filter:
    return Filter(patterns)


def matches(pattern: str, subject: bytes) -> bool:
    return compiled((pattern,)).matches(subject)


def overlap(one: str, other: str) -> bool:
    """Whether there is a subject that both filters match; an empty filter takes everything."""
    ones, others = (one or ">").split("."), (other or ">").split(".")
    for mine, theirs in zip(ones, others, strict=False):
        if ">" in (mine, theirs):
            return True
        if "*" not in (mine, theirs) and mine != theirs:
            return False
    return len(ones) == len(others)


@dataclass(frozen=True, slots=True)
class TargetRule:
    """Which system subjects an order opted in to publish to."""

    key_value: bool = False
    objects: bool = False


def refusal(subject: bytes, rule: TargetRule = TargetRule()) -> str | None:
    r"""Why nothing may be published to this subject, as the end of a sentence; None when it may.

    An archived subject is input from outside: `x\r\nPUB $JS.API.STREAM.DELETE.Y` must never reach the wire.
    """
    fault = _fault(subject, wildcards=False)
    if fault:
        return fault
    if subject.startswith(b"_INBOX.") or subject == b"_INBOX":
        return "is an inbox"
    if not subject.startswith(b"$"):
        return None
    if (rule.key_value and subject.startswith(b"$KV.")) or (rule.objects and subject.startswith(b"$O.")):
        return None
    return "is a system subject"


def check_target(field: str, subject: str, rule: TargetRule = TargetRule()) -> str:
    """A literal subject that an order may publish to, unchanged. Raises Invalid."""
    check_literal(field, subject)
    why = refusal(subject.encode(), rule)
    if why:
        remedy = (
            "begin it neither with '$' nor with _INBOX; what was archived from $KV. goes back there when none is given"
        )
        raise Invalid(field, f"{shown(subject)} {why}", remedy)
    return subject
