"""`nats3 config ...`: what a server started here would be told, and what this command line keeps for its user."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from nats3.cli import preferences
from nats3.cli.exits import Exit, Refused
from nats3.cli.output import Columns
from nats3.cli.preferences import Key
from nats3.cli.session import Given
from nats3.config.load import load_with_sources
from nats3.config.show import schema as schema_of_settings
from nats3.config.show import shown

COLUMNS = Columns(
    usual=(("key", "key"), ("value", "value"), ("from", "source")),
    more=(("variable", "variable"), ("meaning", "about")),
    name="key",
)
ConfigFile = Annotated[Path | None, Parameter(help="TOML or YAML file; /etc/nats3/config.toml if it is there.")]

app = App(name="config")


@app.command
def show(*, config: ConfigFile = None, session: Given) -> None:
    """Every setting with its value and who said so; secrets are hidden."""
    rows = shown(*load_with_sources(os.environ, file=config))
    session.output.show(rows, rows, COLUMNS)


@app.command
def get(key: Annotated[Key | None, Parameter(help="Which; both without.")] = None, /) -> None:
    """What this command line was told for good. Options and NATS3_URL, NATS3_OUTPUT stand above it."""
    kept = preferences.read(os.environ)
    if key is None:
        sys.stdout.write("".join(f"{each} = {value}\n" for each, value in kept.items()))
    elif key in kept:
        sys.stdout.write(f"{kept[key]}\n")
    else:
        raise Refused(Exit.NOT_FOUND, f"{key} is not set: `nats3 config set {key} VALUE`")


@app.command(name="set")
def set_(
    key: Annotated[Key, Parameter(help="Which.")],
    value: Annotated[str, Parameter(help="A URL; or table, wide, json, jsonl, yaml, name.")],
    /,
) -> None:
    """Tell this command line for good which server to ask, or in which form to print."""
    file = preferences.write(os.environ, key, value)
    sys.stderr.write(f"{key} is kept in {file}\n")


@app.command
def check(*, config: ConfigFile = None, session: Given) -> None:
    """Say whether a server could start with these settings; nothing is contacted."""
    load_with_sources(os.environ, file=config)
    session.output.say("the configuration fits")


@app.command
def schema() -> None:
    """The JSON Schema of the file, for editors and for checks before it is put in place."""
    sys.stdout.write(json.dumps(schema_of_settings(), indent=2) + "\n")
