"""The schema of the event log on the command line, against a real Postgres."""

from __future__ import annotations

import psycopg

from eventstore import migrate


def test_the_schema_is_made_once_and_its_revision_told(postgres_url, run, monkeypatch):
    monkeypatch.setenv("NATS3_NATS_URL", "nats://127.0.0.1:4222")
    monkeypatch.setenv("NATS3_POSTGRES_URL", postgres_url)
    before = run("db", "current")
    assert (before.code, before.out) == (1, "none\n")
    for _ in range(2):
        made = run("db", "upgrade")
        assert (made.code, made.out, made.err) == (0, "", f"the schema is at {migrate.known()}\n")
    after = run("db", "current", "--url", postgres_url)
    assert (after.code, after.out, after.err) == (0, f"{migrate.known()}\n", "")


def test_a_role_is_granted_what_a_running_program_needs(postgres_url, run):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        role = f"app_{connection.info.dbname}"
        connection.execute(f"CREATE ROLE {role} LOGIN")
        assert run("db", "upgrade", "--url", postgres_url, "--role", role).code == 0
        connection.execute(f"SET ROLE {role}")
        assert connection.execute("SELECT count(*) FROM es.event").fetchone() == (0,)
        connection.execute("RESET ROLE")
        connection.execute(f"DROP OWNED BY {role}")
        connection.execute(f"DROP ROLE {role}")


def test_the_schema_as_text(run):
    ran = run("db", "sql")
    assert (ran.code, ran.err) == (0, "")
    assert "CREATE FUNCTION es.append" in ran.out


def test_a_database_that_is_away_is_said_so(run):
    ran = run("db", "current", "--url", "postgresql://nobody@127.0.0.1:1/none")
    assert ran.code == 6
    assert ran.err.startswith("nats3: the event log is unavailable: ")


def test_a_newer_schema_is_left_alone(postgres_url, run):
    assert run("db", "upgrade", "--url", postgres_url).code == 0
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE es.schema_version SET version_num = '9999'")
    ran = run("db", "upgrade", "--url", postgres_url)
    assert (ran.code, "newer than" in ran.err) == (1, True)
