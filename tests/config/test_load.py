"""Who is heard, in which order, and what stops the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from nats3.config import Config, Misconfigured, load
from nats3.config.settings import SETTINGS

NEEDED = {
    "NATS3_NATS_URL": "nats://127.0.0.1:4222",
    "NATS3_POSTGRES_URL": "postgresql://nats3@127.0.0.1:5432/nats3",
}


def refused(environ: dict[str, str], **more) -> str:
    with pytest.raises(Misconfigured) as caught:
        load(environ, **more)
    return str(caught.value)


def with_file(tmp_path: Path, text: str, name: str = "config.toml") -> Path:
    file = tmp_path / name
    file.write_text(text)
    return file


def test_two_variables_are_enough():
    config = load(NEEDED)
    assert str(config.server.addr) == "127.0.0.1:8080"
    assert config.nats.servers == ["nats://127.0.0.1:4222"]
    assert config.postgres.migrate_url == config.postgres.url
    assert (config.s3.endpoint, config.s3.access, config.log.level) == (None, None, "info")
    assert config.limits.memory == 256 * 1024 * 1024
    assert config.node_name


def test_everything_that_is_missing_is_told_at_once_with_an_example():
    assert refused({}) == (
        "the configuration does not fit:\n"
        "  NATS3_NATS_URL: is not set, and nats3 cannot start without it\n"
        "      NATS servers, by commas, for example NATS3_NATS_URL=nats://127.0.0.1:4222\n"
        "  NATS3_POSTGRES_URL: is not set, and nats3 cannot start without it\n"
        "      database of the event log, "
        "for example NATS3_POSTGRES_URL=postgresql://nats3:PASSWORD@127.0.0.1:5432/nats3"
    )


def test_an_empty_variable_is_as_good_as_none():
    assert load({**NEEDED, "NATS3_S3_ENDPOINT": "", "NATS3_S3_SECRET_FILE": ""}).s3.endpoint is None
    assert "NATS3_NATS_URL: is not set" in refused({**NEEDED, "NATS3_NATS_URL": ""})


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "NATS3_SERVER_ADDR",
            "localhost",
            'NATS3_SERVER_ADDR: "localhost" has no port\n      for example NATS3_SERVER_ADDR=127.0.0.1:8080',
        ),
        (
            "NATS3_LOG",
            "debgu",
            (
                'NATS3_LOG: "debgu" is none of trace, debug, info, warn, error (did you mean debug?)\n'
                "      for example NATS3_LOG=debug"
            ),
        ),
        (
            "NATS3_POSTGRES_MIGRATE",
            "perhaps",
            'NATS3_POSTGRES_MIGRATE: "perhaps" is neither true nor false\n      for example NATS3_POSTGRES_MIGRATE=false',
        ),
        (
            "NATS3_POSTGRES_URL",
            "mysql://u:hunter2@h/db",
            (
                "NATS3_POSTGRES_URL: its value does not begin with postgresql://\n"
                "      for example NATS3_POSTGRES_URL=postgresql://nats3:PASSWORD@127.0.0.1:5432/nats3"
            ),
        ),
        (
            "NATS3_NATZ_URL",
            "x",
            "NATS3_NATZ_URL: is no variable that nats3 knows\n      did you mean NATS3_NATS_URL?",
        ),
        (
            "NATS3_XYZZY",
            "x",
            "NATS3_XYZZY: is no variable that nats3 knows\n      remove it; `nats3 config show` lists what there is",
        ),
        (
            "NATS3_S3_SECRET_FILE",
            "/nowhere/at/all",
            (
                "NATS3_S3_SECRET_FILE: /nowhere/at/all cannot be read: No such file or directory\n"
                "      for example NATS3_S3_SECRET_FILE=/run/secrets/nats3"
            ),
        ),
    ],
)
def test_a_wrong_variable_stops_the_start_by_its_name_fault_and_remedy(variable, value, said):
    assert refused({**NEEDED, variable: value}) == f"the configuration does not fit:\n  {said}"


@pytest.mark.parametrize(
    ("given", "missing", "there"),
    [
        ("NATS3_S3_ACCESS", "NATS3_S3_SECRET", "NATS3_S3_ACCESS"),
        ("NATS3_S3_SECRET", "NATS3_S3_ACCESS", "NATS3_S3_SECRET"),
        ("NATS3_NATS_USER", "NATS3_NATS_PASSWORD", "NATS3_NATS_USER"),
        ("NATS3_NATS_TLS_KEY", "NATS3_NATS_TLS_CERT", "NATS3_NATS_TLS_KEY"),
    ],
)
def test_half_a_pair_is_refused(given, missing, there):
    assert f"{missing}: is not set, but {there} is\n      set both or neither" in refused({**NEEDED, given: "x"})


def test_two_logins_for_nats_are_refused():
    said = refused({**NEEDED, "NATS3_NATS_TOKEN": "t", "NATS3_NATS_CREDS": "/c"})
    assert "NATS3_NATS_CREDS: is set, and so is NATS3_NATS_TOKEN\n      NATS takes one login" in said


def test_option_beats_environment_beats_file_beats_default(tmp_path):
    file = with_file(tmp_path, '[server]\naddr = "127.0.0.1:1"\n')

    def port(environ: dict[str, str], addr: str | None) -> int:
        return load({**NEEDED, **environ}, file=file, options={"server.addr": addr}).server.port

    assert port({"NATS3_SERVER_ADDR": "127.0.0.1:2"}, "127.0.0.1:3") == 3
    assert port({"NATS3_SERVER_ADDR": "127.0.0.1:2"}, None) == 2
    assert port({}, None) == 1
    assert load(NEEDED).server.port == 8080


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "config.toml",
            (
                'log = "debug"\n[server]\naddr = "127.0.0.1:9"\n[nats]\nurl = "localhost:4222"\n'
                '[postgres]\nurl = "postgres://u:p@h/db"\nmigrate = true\n'
                '[s3]\nregion = "eu-1"\nendpoint = "http://localhost:9000"\naccess = "a"\nsecret = "b"\n'
            ),
        ),
        (
            "config.yaml",
            (
                "log: debug\nserver: {addr: '127.0.0.1:9'}\nnats: {url: 'localhost:4222'}\n"
                "postgres: {url: 'postgres://u:p@h/db', migrate: true}\n"
                "s3: {region: eu-1, endpoint: 'http://localhost:9000', access: a, secret: b}\n"
            ),
        ),
    ],
)
def test_a_file_of_the_original_is_enough(tmp_path, name, text):
    config: Config = load({"NATS3_CONFIG": str(with_file(tmp_path, text, name))})
    assert config.log.level == "debug"
    assert str(config.server.addr) == "127.0.0.1:9"
    assert config.nats.servers == ["nats://localhost:4222"]
    assert config.postgres.url.reveal() == "postgres://u:p@h/db"
    assert config.postgres.migrate is True
    assert (config.s3.region, config.s3.endpoint, config.s3.access) == ("eu-1", "http://localhost:9000", "a")
    assert config.s3.secret is not None
    assert config.s3.secret.reveal() == "b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[nats]\nurk = "x"\n', "nats.urk in {file}: is no key that nats3 knows\n      did you mean nats.url?"),
        (
            '[[store]]\nname = "a"\n',
            "store in {file}: is no key that nats3 knows\n      jobs are not ordered by the file",
        ),
        ("[nats]\nurl = [1]\n", "nats.url in {file}: is no text, number, truth value or list of texts"),
        ('failpoints = "x"\n', "failpoints in {file}: is no key that nats3 knows"),
        ("[server\n", "{file}: is no valid TOML"),
        ('[server]\naddr = "x"\n', 'server.addr in {file}: "x" has no port\n      for example server.addr = "127'),
    ],
)
def test_a_wrong_key_in_a_file_stops_the_start(tmp_path, text, said):
    file = with_file(tmp_path, text)
    assert said.format(file=file) in refused(NEEDED, file=file)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("c.yaml", "a: [", "{file}: is no valid YAML"),
        ("c.yaml", "- a\n", "{file}: is no mapping of keys to values"),
        ("c.ini", "", "{file}: ends neither in .toml nor in .yaml"),
    ],
)
def test_a_file_that_cannot_be_understood_is_named(tmp_path, name, text, said):
    file = with_file(tmp_path, text, name)
    assert said.format(file=file) in refused(NEEDED, file=file)


@pytest.mark.parametrize("told", ["'a.example,B.example'", "['a.example', 'B.example']"])
def test_a_list_may_be_written_as_one_or_by_commas(tmp_path, told):
    file = with_file(tmp_path, f"[server]\nhosts = {told}\n")
    assert load(NEEDED, file=file).server.hosts == ("a.example", "b.example")
    assert load(NEEDED).server.hosts == ()


def test_a_section_whose_lines_are_all_comments_is_none(tmp_path):
    file = with_file(tmp_path, "s3:\n  # endpoint: http://h\nlog: debug\n", "c.yaml")
    assert load(NEEDED, file=file).log.level == "debug"


def test_a_file_that_was_asked_for_must_be_there(tmp_path):
    said = refused(NEEDED, file=tmp_path / "none.toml")
    assert f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory" in said


def test_a_secret_comes_out_of_a_file_without_its_line_end(tmp_path):
    file = with_file(tmp_path, " hunter2 \n", "secret")
    config = load({**NEEDED, "NATS3_S3_ACCESS": "a", "NATS3_S3_SECRET_FILE": str(file)})
    assert config.s3.secret is not None
    assert config.s3.secret.reveal() == " hunter2 "


def test_a_secret_and_its_file_together_are_refused(tmp_path):
    file = with_file(tmp_path, "x", "secret")
    said = refused({**NEEDED, "NATS3_NATS_TOKEN": "a", "NATS3_NATS_TOKEN_FILE": str(file)})
    assert "NATS3_NATS_TOKEN_FILE: is set, and so is NATS3_NATS_TOKEN\n      unset one of them" in said


@pytest.mark.parametrize("addr", ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:80", "example.org:80", "127.0.0.1.nip.io:80"])
def test_a_bind_beyond_loopback_is_refused_and_says_why(addr):
    said = refused({**NEEDED, "NATS3_SERVER_ADDR": addr})
    assert f"NATS3_SERVER_ADDR: {addr} lets other machines in, and tokens would cross the network in the clear" in said
    for way in ("listen on 127.0.0.1", "NATS3_SERVER_TLS_CERT", "NATS3_SERVER_TRUSTED_PROXIES", "--insecure-bind"):
        assert way in said


def test_a_wide_bind_with_tls_or_behind_a_declared_proxy_starts_and_asks_for_tokens():
    wide = {**NEEDED, "NATS3_SERVER_ADDR": "0.0.0.0:8080"}
    tls = {"NATS3_SERVER_TLS_CERT": "/c", "NATS3_SERVER_TLS_KEY": "/k"}
    proxy = {"NATS3_SERVER_TRUSTED_PROXIES": "10.0.0.5, 10.1.0.0/16,::1"}
    assert load({**wide, **tls}).server.asks_always
    assert [str(each) for each in load({**wide, **proxy}).server.trusted_proxies] == [
        "10.0.0.5/32",
        "10.1.0.0/16",
        "::1/128",
    ]
    assert load({**NEEDED, **proxy}).server.asks_always
    assert load({**NEEDED, "NATS3_SERVER_AUTH": "required"}).server.asks_always
    assert not load(NEEDED).server.asks_always
    assert not load({**wide, "NATS3_SERVER_INSECURE_BIND": "true"}).server.asks_always


def test_half_a_tls_and_a_proxy_that_is_no_address_are_refused():
    assert "NATS3_SERVER_TLS_KEY: is not set" in refused({**NEEDED, "NATS3_SERVER_TLS_CERT": "/c"})
    assert "NATS3_SERVER_TLS_CA: is set without a certificate" in refused({**NEEDED, "NATS3_SERVER_TLS_CA": "/c"})
    assert "no IP address" in refused({**NEEDED, "NATS3_SERVER_TRUSTED_PROXIES": "proxy.example"})


@pytest.mark.parametrize("addr", ["127.0.0.1:8080", "127.9.9.9:1", "[::1]:8080", "localhost:0"])
def test_loopback_needs_no_permission(addr):
    assert str(load({**NEEDED, "NATS3_SERVER_ADDR": addr}).server.addr) == addr


def test_a_wide_bind_can_be_allowed_by_variable_and_by_option():
    environ = {**NEEDED, "NATS3_SERVER_ADDR": "0.0.0.0:8080"}
    assert load({**environ, "NATS3_SERVER_INSECURE_BIND": "true"}).server.host == "0.0.0.0"
    assert load(environ, options={"server.insecure_bind": "true"}).server.host == "0.0.0.0"


def test_an_option_is_named_as_it_was_typed():
    said = refused(NEEDED, options={"server.addr": "x"})
    assert '--addr: "x" has no port\n      for example --addr 127.0.0.1:8080' in said


def test_the_variables_of_the_command_line_and_of_fault_tests_are_known():
    others = {"NATS3_URL": "http://h", "NATS3_OUTPUT": "json"}
    test = {"NATS3_FAILPOINTS": "store.after_put=kill@3", "NATS3_FAILPOINTS_ALLOWED": "true"}
    assert [each.place for each in load({**NEEDED, **others, **test}).failpoints] == ["store.after_put"]


def test_failpoints_that_somebody_left_behind_stop_the_start():
    said = refused({**NEEDED, "NATS3_FAILPOINTS": "store.after_put=kill@3"})
    assert "NATS3_FAILPOINTS: is for fault tests: this node would kill itself on purpose" in said
    assert "unset it; a test also sets NATS3_FAILPOINTS_ALLOWED=true" in said


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("store.after_lunch=kill", "names a place that this version does not have"),
        ("store.after_put=explode", "is no place=kill|stop|raise|delay:SECONDS[*count][@nth], parted by commas"),
        ("store.after_put=kill@0", "counts from 1"),
    ],
)
def test_a_failpoint_that_does_not_exist_stops_the_start(told, said):
    assert said in refused({**NEEDED, "NATS3_FAILPOINTS": told, "NATS3_FAILPOINTS_ALLOWED": "true"})


def test_a_setting_that_nobody_names_for_nats3_is_left_alone():
    assert load({**NEEDED, "NATS_URL": "nats://elsewhere", "HOME": "/"}).nats.servers == ["nats://127.0.0.1:4222"]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_the_example_of_every_setting_is_itself_valid(setting):
    assert setting.parse(setting.example) is not None
