"""A canary in every secret setting appears nowhere that a person or a log can see."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from nats3.config import Misconfigured, load
from nats3.config.load import load_with_sources
from nats3.config.settings import SETTINGS
from nats3.config.show import shown

CANARY = "hunter2-%2B-canary"
WITH_CANARY = {
    "NATS3_NATS_URL": f"nats://u:{CANARY}@h,nats://{CANARY}@h2",
    "NATS3_NATS_USER": "u",
    "NATS3_NATS_PASSWORD": CANARY,
    "NATS3_POSTGRES_URL": f"postgresql://u:{CANARY}@h/db",
    "NATS3_POSTGRES_MIGRATE_URL": f"postgresql://h/db?password={CANARY}@x&user=o",
    "NATS3_S3_ACCESS": "a",
    "NATS3_S3_SECRET": CANARY,
    "NATS3_S3_SESSION_TOKEN": CANARY,
}


def test_the_canary_sits_in_every_secret_setting():
    secret = {setting.variable for setting in SETTINGS if setting.secret}
    assert secret - set(WITH_CANARY) == {"NATS3_NATS_TOKEN"}  # no second login beside the user


def test_a_token_is_hidden_too():
    environ = {
        name: value for name, value in WITH_CANARY.items() if name not in {"NATS3_NATS_USER", "NATS3_NATS_PASSWORD"}
    }
    assert "canary" not in repr(load({**environ, "NATS3_NATS_TOKEN": CANARY}))


def test_no_repr_text_or_listing_of_the_settings_holds_a_secret():
    config, told = load_with_sources(WITH_CANARY)
    seen = [repr(config), str(config), f"{config.s3}", json.dumps(shown(config, told)), str(asdict(config).keys())]
    assert [text for text in seen if "canary" in text] == []


def test_no_refusal_repeats_a_secret():
    wrong = {name: value.replace("://", "//") + "\x01" for name, value in WITH_CANARY.items()}
    with pytest.raises(Misconfigured) as caught:
        load(wrong)
    assert len(caught.value.faults) >= 6
    assert "canary" not in str(caught.value)


def test_the_redactor_is_told_every_secret_as_written_and_as_decoded():
    assert {CANARY, CANARY.replace("%2B", "+")} <= set(load(WITH_CANARY).secrets())
    assert "u" not in load(WITH_CANARY).secrets()


def test_show_says_who_said_what():
    rows = {row["key"]: row for row in shown(*load_with_sources(WITH_CANARY))}
    assert list(rows) == [setting.key for setting in SETTINGS]
    assert (rows["s3.secret"]["value"], rows["s3.secret"]["source"]) == ("***", "NATS3_S3_SECRET")
    assert (rows["log"]["value"], rows["log"]["source"]) == ("info", "default")
    assert rows["postgres.url"]["value"] == "postgresql://u:***@h/db"
