"""Server-sent events for as long as anyone wants them: a line that breaks is taken up again behind the last event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from nats3.cli.exits import Exit, Refused

if TYPE_CHECKING:
    from nats3.cli.client import Api

SILENCE_S = 45.0
"""The server says every 15 s that it is there."""

_FIRST_S, _LONGEST_S = 0.25, 5.0


class Frame(NamedTuple):
    """What the server sent up to a blank line; None where it did not say."""

    last_id: str | None
    data: str | None


def follow(api: Api, path: str, query: dict[str, str | None], wait: Callable[[float, str], None]) -> Iterator[str]:
    """The data of each event, none twice and none left out, until the caller ends.

    Once a server has answered, one that goes away is asked again: `wait` takes the seconds until then, and why.
    Raises Refused where it never answered, or refuses to go on.
    """
    last, seconds = "", _FIRST_S
    while True:
        reason = f"{api.server} ended the line"
        try:
            headers = {"Last-Event-ID": last} if last else {}
            for frame in frames(api.lines(path, headers=headers, silence_s=SILENCE_S, **query)):
                last, seconds = frame.last_id or last, _FIRST_S
                if frame.data is not None:
                    yield frame.data
        except Refused as refused:
            if not last or refused.code is not Exit.UNREACHABLE:
                raise
            reason = str(refused)
        wait(seconds, reason)
        seconds = min(2 * seconds, _LONGEST_S)


def frames(lines: Iterable[str]) -> Iterator[Frame]:
    """What was sent whole; the rest of a line that broke in the middle comes again."""
    last_id = data = None
    for line in lines:
        name, _, value = line.partition(":")
        match name:
            case "id":
                last_id = value.strip()
            case "data":
                data = value.removeprefix(" ")
            case "" if not line:
                yield Frame(last_id, data)
                last_id = data = None
            case _:
                pass
