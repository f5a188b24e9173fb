"""Requests out of the OpenAPI document, as bytes: good ones and bad ones, recombined from few that are costly to think of.

schemathesis needs 11 ms of CPU for a case, an answer takes 2 to 4: so a pool of cases is made for each route, and what is
sent takes path, query, headers and body each from another one of them.
"""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from nats3.api.openapi import document
from nats3.api.routes import ROUTES

MOST_CASES = 400
"""Of one route and kind; what is sent beyond that recombines them."""

DOCUMENT = document(ROUTES)
_JSON = [(b"content-type", b"application/json")]
_HOST = "http://localhost"
_SAFE = "/:@!$&'()*+,;=%-._~"


ODD = 0.03
"""Of all requests so many have a head that no route takes."""

HEADS: dict[str, tuple[bytes, list[tuple[bytes, bytes]], int]] = {
    "a long header": (b"", [(b"x-long", b"a" * 17_000)], 431),
    "a long query": (b"a" * 17_000, [], 431),
    "a packed body": (b"", [(b"content-encoding", b"gzip")], 415),
    "another host": (b"", [(b"host", b"elsewhere.example")], 421),
    "a large body": (b"", [(b"content-length", b"2000000")], 413),
}
"""What comes with such a head instead of the query and beside the headers, and the status that it gets at every route."""


@dataclass(frozen=True)
class Known:
    """What there is in the world: most requests are about that."""

    jobs: list[str] = field(default_factory=list[str])
    chunks: list[str] = field(default_factory=list[str])
    surveys: list[str] = field(default_factory=list[str])
    tokens: list[str] = field(default_factory=list[str])
    head: int = 1


@dataclass(frozen=True)
class Parts:
    """One case, cut up. `path` are the values in the path."""

    path: dict[str, str]
    query: list[tuple[str, str]]
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True)
class Asked:
    """A request as it is on the wire, without who asks. `case` is one of its operation, to hold the answer against."""

    case: Any
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def method(self) -> str:
        return self.case.method

    @property
    def route(self) -> str:
        return f"{self.case.method} {self.case.operation.path}"

    def __str__(self) -> str:
        head = f"{self.method} {self.path}?{self.query.decode()[:500]} {self.headers}"
        return f"{head[:1500]} {self.body[:500]!r}"


@dataclass(frozen=True)
class Pool:
    """The cases of one route."""

    case: Any
    parts: list[Parts]

    def any(self, chance: Random, known: Known) -> Asked:
        """One that was thought of, or a mixture of several; about something that is there, often."""
        one = chance.choice(self.parts)
        path, query, headers, body = one.path, one.query, one.headers, one.body
        if chance.random() < 0.5:
            path, query = chance.choice(self.parts).path, chance.choice(self.parts).query
        if chance.random() < 0.2:
            headers, body = chance.choice(self.parts).headers, chance.choice(self.parts).body
        if chance.random() < 0.5:
            query = [each for each in query if each[0] == "job_id" or chance.random() < 0.3]
        if chance.random() < 0.6:
            path, query = self._aimed(path, query, chance, known)
        template = self.case.operation.path
        for name, value in path.items():
            template = template.replace("{" + name + "}", quote(value, safe=_SAFE, errors="surrogatepass"))
        asked = Asked(self.case, template, urlencode(query, errors="surrogatepass").encode(), headers, body)
        return odd(asked, chance.choice(list(HEADS))) if chance.random() < ODD else asked

    def _aimed(
        self, path: dict[str, str], query: list[tuple[str, str]], chance: Random, known: Known
    ) -> tuple[dict[str, str], list[tuple[str, str]]]:
        there = _there(self.case.operation.path, chance, known)
        job = ("job_id", chance.choice(known.jobs))
        aimed = [job if name == "job_id" else (name, value) for name, value in query]
        return {name: there.get(name, value) for name, value in path.items()}, aimed


def odd(asked: Asked, what: str) -> Asked:
    """The same with a head that no route takes."""
    query, headers, _status = HEADS[what]
    return replace(asked, query=query or asked.query, headers=[*headers, *asked.headers])


