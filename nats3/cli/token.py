"""`nats3 token ...`: who may ask a server. The first token is made with access to the database; later ones by the API."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from nats3.cli.exits import Exit, Refused
from nats3.cli.output import Columns
from nats3.cli.session import Given

COLUMNS = Columns(
    usual=(("id", "id"), ("name", "name"), ("role", "role"), ("state", "state"), ("expires", "expires_at")),
    more=(
        ("streams", "scope.streams"),
        ("buckets", "scope.buckets"),
        ("jobs", "scope.jobs"),
        ("made by", "created_by"),
    ),
    name="id",
)
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "M": 30.0, "y": 365.0}
Patterns = Annotated[tuple[str, ...], Parameter(negative=())]
InDatabase = Annotated[
    bool, Parameter(name="--database", negative=(), help="Write to Postgres itself, with the settings of the server.")
]
ConfigFile = Annotated[Path | None, Parameter(help="Settings for --database: TOML or YAML file.")]

app = App(name="token")


@app.command
def create(
    name: str,
    *,
    role: Annotated[Literal["read", "operate", "admin"], Parameter(help="read, operate or admin.")] = "read",
    expires: Annotated[str | None, Parameter(help="How long it is good for, such as 12h, 30d or 1y.")] = None,
    job: Annotated[Patterns, Parameter(help="Only these jobs: id, name, or name with *. May be given often.")] = (),
    stream: Annotated[Patterns, Parameter(help="Only these streams; * stands for any characters.")] = (),
    bucket: Annotated[Patterns, Parameter(help="Only these buckets; * stands for any characters.")] = (),
    subject: Annotated[Patterns, Parameter(help="Only loads that publish on these subjects of NATS.")] = (),
    database: InDatabase = False,
    config: ConfigFile = None,
    session: Given,
) -> None:
    """Make a token and print it. This is the only time that anybody sees it."""
    scope = {"jobs": list(job), "streams": list(stream), "buckets": list(bucket), "subjects": list(subject)}
    said: dict[str, Any] = {"name": name, "role": role, "scope": scope}
    if database:
        text = asyncio.run(_create_in_database(said, expires, config))
    else:
        text = session.api.post("/api/v2/tokens", said | ({"expires_in": expires} if expires else {}))["token"]
    session.output.line(text)
    session.output.say("keep it: nobody can show it again. Give it as NATS3_TOKEN or by --token-file")


@app.command
def ls(*, session: Given) -> None:
    """All tokens that were ever made, without their secrets."""
    rows = session.api.items("/api/v2/tokens", 1000)
    session.output.show(rows, rows, COLUMNS)


@app.command
def revoke(
    token_id: Annotated[str, Parameter(help="The id, as `nats3 token ls` shows it.")],
    *,
    database: InDatabase = False,
    config: ConfigFile = None,
    session: Given,
) -> None:
    """End a token, at once and on every node; what it opened is closed."""
    if database:
        asyncio.run(_revoke_in_database(token_id, config))
    else:
        session.api.delete(f"/api/v2/tokens/{_plain(token_id)}")
    session.output.say(f"token {token_id} is revoked")


def _plain(token_id: str) -> str:
    if not (token_id.isascii() and token_id.isalnum()):
        raise Refused(Exit.USAGE, "that is no id of a token: it has 16 letters and digits; `nats3 token ls` shows them")
    return token_id


async def _create_in_database(said: dict[str, Any], expires: str | None, config: Path | None) -> str:
    """Checked like an order of the API, and written as the person who runs the command."""
    access = import_module("nats3.access.tokens")
    scopes = import_module("nats3.access.scope")
    scope = scopes.Scope(*(tuple(patterns) for patterns in said["scope"].values()))
    faults = [str(fault) for fault in scopes.check(scope)]
    if said["role"] == "admin" and not scope.is_everything:
        faults.append("a scope does not go with the role admin: use read or operate")
    if not (said["name"].strip() and said["name"].isprintable()):
        faults.append("the name is empty or holds characters that cannot be printed")
    if faults:
        raise Refused(Exit.USAGE, "; ".join(faults))
    written = access.mint(os.urandom(access.CHANCE))
    event = access.TokenCreated(said["name"], said["role"], written.digest, scope, _expiry(expires))
    append = (access.entity_of(written.token_id), 0, access.TOKENS.encode(event))
    await _append(*append, config, first=access.fault_of_first(said["role"]))
    return str(written.text)


async def _revoke_in_database(token_id: str, config: Path | None) -> None:
    access = import_module("nats3.access.tokens")
    event = access.TOKENS.encode(access.TokenRevoked())
    try:
        await _append(access.entity_of(_plain(token_id)), 1, event, config)
    except Refused as fault:
        raise Refused(Exit.NOT_FOUND, f"there is no token {token_id} that is not revoked") from fault


def _expiry(text: str | None) -> datetime | None:
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if unit not in _DAYS or not number.isascii() or not number.isdigit() or not 0 < int(number[:6]) == int(number):
        raise Refused(Exit.USAGE, f"--expires: {text} is no duration; give one such as 12h, 30d or 1y")
    now = datetime.now(UTC)  # noqa: TID251 - the border: a person says how long from now
    return now + timedelta(days=int(number) * _DAYS[unit])


async def _append(
    entity: str, expected: int, event: object, config: Path | None, first: Exception | None = None
) -> None:
    """Append to the log as the server would. Raises Refused; `first` is what speaks against it where there is no token yet."""
    log = import_module("eventstore")
    load: Any = import_module("nats3.config").load
    store = log.PostgresStore(load(os.environ, file=config).postgres.url.reveal())
    try:
        await store.check_schema()
        if first is not None and not await store.read_log(0, 1, {"token_created"}):
            raise Refused(Exit.USAGE, f"{first} --database")
        (outcome,) = await store.append([log.Append(entity, expected, 0, (event,), "cli")])
    except log.EventStoreError as fault:
        raise Refused(
            Exit.UNREACHABLE if isinstance(fault, log.LogUnavailable) else Exit.FAILURE, str(fault)
        ) from fault
    finally:
        await store.close()
    if not isinstance(outcome, log.Appended):
        raise Refused(Exit.CONFLICT, "somebody else changed it just now")
