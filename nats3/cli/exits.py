"""How a command ends: the exit codes that scripts may rely on, and the one error that carries them."""

from __future__ import annotations

from enum import IntEnum

from nats3.errors import Nats3Error


class Exit(IntEnum):
    """The codes of the command line; docs and tests read this table."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    AUTH = 5
    UNREACHABLE = 6
    WITH_GAPS = 7
    TIMED_OUT = 124
    INTERRUPTED = 130


BY_STATUS = {
    400: Exit.USAGE,
    401: Exit.AUTH,
    403: Exit.AUTH,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    412: Exit.CONFLICT,
    413: Exit.USAGE,
    415: Exit.USAGE,
    422: Exit.USAGE,
    503: Exit.UNREACHABLE,
    504: Exit.TIMED_OUT,
}
"""What an HTTP status means for a script; any other that is no success is a FAILURE."""


class Refused(Nats3Error):
    """The command cannot do what was asked: print the text, end with `code`."""

    def __init__(self, code: Exit, text: str) -> None:
        super().__init__(text)
        self.code = code
