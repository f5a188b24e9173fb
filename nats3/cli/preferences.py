"""What a person told the command line for good: the server, and the form of data. In the file of the original's command line."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from nats3.cli.exits import Exit, Refused
from nats3.cli.output import FORMS

Key = Literal["server-url", "output-format"]
KEYS: tuple[Key, ...] = get_args(Key)


def file_of(environ: Mapping[str, str]) -> Path:
    """Where they stand, on whatever system."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - Path.expanduser raises without a home
    return Path(home) / "nats3" / "config.toml"


def read(environ: Mapping[str, str]) -> dict[Key, str]:
    """Those that were told. Raises Refused for a file that is there and cannot be read."""
    file = file_of(environ)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as fault:
        raise Refused(Exit.USAGE, f"{file} cannot be read: {getattr(fault, 'strerror', None) or fault}") from None
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise Refused(Exit.USAGE, f"{file} is no TOML ({fault}): repair or remove it") from None
    return {key: _judged(key, told[_named(key)], file) for key in KEYS if _named(key) in told}


def write(environ: Mapping[str, str], key: Key, value: str) -> Path:
    """Keep one for good; the file that it stands in. Raises Refused."""
    file = file_of(environ)
    told = read(environ) | {key: _judged(key, value, None)}
    lines = [_line(each, told[each]) for each in KEYS if each in told]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(lines), encoding="utf-8")
    except OSError as fault:
        raise Refused(Exit.FAILURE, f"{file} cannot be written: {fault.strerror}") from None
    return file


def _named(key: Key) -> str:
    """As the file has it."""
    return key.replace("-", "_")


def _line(key: Key, value: str) -> str:
    """As the original writes it: the words of its forms have a capital."""
    word = value.capitalize() if key == "output-format" else value
    return f"{_named(key)} = {json.dumps(word, ensure_ascii=False)}\n"


def _judged(key: Key, value: Any, file: Path | None) -> str:  # noqa: ANN401 - any value of TOML
    where = "" if file is None else f" in {file}"
    if not isinstance(value, str) or not value.strip():
        raise Refused(Exit.USAGE, f"{key}{where} is no text: give one")
    if key == "server-url":
        return value
    if value.lower() not in FORMS:
        raise Refused(Exit.USAGE, f"{key}{where}: {value} is none of {', '.join(FORMS)}")
    return value.lower()
