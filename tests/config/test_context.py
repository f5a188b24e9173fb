"""Contexts of the `nats` command line, and the variables that it reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nats3.config import Config, Misconfigured, load

POSTGRES = {"NATS3_POSTGRES_URL": "postgresql://nats3@127.0.0.1:5432/nats3"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".config/nats/context").mkdir(parents=True)
    return tmp_path


def saved(home: Path, name: str = "prod", **fields: object) -> Path:
    """A context as `nats context save` writes it: every field, most of them empty."""
    path = home / f".config/nats/context/{name}.json"
    empty = dict.fromkeys(("description", "token", "user", "password", "creds", "nkey", "nsc", "user_jwt"), "")
    path.write_text(json.dumps({**empty, "color_scheme": "", "tls_first": False, **fields}))
    return path


def loaded(home: Path, **environ: str) -> Config:
    return load({**POSTGRES, "HOME": str(home), **environ})


def refused(home: Path, **environ: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        loaded(home, **environ)
    return str(caught.value)


def test_a_context_gives_all_that_is_not_told_otherwise(home: Path) -> None:
    saved(
        home, url="nats://a:4222,b", creds="~/n.creds", ca="/ca.pem", cert="/c.pem", key="/k.pem", tls_first=True,
        inbox_prefix="_IN", jetstream_domain="hub", jetstream_api_prefix="$JS.x.API",
    )  # fmt: skip
    told = loaded(home, NATS3_NATS_CONTEXT="prod", NATS3_NATS_DOMAIN="leaf").nats
    assert told.servers == ["nats://a:4222", "nats://b"]
    assert (told.creds, told.tls_ca, told.tls_cert) == (home / "n.creds", Path("/ca.pem"), Path("/c.pem"))
    assert (told.tls_key, told.tls_first, told.inbox_prefix) == (Path("/k.pem"), True, "_IN")
    assert (told.domain, told.api_prefix, told.user) == ("leaf", "$JS.x.API", None)


def test_a_login_is_not_made_up_of_two(home: Path) -> None:
    saved(home, url="a", user="them", password="secret")
    told = loaded(home, NATS3_NATS_CONTEXT="prod", NATS3_NATS_CREDS="/our.creds").nats
    assert (told.creds, told.user, told.password) == (Path("/our.creds"), None, None)


def test_a_path_and_the_configuration_directory_name_a_context_too(home: Path, tmp_path: Path) -> None:
    path = saved(home, url="nats://here")
    assert loaded(home, NATS3_NATS_CONTEXT=str(path)).nats.servers == ["nats://here"]
    told = load({**POSTGRES, "XDG_CONFIG_HOME": str(home / ".config"), "NATS3_NATS_CONTEXT": "prod"}).nats
    assert told.servers == ["nats://here"]


def test_its_secrets_are_hidden_like_all(home: Path) -> None:
    saved(home, url="nats://a", user="u", password="very-secret-word")
    config = loaded(home, NATS3_NATS_CONTEXT="prod")
    assert "very-secret-word" in config.secrets()
    assert "very-secret-word" not in repr(config)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"nsc": "nsc://o/a/u"}, "has nsc, which nats3 does not use"),
        ({"user_jwt": "ey"}, "name it as creds"),
        ({"url": "http://a"}, 'context prod: "http://a"'),
    ],
)
def test_what_nats3_cannot_use_is_told(home: Path, fields: dict[str, str], said: str) -> None:
    saved(home, **fields)
    assert said in refused(home, NATS3_NATS_CONTEXT="prod").replace("its value does", '"http://a" does')


def test_a_context_that_is_not_there_is_told_with_those_that_are(home: Path) -> None:
    saved(home, "staging", url="a")
    assert 'context "prod" cannot be read' in refused(home, NATS3_NATS_CONTEXT="prod")
    assert "there are staging" in refused(home, NATS3_NATS_CONTEXT="prod")
    (home / ".config/nats/context/prod.json").write_text("{")
    assert "is no JSON" in refused(home, NATS3_NATS_CONTEXT="prod")


def test_the_variables_of_the_command_line_count_where_nothing_of_nats_is_told(home: Path) -> None:
    saved(home, url="nats://context", token="t")
    assert loaded(home, NATS_URL="nats://a", NATS_USER="u", NATS_PASSWORD="p").nats.user == "u"
    assert loaded(home, NATS_CONTEXT="prod").nats.servers == ["nats://context"]
    told = loaded(home, NATS3_NATS_URL="nats://ours", NATS_USER="u", NATS_PASSWORD="p", NATS_CONTEXT="prod").nats
    assert (told.servers, told.user, told.token) == (["nats://ours"], None, None)
