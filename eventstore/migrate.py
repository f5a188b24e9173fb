"""The schema in the database: made and raised by alembic from the SQL files beside it, one migrator at a time.

Everything here waits for Postgres: call it from a thread when an event loop runs.
"""

from __future__ import annotations

import io
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import Connection, OperationalError, connect
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from eventstore.connection import parameters
from eventstore.errors import LogUnavailable, SchemaMissing, SchemaNewer

_LOCK = 7405


def known() -> str:
    """The newest revision of the schema that this program has."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def judge(found: str | None) -> None:
    """Raise SchemaMissing or SchemaNewer unless `found` is the revision that this program needs."""
    newest = known()
    if found is None or found < newest:
        raise SchemaMissing(found, newest)
    if found > newest:
        raise SchemaNewer(found, newest)


def current(url: str) -> str | None:
    """The revision that the database has; None: it has no log."""
    with _connect(url) as connection:
        return _current(connection)


def sql() -> str:
    """The whole schema as SQL, for those who migrate by hand."""
    config = _config()
    output = io.StringIO()
    config.attributes.update(as_sql=True, output=output)
    command.upgrade(config, "head", sql=True)
    return "CREATE SCHEMA IF NOT EXISTS es;\n\n" + output.getvalue().replace("%%", "%")


def migrate(url: str, application_role: str | None = None) -> str:
    """Raise the schema to the newest revision, as its owner; answers the revision.

    `application_role` is granted what a running program needs and no more. Raises SchemaNewer, LogUnavailable.
    """
    with _connect(url) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        found = _current(connection)
        if found is not None and found > known():
            raise SchemaNewer(found, known())
        connection.execute("CREATE SCHEMA IF NOT EXISTS es")
        connection.commit()
        _upgrade(connection)
        if application_role is not None:
            _grant(connection, application_role)
        connection.commit()
        return known()


def _connect(url: str) -> Connection:
    try:
        return connect(make_conninfo("", **{"connect_timeout": 5, **parameters(url)}))
    except OperationalError as fault:
        raise LogUnavailable(" ".join(str(fault).split())) from fault


def _current(connection: Connection) -> str | None:
    row = connection.execute("SELECT to_regclass('es.schema_version') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return None
    version = connection.execute("SELECT version_num FROM es.schema_version").fetchone()
    return version[0] if version else None


def _upgrade(connection: Connection) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)
    config = _config()
    with engine.connect() as opened:
        config.attributes.update(connection=opened)
        command.upgrade(config, "head")
        opened.commit()


def _grant(connection: Connection, role: str) -> None:
    """What the application may: read all, call the functions, keep snapshots and checkpoints, make its own tables."""
    for grant in (
        "GRANT USAGE ON SCHEMA es TO {}",
        "GRANT USAGE, CREATE ON SCHEMA public TO {}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA es TO {}",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA es TO {}",
        "REVOKE EXECUTE ON FUNCTION es.new_log_id FROM {}",
        "GRANT INSERT, UPDATE, DELETE ON es.snapshot, es.projection TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA es GRANT SELECT ON TABLES TO {}",
    ):
        connection.execute(SQL(grant).format(Identifier(role)))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
