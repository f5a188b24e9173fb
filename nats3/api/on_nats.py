"""The API as a micro service of NATS: each endpoint is a route, asked in this process and answered as over HTTP.

The role stands in the subject (`nats3.api.read.jobs.list`), so the permissions of NATS accounts and users decide who may
do what, and an endpoint above the role that is offered does not exist.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import quote, unquote, urlencode

from nats3.access.roles import Role, at_least
from nats3.api.callers import Caller
from nats3.api.door import VOUCHED
from nats3.api.errors import NotJson
from nats3.api.strict_json import parse

PRINCIPAL = "nats"
"""Who commands, in the events of what was commanded so: NATS does not say more of who asks."""

_PARAMETER = re.compile(r"\{(\w+)\}")
_LEAST_FAULT = 400

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


@dataclass(frozen=True, slots=True)
class Offer:
    """A route under a name. What its path wants is taken out of the request; the rest is the query, or the body."""

    name: str
    role: Role
    method: str
    path: str

    def subject(self, prefix: str) -> str:
        return f"{prefix}.{self.role}.{self.name.replace('-', '.')}"


OFFERS = (
    Offer("jobs-list", "read", "GET", "/api/v2/jobs"),
    Offer("jobs-get", "read", "GET", "/api/v2/jobs/{id}"),
    Offer("jobs-create", "operate", "POST", "/api/v2/jobs"),
    Offer("jobs-pause", "operate", "POST", "/api/v2/jobs/{id}/pause"),
    Offer("jobs-resume", "operate", "POST", "/api/v2/jobs/{id}/resume"),
    Offer("jobs-delete", "operate", "DELETE", "/api/v2/jobs/{id}"),
    Offer("chunks-list", "read", "GET", "/api/v2/chunks"),
    Offer("chunks-get", "read", "GET", "/api/v2/chunks/{id}"),
    Offer("chunks-messages", "read", "GET", "/api/v2/chunks/{id}/messages"),
    Offer("streams-list", "read", "GET", "/api/v2/streams"),
)


def offered(role: Role) -> Iterator[Offer]:
    """What is there for a service that offers so much."""
    return (offer for offer in OFFERS if at_least(role, offer.role))


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of the API: its status, its body, and what is wrong in words."""

    status: int
    body: bytes

    @property
    def fault(self) -> tuple[int, str] | None:
        """Code and text of a refusal."""
        if self.status < _LEAST_FAULT:
            return None
        try:
            detail = str(json.loads(self.body)["detail"])
        except (ValueError, KeyError, TypeError):
            detail = "refused"
        return self.status, detail


class Asks(Protocol):
    """What calls an offer with the payload of a request."""

    async def __call__(self, offer: Offer, payload: bytes) -> Answered: ...


@dataclass(frozen=True, slots=True)
class Inside:
    """Asks the application in this process. The permissions of NATS have decided already: the caller has the role."""

    app: App

    async def __call__(self, offer: Offer, payload: bytes) -> Answered:
        try:
            wanted = _object(payload)
        except NotJson as fault:
            return _refusal(str(fault))
        missing = [name for name in _PARAMETER.findall(offer.path) if not isinstance(wanted.get(name), str)]
        if missing:
            return _refusal(f"{missing[0]} is missing: send it as a text in the JSON object of the request")
        path = _PARAMETER.sub(lambda found: quote(str(wanted.pop(found[1])), safe=""), offer.path)
        return await self._request(offer, path, wanted)

    async def _request(self, offer: Offer, path: str, wanted: Mapping[str, Any]) -> Answered:
        body = json.dumps(wanted).encode() if offer.method == "POST" and wanted else b""
        query = b"" if offer.method == "POST" else urlencode(_query(wanted)).encode()
        exchange = _Exchange(body)
        await self.app(_scope(offer, path, query, body), exchange.receive, exchange.send)
        return Answered(exchange.status, b"".join(exchange.parts))


@dataclass(slots=True)
class _Exchange:
    """One request and its answer."""

    body: bytes
    status: int = 500
    parts: list[bytes] = field(default_factory=list[bytes])

    async def receive(self) -> Message:
        body, self.body = self.body, b""
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.parts.append(message.get("body", b""))


def _scope(offer: Offer, path: str, query: bytes, body: bytes) -> dict[str, Any]:
    headers = [(b"host", b"localhost"), (b"content-length", b"%d" % len(body))]
    if body:
        headers.append((b"content-type", b"application/json"))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": offer.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "client": None,
        "server": None,
        VOUCHED: Caller(principal=PRINCIPAL, role=offer.role),
    }


def _object(payload: bytes) -> dict[str, Any]:
    """Raises NotJson."""
    found: Any = parse(payload) if payload.strip() else {}
    if not isinstance(found, dict):
        raise NotJson("the request is no JSON object: send {} or one with the fields of the route")
    return cast("dict[str, Any]", found)


def _query(wanted: Mapping[str, Any]) -> Mapping[str, str]:
    """Truth values as the API writes them."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in wanted.items()}


def _refusal(detail: str) -> Answered:
    body = {"type": "about:blank", "title": "Bad Request", "status": 400, "code": "invalid", "detail": detail}
    return Answered(400, json.dumps(body).encode())