def _there(template: str, chance: Random, known: Known) -> dict[str, str]:
    """Values for the path of a route that lead to something."""
    job = chance.choice(known.jobs)
    ids = {
        "/jobs/": job,
        "/chunks/": chance.choice(known.chunks),
        "/surveys/": chance.choice(known.surveys),
        "/tokens/": chance.choice(known.tokens),
        "/entities/": f"{chance.choice(('job', 'run'))}/{job}",
    }
    found = next((value for part, value in ids.items() if part in template), None)
    names = ("jobs", "chunks", "coverage", "leftovers") if "/projections/" in template else ("jobs", "ORDERS")
    aimed = {"name": chance.choice(names), "position": str(chance.randrange(1, known.head + 1))}
    return aimed if found is None else aimed | {"id": found}


def strict(described: dict[str, Any]) -> dict[str, Any]:
    """The document with every answer closed: here a field that it does not tell of is a fault."""
    closed = copy.deepcopy(described)
    del closed["components"]["securitySchemes"]  # who asks is no matter of the case
    for methods in closed["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    for schema in closed["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return closed


def pools(count: int, seed: int) -> list[Pool]:
    """So many cases in all, half of them as described and half not, over all routes."""
    schema = schemathesis.openapi.from_dict(strict(DOCUMENT))
    operations = [result.ok() for result in schema.get_all_operations()]
    each = min(MOST_CASES, max(1, count // (2 * len(operations))))
    return [pool for operation in operations if (pool := _pool(operation, each, seed)) is not None]


def _pool(operation: Any, count: int, seed: int) -> Pool | None:
    cases = [*_cases(operation, GenerationMode.POSITIVE, count, seed)]
    if operation.query or operation.headers or len(operation.body) > 0:
        cases += _cases(operation, GenerationMode.NEGATIVE, count, seed)
    if not cases:
        return None
    parts = [_cut(case) for case in cases]
    right = [replace(parts[0], query=[], headers=_JSON, body=body) for body in _examples(operation)]
    return Pool(cases[0], parts + right * (1 + len(parts) // 4))


def _examples(operation: Any) -> list[bytes]:
    """Bodies as the document shows them: what is right is rarely met by chance."""
    told = DOCUMENT["paths"][operation.path][operation.method.lower()].get("requestBody", {"content": {}})
    shown = told["content"].get("application/json", {}).get("examples", {})
    return [json.dumps(each["value"]).encode() for each in shown.values()]


def _cases(operation: Any, mode: GenerationMode, count: int, seed: int) -> list[Any]:
    if mode is GenerationMode.POSITIVE and not (operation.query or operation.headers or operation.path_parameters):
        count = count if len(operation.body) > 0 else 1
    made: list[Any] = []

    @seeded(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def make(case: Any) -> None:
        made.append(case)

    with suppress(Unsatisfiable):  # it found no way to get this one wrong
        make()
    return made


def _cut(case: Any) -> Parts:
    sent = case.as_transport_kwargs(base_url=_HOST)
    query = [(str(name), str(one)) for name, value in (sent.get("params") or {}).items() for one in _each(value)]
    headers = [_header(name, value) for name, value in (sent.get("headers") or {}).items()]
    path = {name: str(value) for name, value in (case.path_parameters or {}).items()}
    return Parts(path, query, headers, _body(sent))


def _each(value: object) -> list[object]:
    """The values of a parameter, as often as it is said; one that is null is not."""
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def _header(name: str, value: object) -> tuple[bytes, bytes]:
    """What a server would hand over: bytes that break a head into two never come so far."""
    printable = "".join(char for char in str(value) if char.isprintable())
    return name.lower().encode("latin-1", "replace"), printable.encode("latin-1", "replace").strip()


def _body(sent: dict[str, Any]) -> bytes:
    if "json" in sent:
        return json.dumps(sent["json"]).encode()
    match sent.get("data"):
        case None:
            return b""
        case bytes() as data:
            return data
        case str() as text:
            return text.encode(errors="surrogatepass")
        case dict() as form:
            return urlencode(form, doseq=True, errors="surrogatepass").encode()
        case other:
            return str(other).encode()
