"""Read the settings: option > environment > file > default. All faults are told at once, and nothing starts."""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar, cast

from nats3.config import settings as known
from nats3.config.context import VARIABLES, read_context
from nats3.config.read import Wrong
from nats3.config.settings import BY_KEY, OTHER_VARIABLES, SETTINGS, Need, Setting
from nats3.config.values import (
    Config,
    EventSettings,
    LimitSettings,
    LogRetentionSettings,
    LogSettings,
    NatsSettings,
    PostgresSettings,
    S3Settings,
    ServerSettings,
    ServiceSettings,
)
from nats3.errors import Invalid, Nats3Error

T = TypeVar("T")
_LOGINS = ("user", "token", "creds", "nkey")
_OF_A_LOGIN = frozenset({"nats.password", *(f"nats.{way}" for way in _LOGINS)})
DEFAULT_FILE = Path("/etc/nats3/config.toml")


class Misconfigured(Nats3Error):
    """nats3 must not start: change what `faults` name. The text lists them all, one a line."""

    def __init__(self, faults: list[Invalid]) -> None:
        lines = [f"  {fault.field}: {fault.fault}\n      {fault.remedy}" for fault in faults]
        super().__init__("\n".join(["the configuration does not fit:", *lines]))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Told:
    """A text given for a setting: what it says, and who said it, in the words a person would look for."""

    value: str
    source: str


@dataclass(slots=True)
class _Reading:
    """What was told so far, later tellers replacing earlier ones, and what was wrong with it."""

    told: dict[str, Told] = field(default_factory=dict[str, Told])
    values: dict[str, object] = field(default_factory=dict[str, object])
    faults: list[Invalid] = field(default_factory=list[Invalid])

    def fault(self, field_: str, fault: str, remedy: str) -> None:
        self.faults.append(Invalid(field_, fault, remedy))

    def value(self, setting: Setting[T]) -> T:
        return cast("T", self.values[setting.key])


def load(
    environ: Mapping[str, str], *, file: Path | None = None, options: Mapping[str, str | None] | None = None
) -> Config:
    """The settings; `options` are by key (`server.addr`), None where the option was not given. Raises Misconfigured."""
    return load_with_sources(environ, file=file, options=options)[0]


def load_with_sources(
    environ: Mapping[str, str], *, file: Path | None = None, options: Mapping[str, str | None] | None = None
) -> tuple[Config, dict[str, Told]]:
    """As `load`, and beside it what was told and by whom, by key; a key that nobody told is absent."""
    reading = _Reading()
    _hear_file(reading, file, environ)
    _hear_environment(reading, environ)
    for key, value in (options or {}).items():
        if value is not None:
            reading.told[key] = Told(value, "--" + key.partition(".")[2].replace("_", "-"))
    _hear_nats(reading, environ)
    for setting in SETTINGS:
        _parse(reading, setting)
    _check_together(reading)
    if reading.faults:
        raise Misconfigured(reading.faults)
    return _build(reading), reading.told


def _hear_environment(reading: _Reading, environ: Mapping[str, str]) -> None:
    by_variable = {setting.variable: setting for setting in SETTINGS}
    files = {setting.variable + "_FILE": setting for setting in SETTINGS if setting.secret}
    for name, value in sorted(environ.items()):
        if setting := by_variable.get(name):
            if value:
                reading.told[setting.key] = Told(value, name)
        elif setting := files.get(name):
            _hear_secret_file(reading, environ, name, setting)
        elif name.startswith("NATS3_") and name not in OTHER_VARIABLES:
            near = get_close_matches(name, [*by_variable, *files, *OTHER_VARIABLES], n=1, cutoff=0.7)
            reading.fault(name, "is no variable that nats3 knows", _did_you_mean(near))


def _hear_nats(reading: _Reading, environ: Mapping[str, str]) -> None:
    """What the `nats` command line would use: its variables where nothing of NATS is told, and a context for the rest."""
    if not any(key.startswith("nats.") for key in reading.told):
        told = {key: Told(environ[name], name) for name, key in VARIABLES.items() if environ.get(name)}
        reading.told.update(told)
    named = reading.told.get("nats.context")
    if named is None:
        return
    try:
        content = read_context(named.value, environ)
    except Wrong as wrong:
        reading.fault(named.source, f'context "{named.value}" {wrong}', "`nats context ls` lists what there is")
        return
    login = any(f"nats.{way}" in reading.told for way in _LOGINS)
    for key, value in content.items():
        if not (login and key in _OF_A_LOGIN):
            reading.told.setdefault(key, Told(value, f"context {named.value}"))


def _hear_secret_file(reading: _Reading, environ: Mapping[str, str], name: str, setting: Setting[object]) -> None:
    if not environ[name]:
        return
    if environ.get(setting.variable):
        reading.fault(name, f"is set, and so is {setting.variable}", "unset one of them")
        return
    try:
        value = Path(environ[name]).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        reading.fault(name, f"{environ[name]} cannot be read: {reason}", f"for example {name}=/run/secrets/nats3")
        return
    if value:
        reading.told[setting.key] = Told(value, name)


