"""The settings for people: every key with its value and who said so, secrets redacted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from nats3.config.load import Told
from nats3.config.named import KINDS, settings_of
from nats3.config.settings import SETTINGS, Setting
from nats3.config.values import Address, Config, Secret
from nats3.place import MAIN, NAME

_TYPES: dict[type, str | list[str]] = {bool: "boolean", int: ["integer", "string"]}
"""JSON types by that of the default; a size may be a number or a text with a unit."""


def shown(config: Config, told: Mapping[str, Told]) -> list[dict[str, str | None]]:
    """A row {key, value, source, about} per setting, in the order of the table; value None where there is none."""
    values = _by_key(config)
    return [
        {
            "key": setting.key,
            "value": values[setting.key],
            "source": told[setting.key].source if setting.key in told else "default",
            "variable": setting.variable,
            "about": setting.about,
        }
        for setting in (*SETTINGS, *_of_named(config))
    ]


def schema() -> dict[str, Any]:
    """The JSON Schema of a settings file. Texts are checked further by nats3 itself (`nats3 config check`)."""
    top: dict[str, Any] = {}
    for setting in SETTINGS:
        group, dot, name = setting.key.rpartition(".")
        if not setting.in_file:
            continue
        place = top.setdefault(group, _object({}))["properties"] if dot else top
        place[name] = {"type": _TYPES.get(type(setting.default), "string"), "description": setting.about}
        place[name]["examples"] = [setting.example]
    for kind in KINDS:
        own = {each.key.rpartition(".")[2]: top[kind]["properties"] for each in settings_of(kind, "x")}
        section = _object({key: properties[key] for key, properties in own.items()})
        taken = "|".join([MAIN, *top[kind]["properties"]])
        top[kind]["patternProperties"] = {f"^(?!({taken})$){NAME}$": section}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "nats3", **_object(top)}


def _of_named(config: Config) -> list[Setting[object]]:
    """The settings of the connections that have a name."""
    return [
        setting
        for kind, names in (("nats", config.more_nats), ("s3", config.more_s3))
        for name in names
        for setting in settings_of(kind, name)
    ]


def changed(one: Config, other: Config) -> set[str]:
    """The keys that have other values, secrets included."""
    before, after = _values(one), _values(other)
    return {key for key in before | after if before.get(key) != after.get(key)}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _by_key(config: Config) -> dict[str, str | None]:
    return {key: _shown(value) for key, value in _values(config).items()}


def _values(config: Config) -> dict[str, object]:
    nested = {"log": config.log.level, "log_format": config.log.format}
    nested |= {"node_name": config.node_name, "failpoints": ",".join(each.place for each in config.failpoints)}
    nested |= {"failpoints_allowed": bool(config.failpoints)}
    found: dict[str, object] = dict(nested)
    for group in fields(config):
        settings: object = getattr(config, group.name)
        if is_dataclass(settings) and group.name != "log":
            found |= {f"{group.name}.{one.name}": getattr(settings, one.name) for one in fields(settings)}
    for group, named in (("nats", config.more_nats), ("s3", config.more_s3)):
        for name, settings in named.items():
            found |= {f"{group}.{name}.{one.name}": getattr(settings, one.name) for one in fields(settings)}
    return found


def _shown(value: object) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case Secret() | Address():
            return str(value)
        case tuple():
            return ",".join(str(one) for one in cast("tuple[object, ...]", value))
        case _:
            return str(value)
