"""The API as a micro service of NATS: each endpoint is a route, asked in this process and answered as over HTTP.

The role stands in the subject (`nats3.api.read.jobs.list`), so the permissions of NATS accounts and users decide who may
do what, and an endpoint above the role that is offered does not exist.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import quote, unquote, urlencode

from nats3.access.roles import Role, at_least
from nats3.api.callers import Caller
from nats3.api.door import VOUCHED
from nats3.api.errors import BadParameter, BadQuery, NotJson, RequestError
from nats3.api.guard import MAX_BODY
from nats3.api.problems import Problem, answer
from nats3.api.reading import judged
from nats3.errors import Invalid

PRINCIPAL = "nats"
"""Who commands, in the events of what was commanded so: NATS does not say more of who asks."""

_PARAMETER = re.compile(r"\{(\w+)\}")
_LEAST_FAULT = 400
_PLAIN = (str, int, float)
_CODES = {413: "too_large", 503: "unavailable"}

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
    _large: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, offer: Offer, payload: bytes) -> Answered:
        if len(payload) > MAX_BODY:
            too_large = f"the request is larger than {MAX_BODY} bytes; send less"
            return _refusal(offer, Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", too_large))
        try:
            wanted = await judged(payload.strip() or b"{}", _object, self._large)
            path = _PARAMETER.sub(lambda found: quote(_taken(wanted, found[1]), safe=""), offer.path)
            query = "" if offer.method == "POST" else urlencode(_query(wanted), doseq=True)
        except RequestError as error:
            return _refusal(offer, Problem(error.status, error.code, str(error), tuple(error.faults)))
        body = _body(wanted) if offer.method == "POST" and wanted else b""
        return await self._request(offer, path, query.encode(), body)

    async def _request(self, offer: Offer, path: str, query: bytes, body: bytes) -> Answered:
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


def _object(found: object) -> dict[str, Any]:
    """Raises NotJson."""
    if not isinstance(found, dict):
        raise NotJson("the request is no JSON object: send {} or one with the fields of the route")
    return cast("dict[str, Any]", found)


def _taken(wanted: dict[str, Any], name: str) -> str:
    """What the path wants, out of the request, as text or as the number that a list gave. Raises BadParameter."""
    value: Any = wanted.pop(name, "")
    if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
        return str(value)
    fault = "is missing" if value == "" else "is neither text nor number"
    raise BadParameter([Invalid(name, fault, "send the id that an answer gave")])


def _query(wanted: Mapping[str, Any]) -> Mapping[str, list[str]]:
    """Each value as the API writes it in an address, several as a list. Raises BadQuery."""
    listed = {name: cast("list[Any]", value) if isinstance(value, list) else [value] for name, value in wanted.items()}
    wrong = [name for name, values in listed.items() if not all(isinstance(value, _PLAIN) for value in values)]
    if wrong:
        remedy = "send text, a number, true or false, or a list of such; or leave it out"
        raise BadQuery([Invalid(name[:100], "has a value that no query has", remedy) for name in wrong])
    return {
        name: [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
        for name, values in listed.items()
    }


def refused(offer: Offer, status: int, detail: str) -> bytes:
    """The body of what is refused before the API is asked."""
    return _refusal(offer, Problem(status, _CODES[status], detail)).body


def _refusal(offer: Offer, problem: Problem) -> Answered:
    """As over HTTP; `instance` is the route, since there may be no path yet."""
    return Answered(problem.status, bytes(answer(problem, offer.path).body))


def _body(wanted: Mapping[str, Any]) -> bytes:
    """No longer than what came, so that what was not too large does not become so."""
    return json.dumps(wanted, separators=(",", ":"), ensure_ascii=False).encode()
