"""Connections beside `main`: sections of the file (`[nats.hub]`, `[s3.cold]`) with the settings that `[nats]` and `[s3]` have.

They stand in the file alone: no variable can be told from one of `main` (`NATS3_S3_COLD_SECRET`: of `cold`, or a typing error?).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nats3.config.settings import BY_KEY, SETTINGS, Setting
from nats3.place import is_name

KINDS = ("nats", "s3")
MOST = 16
"""Connections of a kind, `main` among them: each is a label of metrics, a client and a question of readiness."""

_OF_ALL = frozenset({"s3.sweep_hours"})
"""Habits of the node, not of a connection."""


def settings_of(kind: str, name: str) -> list[Setting[object]]:
    """The settings of the section `[kind.name]`."""
    prefix = f"{kind}."
    return [
        replace(each, key=f"{kind}.{name}.{each.key.removeprefix(prefix)}", in_environment=False)
        for each in SETTINGS
        if each.key.startswith(prefix) and each.key not in _OF_ALL
    ]


def setting_of(key: str) -> Setting[object] | None:
    """The setting that a key of the file means, of whatever connection; None where there is none."""
    kind, _, rest = key.partition(".")
    name, dot, _ = rest.partition(".")
    if key in BY_KEY or kind not in KINDS or not dot or not is_name(name):
        return BY_KEY.get(key)
    return next((each for each in settings_of(kind, name) if each.key == key), None)


def names_in(keys: Iterable[str], kind: str) -> list[str]:
    """The names of the sections that have any of these keys, sorted."""
    parts = [key.split(".") for key in keys if key not in BY_KEY]
    return sorted({part[1] for part in parts if part[0] == kind})
