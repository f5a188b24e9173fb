"""In which mode a load may publish into a stream: what each demands of it, as one table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

from nats3.errors import Blocked
from nats3.jetstream.streams import StreamInfo
from nats3.job.order import PublishMode

Mode: TypeAlias = Literal["atomic", "exclusive", "dedupe", "at_least_once"]
Config: TypeAlias = Mapping[str, Any]

ATOMIC_SERVER = (2, 12, 1)
_LASTING_NS = 3600 * 1_000_000_000


ADDED: Mapping[str, int] = {"exclusive": 224, "atomic": 96}
"""Most bytes that publishing in a mode adds to a header block, beside the lines that every replayed message gets."""


def chosen(ordered: PublishMode, info: StreamInfo, server: tuple[int, int, int], marker: str | None) -> Mode:
    """The mode of the order, or for `auto` the strongest that the stream allows; who else writes nobody can see, so
    never `exclusive`.

    `marker` is the subject of the load's marker where the stream takes it, else None. Raises Blocked when the stream
    cannot do what was ordered.
    """
    if ordered == "auto":
        if not [*_against_atomic(info, server, marker), *_against_auto_atomic(info.config)]:
            return "atomic"
        return "at_least_once" if list(_against_dedupe(info)) else "dedupe"
    faults = {
        "atomic": lambda: _against_atomic(info, server, marker),
        "dedupe": lambda: _against_dedupe(info),
    }.get(ordered, lambda: iter(()))
    why = "; ".join(faults())
    if why:
        remedy = "change the stream, or order the load with another mode"
        raise Blocked("mode_impossible", f"the target stream {info.name} cannot take mode {ordered}: {why}; {remedy}")
    return ordered


_SET: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("subject_transform", bool, "it transforms subjects"),
    ("subject_delete_marker_ttl", bool, "it leaves markers where messages expire"),
    ("discard_new_per_subject", bool, "it discards new messages per subject"),
    ("mirror", bool, "it is a mirror"),
    ("sealed", bool, "it is sealed"),
)
"""Settings under which an atomic batch may be refused, or its marker not be found again."""


def _against_atomic(info: StreamInfo, server: tuple[int, int, int], marker: str | None) -> Iterator[str]:
    config = info.config
    if server < ATOMIC_SERVER:
        yield f"the server is {'.'.join(map(str, server))} and atomic batches need {'.'.join(map(str, ATOMIC_SERVER))}"
    if not config.get("allow_atomic"):
        yield "it does not allow atomic batches (allow_atomic)"
    if info.retention != "limits":
        yield f"its retention is {info.retention} and not limits"
    if marker is None:
        yield "it does not take the subject of the marker (add nats3.mark.> or nats3.mark.STREAM.> to its subjects)"
    yield from (text for name, fault, text in _SET if fault(config.get(name)))


def _against_auto_atomic(config: Config) -> Iterator[str]:
    """Where the marker may be evicted under a load that rests for a while, nobody chose that."""
    if 0 < int(config.get("max_age") or 0) < _LASTING_NS:
        yield "its messages expire within an hour"
    if int(config.get("max_msgs") or -1) > 0 or int(config.get("max_bytes") or -1) > 0:
        yield "it has a limit of messages or bytes"


def kept_per_subject(info: StreamInfo) -> int:
    """So many messages of a subject the stream keeps, each replaced by later ones and by nothing else; 0 where nobody can say
    so: without such a limit, where new ones are refused instead, where what was consumed goes, or subjects are changed.
    """
    most = int(info.config.get("max_msgs_per_subject") or 0)
    changes = info.config.get("discard_new_per_subject") or info.config.get("subject_transform")
    return max(0, most) if info.retention == "limits" and not changes else 0


def _against_dedupe(info: StreamInfo) -> Iterator[str]:
    """What was consumed or replaced is forgotten with its id when the server starts again, and nobody can look for it."""
    if int(info.config.get("duplicate_window") or 0) <= 0:
        yield "it remembers no message ids (duplicate_window)"
    if info.retention != "limits":
        yield f"its retention is {info.retention} and not limits: what was consumed is forgotten"
    if int(info.config.get("max_msgs_per_subject") or -1) > 0:
        yield "it keeps no more than a few messages of a subject (max_msgs_per_subject)"
