"""Connections with a name: sections of the file, each checked as those called main are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nats3.config import Config, Misconfigured, load
from nats3.config.load import load_with_sources
from nats3.config.show import schema, shown
from nats3.place import place_of, split

NEEDED = {
    "NATS3_NATS_URL": "nats://127.0.0.1:4222",
    "NATS3_POSTGRES_URL": "postgresql://nats3@127.0.0.1:5432/nats3",
}
FILE = """
[nats.hub]
url = "hub.example.org"
token = "hush"
domain = "hub"

[s3]
region = "eu-north-1"

[s3.cold]
endpoint = "https://cold.example.org"
access = "AK"
secret = "hush"
addressing = "virtual"
tls_ca = "/etc/ca.pem"
"""


def given(tmp_path: Path, text: str, environ: dict[str, str] = NEEDED) -> Config:
    file = tmp_path / "nats3.toml"
    file.write_text(text)
    return load(environ, file=file)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        given(tmp_path, text)
    return str(caught.value).replace(str(tmp_path), "")


NAMES = (
    (
        "[nats.token]\nurl = 'h'",
        "[nats.token] in /nats3.toml: calls a connection 'token', which is a setting of [nats]",
    ),
    ("[s3.secret]\naccess = 'x'", 'call it something else, such as [s3.secret-1], or write secret = "..." below [s3]'),
    ("[nats.My-Hub]\nurl = 'h'", "a connection is called by 1 to 32 of a-z, 0-9, - and _, a letter first"),
    ("[limits.memory]\nx = 1", 'give it a value: limits.memory = "'),
    ("[nats.hub]\ntokn = 'x'", "did you mean nats.hub.token?"),
)


@pytest.mark.parametrize(("text", "said"), NAMES)
def test_a_section_that_is_no_connection_is_refused_with_what_to_write(tmp_path: Path, text: str, said: str):
    assert said in refused(tmp_path, text)


def test_a_section_is_a_connection_with_the_settings_and_defaults_of_main(tmp_path: Path):
    config = given(tmp_path, FILE)
    hub, cold = config.more_nats["hub"], config.more_s3["cold"]
    assert (hub.servers, hub.domain, hub.inbox_prefix, config.nats.domain) == (
        ["nats://hub.example.org"],
        "hub",
        "_INBOX",
        None,
    )
    assert (cold.endpoint, cold.addressing, cold.region, cold.tls_ca) == (
        "https://cold.example.org",
        "virtual",
        "us-east-1",
        Path("/etc/ca.pem"),
    )
    assert (config.s3.endpoint, config.s3.region) == (None, "eu-north-1")


def test_yaml_has_them_as_well(tmp_path: Path):
    file = tmp_path / "nats3.yaml"
    file.write_text("nats:\n  hub:\n    url: hub:4222\n")
    assert load(NEEDED, file=file).more_nats["hub"].servers == ["nats://hub:4222"]


def test_a_secret_stands_in_a_file_of_its_own(tmp_path: Path):
    (tmp_path / "hush").write_text("s3cret\n")
    config = given(tmp_path, f'[s3.cold]\naccess = "AK"\nsecret_file = "{tmp_path}/hush"\n')
    assert config.more_s3["cold"].secret is not None
    assert config.more_s3["cold"].secret.reveal() == "s3cret"
    assert "s3cret" in config.secrets()


def test_a_context_tells_of_a_connection_with_a_name(tmp_path: Path):
    directory = tmp_path / "nats" / "context"
    directory.mkdir(parents=True)
    (directory / "prod.json").write_text('{"url": "prod:4222", "user": "me", "password": "hush"}')
    config = given(tmp_path, '[nats.hub]\ncontext = "prod"\n', NEEDED | {"XDG_CONFIG_HOME": str(tmp_path)})
    assert (config.more_nats["hub"].servers, config.more_nats["hub"].user) == (["nats://prod:4222"], "me")
    assert config.nats.user is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[nats.hub]\nuser = "a"\n', "nats.hub.url: is not set, and nats3 cannot start without it"),
        ('[nats.hub]\nurl = "http://h"\n', "nats.hub.url in /nats3.toml: its value does not begin with nats:// or tls://"),
        ('[nats.hub]\nurl = "h"\nuser = "a"\n', "nats.hub.password: is not set, but nats.hub.user is"),
        ('[nats.hub]\nurl = "h"\ntoken = "t"\nnkey = "k"\n', "nats.hub.nkey: is set, and so is nats.hub.token"),
        ('[s3.cold]\naccess = "a"\n', "s3.cold.secret: is not set, but s3.cold.access is"),
        ("[s3.cold]\nsweep_hours = 3\n", "s3.cold.sweep_hours in /nats3.toml: is no key that nats3 knows"),
        ('[s3.cold]\nendpiont = "a"\n', "did you mean s3.cold.endpoint?"),
        ('[s3.COLD]\nregion = "a"\n', "s3.COLD.region in /nats3.toml: is no key that nats3 knows"),
        ('[s3.main]\nregion = "a"\n', "[s3.main]: is [s3] by another name"),
        ('[s3.cold]\nsecret = "a"\nsecret_file = "b"\n', "secret_file in /nats3.toml: is set, and so is s3.cold.secret"),
        ("".join(f'[s3.c{n}]\nregion = "a"\n' for n in range(16)), "[s3]: has 16 connections beside it"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_section_is_told_by_its_key(tmp_path: Path, text: str, said: str):
    assert said in refused(tmp_path, text)


def test_a_variable_of_such_a_connection_is_refused_with_the_section_that_it_means():
    with pytest.raises(Misconfigured, match=re.escape("[s3.cold] secret = ...")):
        load(NEEDED | {"NATS3_S3_COLD_SECRET": "x"})


def test_a_listing_shows_them_and_hides_their_secrets(tmp_path: Path):
    file = tmp_path / "nats3.toml"
    file.write_text(FILE)
    rows = {row["key"]: row for row in shown(*load_with_sources(NEEDED, file=file))}
    assert rows["nats.hub.domain"]["value"] == "hub"
    assert rows["s3.cold.secret"]["value"] == rows["nats.hub.token"]["value"] == "***"
    assert rows["s3.cold.secret"]["source"] == f"s3.cold.secret in {file}"
    assert "hush" not in json.dumps(list(rows.values()))


def test_the_schema_of_the_file_has_them():
    nats = schema()["properties"]["nats"]
    ((pattern, section),) = nats["patternProperties"].items()
    assert re.search(pattern, "hub")
    assert not any(re.search(pattern, key) for key in ("url", "main", "Hub", *nats["properties"]))
    assert section["properties"]["url"] == nats["properties"]["url"]


@pytest.mark.parametrize(
    ("connection", "bucket", "place"),
    [("main", "archive", "archive"), ("cold", "archive", "cold:archive"), ("main", "a:b", "main:a:b")],
)
def test_a_place_says_both_and_never_another_one(connection: str, bucket: str, place: str):
    assert place_of(connection, bucket) == place
    assert split(place) == (connection, bucket)
