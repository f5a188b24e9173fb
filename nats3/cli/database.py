"""`nats3 db ...`: the schema of the event log. Speaks to Postgres itself, with the settings of the server."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from nats3.cli.exits import Exit, Refused
from nats3.cli.session import Given

ConfigFile = Annotated[Path | None, Parameter(help="TOML or YAML file; /etc/nats3/config.toml if it is there.")]
Url = Annotated[str | None, Parameter(help="URL of the owner; else postgres.migrate_url of the settings.")]

app = App(name="db")


@app.command
def upgrade(
    *,
    role: Annotated[str | None, Parameter(help="Grant this role what a running nats3 needs, and no more.")] = None,
    url: Url = None,
    config: ConfigFile = None,
    session: Given,
) -> None:
    """Raise the schema to what this program needs; does nothing where it is there."""
    revision = _log("migrate", _owner(url, config), role)
    session.output.say(f"the schema is at {revision}")


@app.command
def current(*, url: Url = None, config: ConfigFile = None) -> int:
    """Print the revision of the schema; ends with 1 where it is not what this program needs."""
    found, known = _log("current", _owner(url, config)), _log("known")
    sys.stdout.write(f"{found or 'none'}\n")
    if found == known:
        return Exit.OK
    sys.stderr.write(f"nats3: this program needs {known}\n")
    return Exit.FAILURE


@app.command
def sql() -> None:
    """Print the whole schema as SQL, for those who migrate by hand."""
    sys.stdout.write(_log("sql"))


def _log(name: str, *arguments: object) -> Any:  # noqa: ANN401 - what the library answers
    """Loaded by name, so that no other command pays for it. Its errors become one line."""
    errors = import_module("eventstore.errors")
    try:
        return getattr(import_module("eventstore.migrate"), name)(*arguments)
    except errors.LogUnavailable as fault:
        raise Refused(Exit.UNREACHABLE, str(fault)) from fault
    except errors.EventStoreError as fault:
        raise Refused(Exit.FAILURE, str(fault)) from fault


def _owner(url: str | None, config: Path | None) -> str:
    if url is not None:
        return url
    load: Any = import_module("nats3.config").load
    return load(os.environ, file=config).postgres.migrate_url.reveal()
