"""`nats3 config get` and `set`: what the command line keeps for its user, in the original's file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import STORE_JOB


@pytest.fixture
def file(run) -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"]) / "nats3" / "config.toml"


@pytest.fixture(autouse=True)
def _told_by_nobody_else(run, monkeypatch):
    monkeypatch.delenv("NATS3_URL")


def test_a_server_that_was_set_is_asked(api, run, file):
    api.answer("GET /api/v1/store/jobs", [STORE_JOB])
    ran = run("config", "set", "server-url", api.url)
    assert (ran.code, ran.out, ran.err) == (0, "", f"server-url is kept in {file}\n")
    assert run("config", "get", "server-url").out == f"{api.url}\n"
    assert run("store", "list", "-o", "name").out == "test-store-1772065940\n"


def test_a_form_that_was_set_is_printed_and_options_and_variables_stand_above(api, run, monkeypatch):
    api.answer("GET /api/v1/store/jobs", [STORE_JOB])
    assert run("config", "set", "server-url", "http://127.0.0.1:1").code == 0
    assert run("config", "set", "output-format", "name").code == 0
    assert run("config", "get").out == "server-url = http://127.0.0.1:1\noutput-format = name\n"
    assert run("store", "list", "--server", api.url).out == "test-store-1772065940\n"
    monkeypatch.setenv("NATS3_URL", api.url)
    monkeypatch.setenv("NATS3_OUTPUT", "jsonl")
    assert run("store", "list").out.startswith('{"id":')
    assert run("store", "list", "-o", "name").out == "test-store-1772065940\n"


def test_the_file_of_the_original_is_read_and_written_in_its_words(api, run, file):
    file.parent.mkdir(parents=True)
    file.write_text('server_url = "http://localhost:8080"\noutput_format = "Json"\n', "utf-8")
    assert run("config", "get", "output-format").out == "json\n"
    assert run("config", "set", "output-format", "table").code == 0
    assert file.read_text("utf-8") == 'server_url = "http://localhost:8080"\noutput_format = "Table"\n'


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ("config", "set", "output-format", "xml"),
            2,
            "output-format: xml is none of table, wide, json, jsonl, yaml, name",
        ),
        (("config", "set", "server-url", " "), 2, "server-url is no text: give one"),
        (("config", "get", "server-url"), 3, "server-url is not set: `nats3 config set server-url VALUE`"),
    ],
)
def test_what_cannot_be_kept_or_was_not_is_said(run, words, code, said):
    ran = run(*words)
    assert (ran.code, ran.out, ran.err) == (code, "", f"nats3: {said}\n")
    assert run("config", "get").out == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server_url", "is no TOML ("),
        ('output_format = "xml"', "output-format in {}: xml is none of"),
        ("server_url = 5", "server-url in {} is no text"),
    ],
)
def test_a_file_that_does_not_fit_is_named(run, file, text, said):
    file.parent.mkdir(parents=True)
    file.write_text(text, "utf-8")
    ran = run("store", "list")
    assert (ran.code, ran.out) == (2, "")
    assert said.format(file) in ran.err
