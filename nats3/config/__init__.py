"""What nats3 was told before it started: read once, checked whole, handed down as frozen values."""

from nats3.config.load import Misconfigured, Told, load
from nats3.config.values import (
    Config,
    EventSettings,
    LimitSettings,
    LogRetentionSettings,
    LogSettings,
    NatsSettings,
    PostgresSettings,
    S3Settings,
    Secret,
    ServerSettings,
    ServiceSettings,
)

__all__ = [
    "Config",
    "EventSettings",
    "LimitSettings",
    "LogRetentionSettings",
    "LogSettings",
    "Misconfigured",
    "NatsSettings",
    "PostgresSettings",
    "S3Settings",
    "Secret",
    "ServerSettings",
    "ServiceSettings",
    "Told",
    "load",
]
