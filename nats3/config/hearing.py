"""Who tells settings: the file, the environment, the `nats` command line. What was told last counts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from nats3.config.context import VARIABLES, read_context
from nats3.config.named import KINDS, names_in, setting_of, settings_of
from nats3.config.read import Wrong
from nats3.config.settings import BY_KEY, OTHER_VARIABLES, SETTINGS, Setting
from nats3.errors import Invalid
from nats3.place import is_name

if TYPE_CHECKING:
    from yaml import Mark, YAMLError

T = TypeVar("T")
LOGINS = ("user", "token", "creds", "nkey")
"""Ways to log in to NATS, of which one may be set."""

_OF_A_LOGIN = frozenset({"nats.password", *(f"nats.{way}" for way in LOGINS)})
DEFAULT_FILE = Path("/etc/nats3/config.toml")


@dataclass(frozen=True, slots=True)
class Told:
    """A text given for a setting: what it says, and who said it, in the words a person would look for."""

    value: str
    source: str


@dataclass(slots=True)
class Reading:
    """What was told so far, later tellers replacing earlier ones, and what was wrong with it."""

    told: dict[str, Told] = field(default_factory=dict[str, Told])
    values: dict[str, object] = field(default_factory=dict[str, object])
    faults: list[Invalid] = field(default_factory=list[Invalid])

    def fault(self, field_: str, fault: str, remedy: str) -> None:
        self.faults.append(Invalid(field_, fault, remedy))

    def value(self, setting: Setting[T]) -> T:
        return cast("T", self.values[setting.key])

    def of(self, group: str) -> _Values:
        """The values of one connection: `nats`, `s3.cold`."""
        return _Values(self.values, group)


@dataclass(frozen=True, slots=True)
class _Values:
    _values: Mapping[str, object]
    _group: str

    def __call__(self, setting: Setting[T]) -> T:
        return cast("T", self._values[f"{self._group}.{setting.key.partition('.')[2]}"])


def hear_environment(reading: Reading, environ: Mapping[str, str]) -> None:
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
            reading.fault(name, "is no variable that nats3 knows", _of_a_connection(name) or _did_you_mean(near))


def hear_nats(reading: Reading, environ: Mapping[str, str]) -> None:
    """What the `nats` command line would use: its variables where nothing of NATS is told, and a context for the rest."""
    if not any(key.startswith("nats.") for key in reading.told):
        told = {key: Told(environ[name], name) for name, key in VARIABLES.items() if environ.get(name)}
        reading.told.update(told)
    for group in ("nats", *(f"nats.{name}" for name in names_in(reading.told, "nats"))):
        _hear_context(reading, environ, group)


def _hear_context(reading: Reading, environ: Mapping[str, str], group: str) -> None:
    named = reading.told.get(f"{group}.context")
    if named is None:
        return
    try:
        content = read_context(named.value, environ)
    except Wrong as wrong:
        reading.fault(named.source, f'context "{named.value}" {wrong}', "`nats context ls` lists what there is")
        return
    login = any(f"{group}.{way}" in reading.told for way in LOGINS)
    for key, value in content.items():
        if not (login and key in _OF_A_LOGIN):
            reading.told.setdefault(f"{group}.{key.removeprefix('nats.')}", Told(value, f"context {named.value}"))


def _hear_secret_file(reading: Reading, environ: Mapping[str, str], name: str, setting: Setting[object]) -> None:
    if not environ[name]:
        return
    if environ.get(setting.variable):
        reading.fault(name, f"is set, and so is {setting.variable}", "unset one of them")
        return
    _hear_secret_in(reading, environ[name], name, setting)


def _hear_secret_in(reading: Reading, file: str, name: str, setting: Setting[object]) -> None:
    try:
        value = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        reading.fault(
            name, f"{file} cannot be read: {reason}", f"for example {name.partition(' in ')[0]}=/run/secrets/nats3"
        )
        return
    if value:
        reading.told[setting.key] = Told(value, name)


def hear_file(reading: Reading, file: Path | None, environ: Mapping[str, str]) -> None:
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
    keys = dict(_flat(content))
    for key, value in keys.items():
        if key.endswith("_file") and key.removesuffix("_file") in keys:
            reading.fault(f"{key} in {path}", f"is set, and so is {key.removesuffix('_file')}", "leave one of them out")
        elif (setting := setting_of(key.removesuffix("_file"))) and setting.secret and key.endswith("_file"):
            _hear_secret_in(reading, str(value), f"{key} in {path}", setting)
        else:
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
        raise Wrong(f"is no valid YAML{_place_of(error)}") from None
    if not isinstance(content, dict | None):
        raise Wrong("is no mapping of keys to values")
    return cast("dict[object, object]", content or {})


def _place_of(error: YAMLError) -> str:
    """Where it is torn, without words of the line itself: a secret may stand on it."""
    mark: Mark | None = getattr(error, "problem_mark", None)
    problem, _, _ = str(getattr(error, "problem", None) or "").partition(" '")
    return f": {problem} (at line {mark.line + 1}, column {mark.column + 1})" if mark else ""


def _flat(content: Mapping[object, object], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in content.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and path not in BY_KEY:
            yield from _flat(cast("dict[object, object]", value), f"{path}.")
        elif value is not None:  # in YAML, a section whose lines are all comments
            yield path, value


def _hear_key(reading: Reading, path: Path, key: str, value: object) -> None:
    name = f"{key} in {path}"
    setting = setting_of(key)
    if isinstance(value, dict):
        reading.fault(f"[{key}] in {path}", *_no_name(key))
    elif setting is None or not setting.in_file:
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


def _no_name(key: str) -> tuple[str, str]:
    """What is wrong with a section that has the name of a setting, and what to write."""
    kind, _, name = key.partition(".")
    if kind not in KINDS:
        return "is a section, and it is a setting", f'give it a value: {key} = "{BY_KEY[key].example}"'
    fault = f"calls a connection {name!r}, which is a setting of [{kind}]"
    return fault, f'call it something else, such as [{kind}.{name}-1], or write {name} = "..." below [{kind}]'


def _key_remedy(key: str) -> str:
    if key.partition(".")[0] in {"store", "store_jobs", "load", "load_jobs"}:
        return "jobs are not ordered by the file: use `nats3 store create` or POST /api/v1/store/job"
    kind, _, rest = key.partition(".")
    name, dot, _ = rest.partition(".")
    if kind in KINDS and dot and not is_name(name):
        return f"a connection is called by 1 to 32 of a-z, 0-9, - and _, a letter first, such as [{kind}.hub-1]"
    return _did_you_mean(get_close_matches(key, _keys(key), n=1, cutoff=0.6))


def _keys(like: str) -> list[str]:
    """All keys there are, with those of the connection that a wrong one seems to mean."""
    kind, _, rest = like.partition(".")
    name, dot, _ = rest.partition(".")
    return [*BY_KEY, *(each.key for each in settings_of(kind, name) if dot and kind in KINDS)]


def _of_a_connection(name: str) -> str | None:
    """Of a variable that looks like one of a connection with a name: where that is told instead."""
    for setting in SETTINGS:
        kind, _, key = setting.key.partition(".")
        found = re.fullmatch(f"NATS3_{kind}_([A-Z0-9_]+)_{key}(_FILE)?".upper(), name) if kind in KINDS else None
        if found:
            return f"connections with a name stand in the file: [{kind}.{found[1].lower()}] {key} = ..."
    return None


def _did_you_mean(near: list[str]) -> str:
    return f"did you mean {near[0]}?" if near else "remove it; `nats3 config show` lists what there is"
