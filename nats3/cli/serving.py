"""`nats3 serve`: the server is imported by name when it is to run, so that no other command pays for it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, cast

from cyclopts import Parameter


def serve(
    *,
    config: Annotated[Path | None, Parameter(help="TOML or YAML file; /etc/nats3/config.toml if it is there.")] = None,
    addr: Annotated[str | None, Parameter(help="Where to listen, as 127.0.0.1:8080.")] = None,
    context: Annotated[str | None, Parameter(help="Context of the nats command line, by name or path.")] = None,
    insecure_bind: Annotated[
        bool, Parameter(negative=(), help="Listen beyond loopback although no token is asked for.")
    ] = False,
    workers: Annotated[
        int, Parameter(help="Run the jobs in so many processes beside this one, to use more than one core.")
    ] = 0,
) -> int:
    """Run the server until SIGTERM or SIGINT. Settings: option, then environment (NATS3_*), then file."""
    run = import_module("nats3.serve").serve
    return cast(
        "int", run(config_file=config, addr=addr, context=context, insecure_bind=insecure_bind, workers=max(0, workers))
    )
