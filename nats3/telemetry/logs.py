"""The log: JSON for machines, columns for people, and no secret in either."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

Level = Literal["trace", "debug", "info", "warn", "error"]
LogFormat = Literal["auto", "json", "console"]
Log = FilteringBoundLogger

_OURS = {"trace": logging.NOTSET, "debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING}
_VENDORS = {"trace": logging.DEBUG, "debug": logging.INFO, "info": logging.WARNING, "warn": logging.WARNING}
_SECRET_KEY = re.compile(r"password|passwd|secret|token|authorization|credential|seed|access_key", re.IGNORECASE)
_LOGIN_IN_URL = re.compile(r"(?<=://)[^/\s@]+(?=@)")
HIDDEN = "***"
SHORTEST = 6
"""A secret below this length is a word like any other (`nats`, `demo`): to take it out would take sense out of lines."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes known secrets, logins in URLs, and whatever stands under a telling key out of a log line.

    A secret shorter than SHORTEST is hidden in URLs and under such keys only.
    """

    secrets: tuple[str, ...]

    def __call__(self, logger: WrappedLogger, name: str, line: EventDict) -> EventDict:
        del logger, name
        return {key: HIDDEN if _SECRET_KEY.search(key) else self._clean(value) for key, value in line.items()}

    def _clean(self, value: object) -> object:
        match value:
            case str():
                return self.text(value)
            case dict():
                items = cast("dict[object, object]", value).items()
                return {key: HIDDEN if _SECRET_KEY.search(str(key)) else self._clean(one) for key, one in items}
            case list() | tuple() | set():
                return [self._clean(one) for one in cast("Iterable[object]", value)]
            case None | bool() | int() | float():
                return value
            case _:
                return self.text(str(value))

    def text(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return _LOGIN_IN_URL.sub(HIDDEN, text)


def start_logging(level: Level, form: LogFormat, stream: TextIO, secrets: Iterable[str] = ()) -> Log:
    """The log of this process; what libraries log by `logging` goes through it too. Called once, by wiring."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_chain(form, stream, secrets)],
        )
    )
    logging.basicConfig(handlers=[handler], level=_VENDORS.get(level, logging.ERROR), force=True)
    # It warns of each statement that was given up on a Postgres that hangs: our own signals tell of that, ever more rarely.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    return make_log(level, form, stream, secrets)


def make_log(level: Level, form: LogFormat, stream: TextIO, secrets: Iterable[str] = ()) -> Log:
    """A log that writes to `stream`; nothing global is touched."""
    return cast(
        "Log",
        structlog.wrap_logger(
            structlog.PrintLogger(stream),
            processors=[structlog.processors.add_log_level, *_chain(form, stream, secrets)],
            wrapper_class=structlog.make_filtering_bound_logger(_OURS.get(level, logging.ERROR)),
            cache_logger_on_first_use=True,
        ),
    )


def _chain(form: LogFormat, stream: TextIO, secrets: Iterable[str]) -> list[Processor]:
    """Tracebacks become text before the redactor sees them: a renderer that draws them itself would show locals."""
    as_json = form == "json" or (form == "auto" and not stream.isatty())
    last: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        Redactor(tuple(text for text in secrets if len(text) >= SHORTEST)),
        last,
    ]