def _hear_file(reading: _Reading, file: Path | None, environ: Mapping[str, str]) -> None:
    asked = file or (Path(environ["NATS3_CONFIG"]) if environ.get("NATS3_CONFIG") else None)
    path = asked or DEFAULT_FILE
    if asked is None and not path.is_file():
        return
    try:
        content = _decode(path)
    except OSError as error:
        reading.fault(str(path), f"cannot be read: {error.strerror}", "name another by --config or NATS3_CONFIG")
        return
    except Wrong as wrong:
        reading.fault(str(path), str(wrong), "see docs/operating.md for an example")
        return
    for key, value in _flat(content):
        _hear_key(reading, path, key, value)


def _decode(path: Path) -> Mapping[object, object]:
    raw = path.read_bytes()
    try:
        if path.suffix == ".toml":
            return cast("dict[object, object]", tomllib.loads(raw.decode()))
        if path.suffix in {".yaml", ".yml"}:
            return _decode_yaml(raw)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Wrong(f"is no valid TOML: {error}") from None
    raise Wrong("ends neither in .toml nor in .yaml")


def _decode_yaml(raw: bytes) -> Mapping[object, object]:
    import yaml  # noqa: PLC0415 - most starts read no YAML

    try:
        content: object = yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise Wrong(f"is no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict | None):
        raise Wrong("is no mapping of keys to values")
    return cast("dict[object, object]", content or {})


def _flat(content: Mapping[object, object], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in content.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and path not in BY_KEY:
            yield from _flat(cast("dict[object, object]", value), f"{path}.")
        elif value is not None:  # in YAML, a section whose lines are all comments
            yield path, value


def _hear_key(reading: _Reading, path: Path, key: str, value: object) -> None:
    name = f"{key} in {path}"
    setting = BY_KEY.get(key)
    if setting is None or not setting.in_file:
        reading.fault(name, "is no key that nats3 knows", _key_remedy(key))
    elif isinstance(value, bool):
        reading.told[key] = Told(str(value).lower(), name)
    elif isinstance(value, str | int):
        reading.told[key] = Told(str(value), name)
    elif isinstance(value, list) and all(isinstance(one, str) for one in cast("list[object]", value)):
        reading.told[key] = Told(",".join(cast("list[str]", value)), name)
    else:
        reading.fault(
            name, "is no text, number, truth value or list of texts", f'for example {key} = "{setting.example}"'
        )


def _key_remedy(key: str) -> str:
    if key.partition(".")[0] in {"store", "store_jobs", "load", "load_jobs"}:
        return "jobs are not ordered by the file: use `nats3 store create` or POST /api/v1/store/job"
    return _did_you_mean(get_close_matches(key, list(BY_KEY), n=1, cutoff=0.6))


def _did_you_mean(near: list[str]) -> str:
    return f"did you mean {near[0]}?" if near else "remove it; `nats3 config show` lists what there is"


def _parse(reading: _Reading, setting: Setting[object]) -> None:
    told = reading.told.get(setting.key)
    if told is not None:
        try:
            reading.values[setting.key] = setting.parse(told.value)
        except Wrong as wrong:
            shown = "its value" if setting.secret else f'"{told.value}"'
            reading.fault(told.source, f"{shown} {wrong}", f"for example {_example(setting, told.source)}")
    elif isinstance(setting.default, Need):
        remedy = f"{setting.about}, for example {setting.variable}={setting.example}"
        reading.fault(setting.variable, "is not set, and nats3 cannot start without it", remedy)
    else:
        reading.values[setting.key] = setting.default


def _example(setting: Setting[object], source: str) -> str:
    if " in " in source:
        return f'{setting.key} = "{setting.example}"'
    return f"{source} {setting.example}" if source.startswith("--") else f"{setting.variable}={setting.example}"


def _check_together(reading: _Reading) -> None:
    if reading.faults:
        return
    _check_bind(reading)
    _check_failpoints(reading)
    for pair in (
        ("s3.access", "s3.secret"),
        ("nats.tls_cert", "nats.tls_key"),
        ("server.tls_cert", "server.tls_key"),
        ("nats.user", "nats.password"),
    ):
        missing = [BY_KEY[key].variable for key in pair if reading.values[key] is None]
        if len(missing) == 1:
            there = next(BY_KEY[key].variable for key in pair if reading.values[key] is not None)
            reading.fault(missing[0], f"is not set, but {there} is", "set both or neither")
    if reading.values["server.tls_ca"] is not None and reading.values["server.tls_cert"] is None:
        reading.fault(
            known.SERVER_TLS_CA.variable, "is set without a certificate", f"set {known.SERVER_TLS_CERT.variable}"
        )
    logins = [BY_KEY[f"nats.{way}"].variable for way in _LOGINS if reading.values[f"nats.{way}"] is not None]
    if len(logins) > 1:
        reading.fault(logins[1], f"is set, and so is {logins[0]}", "NATS takes one login: unset all but one")


def _check_bind(reading: _Reading) -> None:
    addr = reading.value(known.SERVER_ADDR)
    behind = reading.value(known.SERVER_TLS_CERT) or reading.value(known.SERVER_TRUSTED_PROXIES)
    if behind or reading.value(known.SERVER_INSECURE_BIND) or addr.is_loopback:
        return
    told = reading.told.get(known.SERVER_ADDR.key)
    reading.fault(
        told.source if told else known.SERVER_ADDR.variable,
        f"{addr} lets other machines in, and tokens would cross the network in the clear",
        f"listen on 127.0.0.1:{addr.port}; or serve TLS (NATS3_SERVER_TLS_CERT, NATS3_SERVER_TLS_KEY); or name the proxy "
        "that does (NATS3_SERVER_TRUSTED_PROXIES); or, where nobody else can reach that address, say so "
        "(--insecure-bind, NATS3_SERVER_INSECURE_BIND=true, best with NATS3_SERVER_AUTH=required). "
        "`nats3 token create NAME --role admin --database` makes the first token",
    )


def _check_failpoints(reading: _Reading) -> None:
    """A server that kills itself by a variable that somebody left behind is worse than one that does not start."""
    if reading.value(known.FAILPOINTS) and not reading.value(known.FAILPOINTS_ALLOWED):
        told = reading.told[known.FAILPOINTS.key]
        reading.fault(
            told.source,
            "is for fault tests: this node would kill itself on purpose",
            f"unset it; a test also sets {known.FAILPOINTS_ALLOWED.variable}=true",
        )


def _build(reading: _Reading) -> Config:
    value = reading.value
    return Config(
        server=_server(reading),
        nats=_nats(reading),
        postgres=PostgresSettings(
            value(known.POSTGRES_URL),
            value(known.POSTGRES_MIGRATE),
            value(known.POSTGRES_MIGRATE_URL) or value(known.POSTGRES_URL),
        ),
        s3=S3Settings(
            endpoint=value(known.S3_ENDPOINT),
            region=value(known.S3_REGION),
            access=value(known.S3_ACCESS),
            secret=value(known.S3_SECRET),
            session_token=value(known.S3_SESSION_TOKEN),
            addressing=value(known.S3_ADDRESSING),
            max_concurrency=value(known.S3_MAX_CONCURRENCY),
            sweep_hours=value(known.S3_SWEEP_HOURS),
        ),
        log=LogSettings(value(known.LOG), value(known.LOG_FORMAT)),
        limits=LimitSettings(value(known.LIMITS_MEMORY), value(known.LIMITS_REQUESTS)),
        events=EventSettings(
            value(known.EVENTS_PUBLISH),
            value(known.EVENTS_STREAM),
            value(known.EVENTS_MAKE_STREAM),
            value(known.EVENTS_SUBJECT),
        ),
        service=ServiceSettings(value(known.SERVICE_ROLE), value(known.SERVICE_SUBJECT)),
        log_retention=LogRetentionSettings(
            bucket=value(known.LOG_RETENTION_BUCKET),
            prefix=value(known.LOG_RETENTION_PREFIX).strip("/"),
            days=value(known.LOG_RETENTION_DAYS),
            keep=value(known.LOG_RETENTION_KEEP),
            interval=value(known.LOG_RETENTION_INTERVAL),
        ),
        node_name=value(known.NODE_NAME) or socket.gethostname(),
        failpoints=value(known.FAILPOINTS),
    )


def _server(reading: _Reading) -> ServerSettings:
    value = reading.value
    return ServerSettings(
        addr=value(known.SERVER_ADDR),
        insecure_bind=value(known.SERVER_INSECURE_BIND),
        hosts=value(known.SERVER_HOSTS),
        auth=value(known.SERVER_AUTH),
        metrics_public=value(known.SERVER_METRICS_PUBLIC),
        trusted_proxies=value(known.SERVER_TRUSTED_PROXIES),
        tls_cert=value(known.SERVER_TLS_CERT),
        tls_key=value(known.SERVER_TLS_KEY),
        tls_ca=value(known.SERVER_TLS_CA),
    )


def _nats(reading: _Reading) -> NatsSettings:
    value = reading.value
    return NatsSettings(
        context=value(known.NATS_CONTEXT),
        url=value(known.NATS_URL),
        user=value(known.NATS_USER),
        password=value(known.NATS_PASSWORD),
        token=value(known.NATS_TOKEN),
        creds=value(known.NATS_CREDS),
        nkey=value(known.NATS_NKEY),
        tls_ca=value(known.NATS_TLS_CA),
        tls_cert=value(known.NATS_TLS_CERT),
        tls_key=value(known.NATS_TLS_KEY),
        tls_first=value(known.NATS_TLS_FIRST),
        tls_hostname=value(known.NATS_TLS_HOSTNAME),
        domain=value(known.NATS_DOMAIN),
        api_prefix=value(known.NATS_API_PREFIX),
        inbox_prefix=value(known.NATS_INBOX_PREFIX),
    )
