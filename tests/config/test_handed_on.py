"""Every setting of a connection reaches the room that connects: none is read and then forgotten."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from nats3.config import load
from nats3.connections import nats_of, s3_of
from nats3.jetstream.settings import NatsSettings
from nats3.objects.client import S3Settings

NEEDED = {"NATS3_NATS_URL": "nats://main.example", "NATS3_POSTGRES_URL": "postgresql://h/d"}
NATS = {
    "url": "tls://hub.example:4333",
    "tls_ca": "/n/ca",
    "tls_cert": "/n/cert",
    "tls_key": "/n/key",
    "tls_hostname": "name.example",
    "domain": "hub",
    "api_prefix": "JS.hub.API",
    "inbox_prefix": "_IN",
}
LOGINS = ({"user": "u", "password": "p"}, {"token": "t"}, {"creds": "/n/creds"}, {"nkey": "/n/nkey"})
S3 = {
    "endpoint": "https://s3.example",
    "region": "eu-north-1",
    "access": "AK",
    "secret": "hush",
    "session_token": "st",
    "tls_ca": "/s/ca",
    "addressing": "virtual",
}


def section(name: str, texts: dict[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {value!r}" for key, value in texts.items())])


def test_every_setting_of_nats_is_handed_on_with_every_way_to_log_in(tmp_path: Path) -> None:
    handed: set[str] = set()
    for number, login in enumerate(LOGINS):
        file = tmp_path / f"{number}.toml"
        file.write_text(section("nats.hub", {**NATS, **login}) + "\ntls_first = true\n")
        given = nats_of(load(NEEDED, file=file).more_nats["hub"], "node-a")
        wanted = NatsSettings(**NATS, **login, tls_first=True, name="nats3 node-a")
        assert given == wanted
        assert (given.password, given.token) == (login.get("password"), login.get("token")), "no repr shows them"
        handed |= {*NATS, *login, "tls_first", "name"}
    assert {each.name for each in fields(NatsSettings)} - handed == {"ping_every_s"}


def test_every_setting_of_s3_is_handed_on(tmp_path: Path) -> None:
    file = tmp_path / "nats3.toml"
    file.write_text(section("s3.cold", S3) + "\nmax_concurrency = 7\n")
    given = s3_of(load(NEEDED, file=file).more_s3["cold"])
    assert given == S3Settings(**S3, in_flight=7)  # type: ignore[arg-type]
    assert (given.secret, given.session_token) == ("hush", "st"), "no repr shows them"
