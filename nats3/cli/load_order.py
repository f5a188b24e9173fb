"""A load order out of the options of a command line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from nats3.cli.amounts import moment, size
from nats3.cli.asking import Question, answers
from nats3.cli.exits import Exit, Refused
from nats3.cli.jobs import S3, Nats, body_of
from nats3.cli.output import Output


def _help(text: str, *names: str) -> Parameter:
    return Parameter(name=names or None, help=text)


_Texts = tuple[str, ...]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class PaceOptions:
    """How fast a load goes."""

    rate: Annotated[float | None, _help("Messages per second.")] = None
    bytes_rate: Annotated[str | None, _help("Bytes per second, as 5MB.")] = None
    speed: Annotated[float | None, _help("Original timing: 1 as it was, 2 twice as fast.")] = None
    max_gap: Annotated[str | None, _help("With --speed: no pause longer than this, as 5s.")] = None

    def body(self) -> dict[str, Any]:
        """Only what was given. Raises Refused."""
        rate = None if self.bytes_rate is None else size("--bytes-rate", self.bytes_rate)
        told = {"messages_per_s": self.rate, "bytes_per_s": rate, "speed": self.speed, "max_gap": self.max_gap}
        return {name: value for name, value in told.items() if value is not None}


QUESTIONS = (
    Question("name", "Name of the job"),
    Question("bucket", "Bucket", needed=True),
    Question("prefix", "Prefix of the object keys"),
    Question("read_stream", "Stream that was archived", needed=True),
    Question("read_consumer", "Consumer name of the store job"),
    Question("read_subject", "Which archived subjects, all otherwise"),
    Question("write_subject", "Subject to publish on, the original one otherwise"),
    Question("poll_interval", "Look for new chunks again after this time, as 5m"),
    Question("delete_chunks", "Delete each chunk once it is loaded, yes or no", choices=("yes", "no")),
    Question("from_time", "First time, RFC 3339"),
    Question("to_time", "Time to end before, RFC 3339"),
)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Everything that an order of a load may say."""

    name: Annotated[str | None, _help("Name of the job; one is made up otherwise.")] = None
    bucket: Annotated[str | None, _help("Bucket to read from.")] = None
    prefix: Annotated[str | None, _help("Prefix of the object keys.")] = None
    read_stream: Annotated[str | None, _help("Stream that was archived.")] = None
    read_consumer: Annotated[str | None, _help("Consumer name of the store job.")] = None
    read_subject: Annotated[
        _Texts,
        Parameter(
            ("--read-subject", "--subject"),
            negative=(),
            help="Which archived subjects, wildcards allowed; may be repeated.",
        ),
    ] = ()
    header: Annotated[
        _Texts, Parameter(negative=(), help="Only messages with this header line, as 'Region: eu'; may be repeated.")
    ] = ()
    from_seq: Annotated[int | None, _help("First seq.")] = None
    to_seq: Annotated[int | None, _help("Last seq.")] = None
    from_time: Annotated[
        str | None, _help("First time, RFC 3339, or how long ago, as 1h.", "--from-time", "--from")
    ] = None
    to_time: Annotated[str | None, _help("Time to end before, the same.", "--to-time", "--to")] = None
    limit: Annotated[int | None, _help("At most so many messages.")] = None
    write_subject: Annotated[str | None, _help("Subject to publish on; the original one otherwise.")] = None
    transform: Annotated[
        _Texts,
        Parameter(
            negative=(), help="SRC=DEST in NATS's own words, as 'orders.*=replay.{{wildcard(1)}}'; may be repeated."
        ),
    ] = ()
    unmatched: Annotated[Literal["pass", "refuse"] | None, _help("Subjects that no transform matches.")] = None
    mode: Annotated[
        Literal["auto", "atomic", "exclusive", "dedupe", "at_least_once"] | None, _help("How a message counts once.")
    ] = None
    strict_order: Annotated[bool | None, _help("One message at a time, where the mode could change the order.")] = None
    poll_interval: Annotated[str | None, _help("Look for new chunks again after this time, as 5m.")] = None
    delete_chunks: Annotated[bool | None, _help("Delete each chunk once it is loaded.")] = None

    nats: Nats = None
    s3: S3 = None

    def asked(self, output: Output) -> LoadOptions:
        """With answers in the place of what was not given. Raises Refused."""
        told: dict[str, Any] = dict(answers(output, [each for each in QUESTIONS if not getattr(self, each.field)]))
        if "read_subject" in told:
            told["read_subject"] = (told["read_subject"],)
        if "delete_chunks" in told:
            told["delete_chunks"] = told["delete_chunks"] == "yes"
        return replace(self, **told)

    def body(self, pace: PaceOptions, from_json: str | None) -> dict[str, Any]:
        """An order of version 2; of version 1 where a file without `kind` says nothing that only version 2 knows.

        Raises Refused.
        """
        plain = ("name", "bucket", "prefix", "read_stream", "read_consumer", "write_subject")
        given: dict[str, object] = {field: getattr(self, field) for field in (*plain, "poll_interval", "delete_chunks")}
        given |= {"from_time": moment(self.from_time), "to_time": moment(self.to_time)}
        known = ("from_seq", "to_seq", "limit", "mode", "strict_order", "nats", "s3")
        newer = {field: getattr(self, field) for field in known}
        newer |= {"unmatched_subjects": self.unmatched, "read_headers": _headers(self.header) or None}
        newer |= {"subject_transforms": [_pair(text) for text in self.transform] or None, "pace": pace.body() or None}
        subjects = list(self.read_subject)
        one, several = (subjects[0], None) if len(subjects) == 1 else (None, subjects or None)
        newer |= {"read_subjects": several}
        body = body_of(from_json, {**given, **newer, "read_subject": one}, ("bucket", "read_stream"))
        is_newer = from_json is None or any(value is not None for value in newer.values())
        return {"kind": "load", **body} if is_newer else body


def _headers(lines: _Texts) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or headers.setdefault(name.strip(), value.strip()) != value.strip():
            raise Refused(Exit.USAGE, f"--header {line!r}: give 'Name: value', and each name once")
    return headers


def _pair(text: str) -> dict[str, str]:
    src, equals, dest = text.partition("=")
    if not equals:
        raise Refused(Exit.USAGE, f"--transform {text!r}: give SRC=DEST, as 'orders.>=replay.>'")
    return {"src": src.strip(), "dest": dest.strip()}
