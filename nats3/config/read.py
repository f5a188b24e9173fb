"""From text to a value: each function takes what a person wrote and gives the value or says what is wrong with it.

No text of a `Wrong` repeats the value, because the value may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from nats3.config.values import Address, Network, Secret
from nats3.errors import Invalid
from nats3.failpoint import Failpoint, NoFailpoint, parse
from nats3.subject import check_literal, check_name

T = TypeVar("T", bound=str)

MAX_PORT = 65_535
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_UNITS = {"": 1, "B": 1, **{f"{u}{s}": 1024 ** (i + 1) for i, u in enumerate("KMGT") for s in ("", "B", "IB")}}
_SIZE = re.compile(r"(\d+)\s*([A-Za-z]*)")
_PASSWORD_IN_QUERY = re.compile(r"((?:^|[?&])(?:password|sslpassword)=)[^&#]*", re.IGNORECASE)


class Wrong(Exception):
    """What is wrong with a value, as the end of a sentence that begins with its name."""


def text(raw: str) -> str:
    if any(ord(char) < ord(" ") for char in raw):
        raise Wrong("holds a control character")
    return raw


def secret(raw: str) -> Secret:
    return Secret(text(raw))


def path(raw: str) -> Path:
    return Path(text(raw))


def switch(raw: str) -> bool:
    try:
        return _WORDS[raw.strip().lower()]
    except KeyError:
        raise Wrong("is neither true nor false") from None


def failpoints(raw: str) -> tuple[Failpoint, ...]:
    try:
        return parse(raw)
    except NoFailpoint as fault:
        raise Wrong(str(fault)) from None


def one_of(words: tuple[T, ...]) -> Callable[[str], T]:
    """A reader that takes one of `words`, in any case."""

    def read(raw: str) -> T:
        for word in words:
            if raw.strip().lower() == word:
                return word
        near = get_close_matches(raw.strip().lower(), words, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise Wrong(f"is none of {', '.join(words)}{hint}")

    return read


def level(raw: str) -> str:
    """A level's word; the usual other spellings are taken."""
    other = {"warning": "warn", "fatal": "error", "critical": "error"}
    return other.get(raw.strip().lower(), raw)


def whole(least: int, most: int) -> Callable[[str], int]:
    def read(raw: str) -> int:
        if not re.fullmatch(r"\d{1,12}", raw.strip()) or not least <= int(raw) <= most:
            raise Wrong(f"is no whole number from {least} to {most}")
        return int(raw)

    return read


def size(least: int) -> Callable[[str], int]:
    """Bytes with a 1024-based unit: `64MB`, `1GiB`, `262144`."""

    def read(raw: str) -> int:
        found = _SIZE.fullmatch(raw.strip())
        unit = found and _UNITS.get(found[2].upper())
        if not found or unit is None:
            raise Wrong("is no size")
        if (value := int(found[1]) * unit) < least:
            raise Wrong(f"is below the least of {least} bytes")
        return value

    return read


def stream(raw: str) -> str:
    """The name of a stream."""
    try:
        return check_name("it", raw.strip())
    except Invalid as fault:
        raise Wrong(f"names no stream: {fault.fault}") from None


def subject(raw: str) -> str:
    """A subject without wildcards."""
    try:
        return check_literal("it", raw.strip())
    except Invalid as fault:
        raise Wrong(f"is no subject: {fault.fault}") from None


def address(raw: str) -> Address:
    host, colon, port = raw.strip().rpartition(":")
    if not colon:
        raise Wrong("has no port")
    if not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise Wrong(f"has a port that is no number from 0 to {MAX_PORT}")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not re.fullmatch(r"[A-Za-z0-9._:%-]+", host):
        raise Wrong("has no host before the port" if not host else "has a host that no machine can have")
    return Address(host, int(port))


def networks(raw: str) -> tuple[Network, ...]:
    """Addresses and networks by commas, `10.0.0.5,10.1.0.0/16`."""
    try:
        return tuple(ip_network(part.strip(), strict=False) for part in raw.split(",") if part.strip())
    except ValueError:
        raise Wrong("holds something that is no IP address and no network") from None


def hosts(raw: str) -> tuple[str, ...]:
    """Names by commas, as they stand in a Host header without port and brackets; `*` lets every name in."""
    names = tuple(part.strip().lower() for part in raw.split(",") if part.strip())
    if not names:
        raise Wrong("names no host")
    for name in names:
        if not re.fullmatch(r"\*|[a-z0-9._-]+|[0-9a-f:.]*::[0-9a-f:.]*", name):
            raise Wrong("holds what is no host name; leave scheme and port out")
    return names


def http_url(raw: str) -> str:
    parts = _split(raw)
    if parts.scheme not in {"http", "https"}:
        raise Wrong("does not begin with http:// or https://")
    if not parts.hostname:
        raise Wrong("names no host")
    if parts.username or parts.password:
        raise Wrong("holds a user or password, which have settings of their own")
    return raw.strip().rstrip("/")


def nats_url(raw: str) -> Secret:
    """One or several NATS URLs by commas; `nats://` is put before those without a scheme."""
    urls = [_one_nats_url(part.strip()) for part in raw.split(",") if part.strip()]
    if not urls:
        raise Wrong("names no server")
    return Secret(",".join(urls), ",".join(_without_password(url) for url in urls))


def _one_nats_url(raw: str) -> str:
    url = raw if "://" in raw else f"nats://{raw}"
    parts = _split(url)
    if parts.scheme not in {"nats", "tls"}:
        raise Wrong("does not begin with nats:// or tls://")
    if not parts.hostname:
        raise Wrong("names no host")
    return url


def postgres_url(raw: str) -> Secret:
    """`postgresql://` or `postgres://`; the host may be a socket directory, percent-encoded or in `?host=`."""
    url = raw.strip()
    parts = _split(url, ports=False)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise Wrong("does not begin with postgresql://")
    _check_hosts(parts.netloc.rpartition("@")[2])
    if not unquote(parts.path).strip("/") and "dbname=" not in parts.query:
        raise Wrong("names no database after the host")
    if any(char.isspace() for char in url):
        raise Wrong("holds a blank; write %20")
    return Secret(url, _without_password(url))


def _check_hosts(hosts: str) -> None:
    """Several hosts may stand there, parted by commas, each with its port; none means the local socket."""
    for one in hosts.split(","):
        host, _, port = one.rpartition(":") if re.search(r":[^\]]*$", one) else (one, "", "")
        if port and (not port.isdigit() or int(port) > MAX_PORT):
            raise Wrong(f"has a port that is no number from 0 to {MAX_PORT}")
        if "/" in unquote(host) and not unquote(host).startswith("/"):
            raise Wrong("has a socket directory that does not begin with %2F")


def _split(raw: str, *, ports: bool = True) -> SplitResult:
    try:
        parts = urlsplit(raw.strip())
        _ = parts.port if ports else None
    except ValueError:
        raise Wrong("is no URL") from None
    return parts


def _without_password(url: str) -> str:
    """The URL with *** for its password; a lone user name of NATS is a token, so it goes too."""
    head, scheme, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{user}:***" if colon else (login if head.startswith("postgres") else "***")
    return _PASSWORD_IN_QUERY.sub(r"\1***", head + scheme + (shown + at if at else "") + place)
