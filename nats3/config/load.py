"""Read the settings: option > environment > file > default. All faults are told at once, and nothing starts."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nats3.config import settings as known
from nats3.config.hearing import LOGINS, Reading, Told, hear_environment, hear_file, hear_nats
from nats3.config.named import KINDS, MOST, names_in, setting_of, settings_of
from nats3.config.read import Wrong
from nats3.config.settings import SETTINGS, Need, Setting
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
    TraceSettings,
)
from nats3.errors import Invalid, Nats3Error
from nats3.place import MAIN

_LOGIN = re.compile(r"(?:(?<=//)|^)\S*@")
"""What may be a user and a password, in a setting that takes neither."""


class Misconfigured(Nats3Error):
    """nats3 must not start: change what `faults` name. The text lists them all, one a line."""

    def __init__(self, faults: list[Invalid]) -> None:
        lines = [f"  {fault.field}: {fault.fault}\n      {fault.remedy}" for fault in faults]
        super().__init__("\n".join(["the configuration does not fit:", *lines]))
        self.faults = faults


def load(
    environ: Mapping[str, str], *, file: Path | None = None, options: Mapping[str, str | None] | None = None
) -> Config:
    """The settings; `options` are by key (`server.addr`), None where the option was not given. Raises Misconfigured."""
    return load_with_sources(environ, file=file, options=options)[0]


def load_with_sources(
    environ: Mapping[str, str], *, file: Path | None = None, options: Mapping[str, str | None] | None = None
) -> tuple[Config, dict[str, Told]]:
    """As `load`, and beside it what was told and by whom, by key; a key that nobody told is absent."""
    reading = Reading()
    hear_file(reading, file, environ)
    hear_environment(reading, environ)
    for key, value in (options or {}).items():
        if value is not None:
            reading.told[key] = Told(value, "--" + key.partition(".")[2].replace("_", "-"))
    hear_nats(reading, environ)
    named = {kind: names_in(reading.told, kind) for kind in KINDS}
    for setting in SETTINGS:
        _parse(reading, setting)
    for kind, names in named.items():
        _check_names(reading, kind, names)
        for setting in (setting for name in names for setting in settings_of(kind, name)):
            _parse(reading, setting)
    _check_together(reading, named)
    if reading.faults:
        raise Misconfigured(reading.faults)
    return _build(reading, named), reading.told


def _check_names(reading: Reading, kind: str, names: list[str]) -> None:
    if MAIN in names:
        reading.fault(f"[{kind}.{MAIN}]", f"is [{kind}] by another name", f"write it as [{kind}]")
    if len(names) >= MOST:
        reading.fault(f"[{kind}]", f"has {len(names)} connections beside it", f"name at most {MOST - 1}")


def _parse(reading: Reading, setting: Setting[object]) -> None:
    told = reading.told.get(setting.key)
    if told is not None:
        try:
            reading.values[setting.key] = setting.parse(told.value)
        except Wrong as wrong:
            shown = "its value" if setting.secret else f'"{_LOGIN.sub("***@", told.value)}"'
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


def _check_together(reading: Reading, named: Mapping[str, list[str]]) -> None:
    if reading.faults:
        return
    _check_bind(reading)
    _check_failpoints(reading)
    _check_pair(reading, "server.tls_cert", "server.tls_key")
    if reading.values["server.tls_ca"] is not None and reading.values["server.tls_cert"] is None:
        reading.fault(
            known.SERVER_TLS_CA.variable, "is set without a certificate", f"set {known.SERVER_TLS_CERT.variable}"
        )
    for group in ("s3", *(f"s3.{name}" for name in named["s3"])):
        _check_pair(reading, f"{group}.access", f"{group}.secret")
    for group in ("nats", *(f"nats.{name}" for name in named["nats"])):
        _check_pair(reading, f"{group}.tls_cert", f"{group}.tls_key")
        _check_pair(reading, f"{group}.user", f"{group}.password")
        logins = [_said(f"{group}.{way}") for way in LOGINS if reading.values[f"{group}.{way}"] is not None]
        if len(logins) > 1:
            reading.fault(logins[1], f"is set, and so is {logins[0]}", "NATS takes one login: unset all but one")


def _check_pair(reading: Reading, one: str, other: str) -> None:
    missing = [key for key in (one, other) if reading.values[key] is None]
    if len(missing) == 1:
        there = other if missing == [one] else one
        reading.fault(_said(missing[0]), f"is not set, but {_said(there)} is", "set both or neither")


def _said(key: str) -> str:
    setting = setting_of(key)
    return key if setting is None else setting.variable


def _check_bind(reading: Reading) -> None:
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


def _check_failpoints(reading: Reading) -> None:
    """A server that kills itself by a variable that somebody left behind is worse than one that does not start."""
    if reading.value(known.FAILPOINTS) and not reading.value(known.FAILPOINTS_ALLOWED):
        told = reading.told[known.FAILPOINTS.key]
        reading.fault(
            told.source,
            "is for fault tests: this node would kill itself on purpose",
            f"unset it; a test also sets {known.FAILPOINTS_ALLOWED.variable}=true",
        )


def _build(reading: Reading, named: Mapping[str, list[str]]) -> Config:
    value = reading.value
    return Config(
        server=_server(reading),
        nats=_nats(reading, "nats"),
        postgres=PostgresSettings(
            value(known.POSTGRES_URL),
            value(known.POSTGRES_MIGRATE),
            value(known.POSTGRES_MIGRATE_URL) or value(known.POSTGRES_URL),
        ),
        s3=replace(_s3(reading, "s3"), sweep_hours=value(known.S3_SWEEP_HOURS)),
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
        traces=TraceSettings(value(known.TRACES_ENDPOINT)),
        failpoints=value(known.FAILPOINTS),
        more_nats={name: _nats(reading, f"nats.{name}") for name in named["nats"]},
        more_s3={name: _s3(reading, f"s3.{name}") for name in named["s3"]},
    )


def _server(reading: Reading) -> ServerSettings:
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


def _nats(reading: Reading, group: str) -> NatsSettings:
    value = reading.of(group)
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
        tls_hostname=value(known.NATS_TLS_HOSTNAME),
        tls_first=value(known.NATS_TLS_FIRST),
        domain=value(known.NATS_DOMAIN),
        api_prefix=value(known.NATS_API_PREFIX),
        inbox_prefix=value(known.NATS_INBOX_PREFIX),
    )


def _s3(reading: Reading, group: str) -> S3Settings:
    value = reading.of(group)
    return S3Settings(
        endpoint=value(known.S3_ENDPOINT),
        region=value(known.S3_REGION),
        access=value(known.S3_ACCESS),
        secret=value(known.S3_SECRET),
        session_token=value(known.S3_SESSION_TOKEN),
        tls_ca=value(known.S3_TLS_CA),
        addressing=value(known.S3_ADDRESSING),
        max_concurrency=value(known.S3_MAX_CONCURRENCY),
    )
