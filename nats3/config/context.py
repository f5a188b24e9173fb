"""The connection that the `nats` command line knows under a name, and the variables that it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from nats3.config.read import Wrong

VARIABLES = {
    "NATS_URL": "nats.url",
    "NATS_USER": "nats.user",
    "NATS_PASSWORD": "nats.password",
    "NATS_TOKEN": "nats.token",
    "NATS_CREDS": "nats.creds",
    "NATS_NKEY": "nats.nkey",
    "NATS_CA": "nats.tls_ca",
    "NATS_CERT": "nats.tls_cert",
    "NATS_KEY": "nats.tls_key",
    "NATS_CONTEXT": "nats.context",
}
"""What the `nats` command line reads, and what it is to us."""

_FIELDS = {
    "url": "nats.url",
    "user": "nats.user",
    "password": "nats.password",
    "token": "nats.token",
    "creds": "nats.creds",
    "nkey": "nats.nkey",
    "ca": "nats.tls_ca",
    "cert": "nats.tls_cert",
    "key": "nats.tls_key",
    "tls_first": "nats.tls_first",
    "inbox_prefix": "nats.inbox_prefix",
    "jetstream_domain": "nats.domain",
    "jetstream_api_prefix": "nats.api_prefix",
}
_PATHS = frozenset({"creds", "nkey", "ca", "cert", "key"})
_REFUSED = {
    "nsc": "write the credentials into a file and name it as creds",
    "user_jwt": "write JWT and seed into a credentials file and name it as creds",
    "user_seed": "write JWT and seed into a credentials file and name it as creds",
    "socks_proxy": "name a server that is reached without a proxy",
}


def read_context(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Settings by key out of the context of that name, or out of the file where `name` is a path. Raises Wrong."""
    path = _place(name, environ)
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Wrong(f"cannot be read from {path}: {error.strerror}; {_others(path)}") from None
    except ValueError:
        raise Wrong(f"is no JSON: {path}") from None
    if not isinstance(content, dict):
        raise Wrong(f"is no mapping of fields to values: {path}")
    return dict(_told(cast("dict[str, object]", content), environ))


def _told(content: Mapping[str, object], environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        if value in ("", None, False):
            continue
        if remedy := _REFUSED.get(name):
            raise Wrong(f"has {name}, which nats3 does not use; {remedy}")
        if key := _FIELDS.get(name):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield key, str(_absolute(text, environ)) if name in _PATHS else text


def _place(name: str, environ: Mapping[str, str]) -> Path:
    return _absolute(name, environ) if "/" in name else _directory(environ) / f"{name}.json"


def _directory(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else _absolute("~/.config", environ)) / "nats" / "context"


def _absolute(text: str, environ: Mapping[str, str]) -> Path:
    """`~` is the home of whom `environ` names."""
    home = environ.get("HOME", "")
    return Path(home + text[1:] if home and (text == "~" or text.startswith("~/")) else text)


def _others(path: Path) -> str:
    known = sorted(other.stem for other in path.parent.glob("*.json"))
    return f"there are {', '.join(known)}" if known else f"there is none in {path.parent}"
