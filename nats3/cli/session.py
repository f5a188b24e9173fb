"""What every command is given beside its own options: the server and the way to print."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nats3.cli.output import Output

if TYPE_CHECKING:
    from nats3.cli.client import Api


@dataclass(frozen=True)
class Session:
    """`server` is a URL; the client is made when a command first speaks to it."""

    server: str
    output: Output
    token: str | None = field(default=None, repr=False)

    @cached_property
    def api(self) -> Api:
        from nats3.cli.client import Api  # noqa: PLC0415 - `--help` and `config` need no HTTP client

        return Api(self.server, self.token)


Given = Annotated[Session, Parameter(parse=False)]
"""The type of a command's parameter that the launcher fills in."""
