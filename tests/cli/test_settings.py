"""`nats3 config` and how `nats3 serve` refuses to start."""

from __future__ import annotations

import json
import os

import pytest

from nats3.config.settings import SETTINGS
from tests.cli.test_program import nats3

NEEDED = {"NATS3_NATS_URL": "nats://h", "NATS3_POSTGRES_URL": "postgresql://u:hunter2@h/db"}


def plain(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("NATS3_")} | more


def test_show_lists_every_setting_without_its_secret():
    done = nats3("config", "show", "-o", "jsonl", env=plain(**NEEDED))
    assert done.returncode == 0
    assert '"key":"postgres.url","value":"postgresql://u:***@h/db","source":"NATS3_POSTGRES_URL"' in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_check_says_that_the_settings_fit():
    done = nats3("config", "check", env=plain(**NEEDED))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "the configuration fits\n")


def test_check_tells_what_does_not_fit_and_ends_with_2():
    done = nats3("config", "check", env=plain(**NEEDED, NATS3_SERVER_ADR="x"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "nats3: the configuration does not fit:\n"
        "  NATS3_SERVER_ADR: is no variable that nats3 knows\n"
        "      did you mean NATS3_SERVER_ADDR?\n"
    )


def test_the_schema_knows_every_key_of_the_file_and_no_other():
    done = nats3("config", "schema", env=plain())
    schema = json.loads(done.stdout)
    assert done.returncode == 0
    assert schema["properties"]["server"]["properties"]["insecure_bind"]["type"] == "boolean"
    assert schema["properties"]["nats"]["additionalProperties"] is False
    keys = {
        f"{group}.{name}" if "properties" in value else group
        for group, value in schema["properties"].items()
        for name in value.get("properties", {"": None})
    }
    assert keys == {setting.key for setting in SETTINGS if setting.in_file}


def test_a_global_option_that_a_command_cannot_use_is_refused():
    done = nats3("serve", "-o", "json", env=plain())
    assert (done.returncode, done.stderr) == (
        2,
        "nats3: --server, --output and --token-file mean nothing to this command\n",
    )


@pytest.mark.parametrize("words", [("serve",), ("serve", "--addr", "127.0.0.1:0")])
def test_serve_without_its_settings_ends_with_2_and_no_traceback(words):
    pytest.importorskip("nats3.serve", reason="the server is not in the tree yet")
    done = nats3(*words, env=plain())
    assert (done.returncode, done.stdout) == (2, "")
    assert "NATS3_NATS_URL: is not set" in done.stderr
    assert "Traceback" not in done.stderr
