"""Tokens on the command line: the first one with access to Postgres, later ones over HTTP, none on the command line."""

from __future__ import annotations

import re

import psycopg
import pytest

from eventstore import migrate
from nats3.cli.app import COMMANDS

TEXT = re.compile(r"n3_[0-9a-f]{16}_[0-9a-f]{64}\n")
MADE = {"id": "0123456789abcdef", "name": "ci", "role": "operate", "state": "valid", "token": "n3_x_y"}


@pytest.fixture
def database(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NATS3_NATS_URL", "nats://127.0.0.1:4222")
    monkeypatch.setenv("NATS3_POSTGRES_URL", postgres_url)
    migrate.migrate(postgres_url)
    return postgres_url


def events(url: str) -> list[tuple[str, str, dict[str, object]]]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT type, actor, data FROM es.event ORDER BY position")
        return [(row[0], row[1], row[2]) for row in found]


def test_the_first_token_is_made_and_revoked_with_access_to_the_database(database, run):
    made = run("token", "create", "boss", "--role", "admin", "--expires", "30d", "--database")
    assert (made.code, made.err) == (
        0,
        "keep it: nobody can show it again. Give it as NATS3_TOKEN or by --token-file\n",
    )
    assert TEXT.fullmatch(made.out)
    ((kind, actor, data),) = events(database)
    assert (kind, actor, data["name"], data["role"]) == ("token_created", "cli", "boss", "admin")
    assert made.out.strip().rpartition("_")[2] not in str(data)

    token_id = made.out.split("_")[1]
    assert run("token", "revoke", token_id, "--database").code == 0
    assert run("token", "revoke", token_id, "--database").code == 3
    assert run("token", "revoke", "0" * 16, "--database").code == 3
    assert [kind for kind, _, _ in events(database)] == ["token_created", "token_revoked"]


def test_the_first_token_is_one_of_an_admin_who_can_make_others(database, run):
    refused = run("token", "create", "x", "--database")
    assert (refused.code, refused.out) == (2, "")
    assert "--role admin" in refused.err
    assert events(database) == []
    assert run("token", "create", "boss", "--role", "admin", "--database").code == 0
    assert run("token", "create", "x", "--database").code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("--role", "admin", "--stream", "a"),
        ("--expires", "soon"),
        ("--expires", "0d"),
        ("--stream", ""),
        ("--role", "root"),
    ],
)
def test_a_token_that_cannot_be_is_refused_and_nothing_is_recorded(database, run, words):
    refused = run("token", "create", "x", *words, "--database")
    assert (refused.code, refused.out) == (2, "")
    assert events(database) == []


def test_a_database_without_the_schema_says_so(postgres_url, run, monkeypatch):
    monkeypatch.setenv("NATS3_NATS_URL", "nats://127.0.0.1:4222")
    monkeypatch.setenv("NATS3_POSTGRES_URL", postgres_url)
    refused = run("token", "create", "x", "--database")
    assert refused.code == 1
    assert "schema" in refused.err


def test_later_tokens_are_made_listed_and_revoked_over_http(api, run):
    api.answer("POST /api/v2/tokens", MADE, status=201)
    made = run("token", "create", "ci", "--role", "operate", "--stream", "a*", "--stream", "b", "--expires", "30d")
    assert (made.code, made.out) == (0, "n3_x_y\n")
    scope = {"jobs": [], "streams": ["a*", "b"], "buckets": [], "subjects": []}
    assert api.asked[0][1] == {"name": "ci", "role": "operate", "scope": scope, "expires_in": "30d"}

    api.answer("GET /api/v2/tokens?limit=1000", {"items": [MADE]})
    assert run("token", "ls", "-o", "name").out == "0123456789abcdef\n"
    api.answer("DELETE /api/v2/tokens/0123456789abcdef", "", status=204)
    assert run("token", "revoke", "0123456789abcdef").code == 0
    assert run("token", "revoke", "../jobs/x").code == 2


def test_the_token_is_shown_to_the_server_and_comes_from_the_environment_or_a_file(api, run, monkeypatch, tmp_path):
    api.answer("GET /api/v1/store/jobs", [])
    monkeypatch.setenv("NATS3_TOKEN", "n3_of_environment")
    assert run("store", "list").code == 0
    file = tmp_path / "token"
    file.write_text("n3_of_file\n")
    assert run("--token-file", str(file), "store", "list").code == 0
    monkeypatch.setenv("NATS3_TOKEN_FILE", str(file))
    monkeypatch.delenv("NATS3_TOKEN")
    assert run("store", "list").code == 0
    assert api.tokens == ["Bearer n3_of_environment", "Bearer n3_of_file", "Bearer n3_of_file"]


def test_a_file_that_is_not_there_and_a_token_that_is_none_are_said_so(run, tmp_path, monkeypatch):
    assert run("--token-file", str(tmp_path / "none"), "store", "list").code == 2
    monkeypatch.setenv("NATS3_TOKEN", "n3_\r\nHost: evil")
    refused = run("store", "list")
    assert (refused.code, "evil" in refused.err) == (2, False)


def test_a_refusal_ends_with_5_and_no_command_takes_a_token_as_a_word(api, run):
    api.answer("GET /api/v1/store/jobs", {"error": "send a token"}, status=401)
    refused = run("store", "list")
    assert (refused.code, refused.err) == (5, "nats3: send a token\n")
    for name, _, _ in COMMANDS:
        assert "--token " not in run(name, "--help").out
