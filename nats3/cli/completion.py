"""`nats3 completion SHELL`: a script that lets a shell complete commands and options."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="The shell that is to read it.")], /
) -> None:
    """Print what lets a shell complete commands and options. Write it to a file once: it takes a second or two to make."""
    from nats3.cli.app import app  # noqa: PLC0415 - which names this command

    print(app.generate_completion(prog_name="nats3", shell=shell))  # noqa: T201 - a script is data
