"""OpenAPI 3.1 out of the table of routes. `python -m nats3.api.openapi` prints what docs/openapi.json holds."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from typing_extensions import override

from nats3 import __version__
from nats3.api.shapes_v1 import Error1
from nats3.api.shapes_v2 import Problem
from nats3.api.spec import JSON, PROBLEM, TEXT, Answer, Parameter, Says, Schema, Takes

_DESCRIPTION = (
    "Archive of JetStream messages in S3, and their replay. Version 1, at the root and below /api/v1, has the shapes of the"
    " original nats-s3-connector; version 2, below /api/v2, has resources, pages, problems and the event log. Answers may"
    " have fields that are not described here yet: pass over what you do not know."
)
_BEARER = "A token, n3_..., as `nats3 token create` makes it. On loopback none is needed until the first one is made."
_UUID = {"type": "string", "format": "uuid"}
_DIGITS = {"type": "string", "pattern": "^[0-9]{1,18}$"}
_PATH_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "/jobs/{id}": {**_UUID, "examples": ["24ce1555-b937-4321-9fa2-5e853a833690"]},
    "/chunks/{id}": _DIGITS,
    "/operations/{id}": _DIGITS,
    "/events/{position}": _DIGITS,
    "/entities/{id}": {"type": "string", "pattern": "^(job|run)/[0-9a-f-]{36}$"},
    "/tokens/{id}": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "/projections/{name}": {"type": "string", "pattern": "^[a-z_]{1,60}$", "examples": ["jobs"]},
}
"""By what stands before them in the path; any other is a text."""
_HEADERS: Mapping[str, str] = {
    "ETag": "The version of the job's orders, for If-Match.",
    "Link": 'The next page, as <address>; rel="next"; none on the last one.',
    "Location": "Where it is.",
    "Retry-After": "Seconds after which to come again.",
    "X-Request-Id": "The id of this request, yours when you sent a UUID. It stands in the events that came of it.",
}
_REFUSED: Mapping[int, str] = {
    400: "The request cannot be read, or an id is none.",
    401: "No token that is valid.",
    403: "The token may not do this.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "The state of the thing does not take this, or the same request is under way.",
    410: "It was there and will not come back.",
    412: "It is no longer what you saw.",
    413: "The body is too large.",
    415: "The body is no JSON, or is compressed.",
    421: "The Host header names no host of this server.",
    422: "A value does not fit: each one is named with its fault and a remedy.",
    429: "Too many at a time: come again later.",
    431: "Address and headers are larger than 16 KiB together.",
    503: "Something that is needed for the answer is away. Nothing is guessed and nothing is left out.",
}
_BY_HEAD = (413, 415, 421, 431)
"""What every route may answer to the head of a request alone."""

_ALWAYS_2 = (422, 503)
_WITH_BODY = (400, 408)
_PLACE = re.compile(r"\{(\w+)(?::path)?\}")


class Row(Protocol):
    """What this module reads of a route."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def role(self) -> str: ...

    @property
    def about(self) -> str: ...

    @property
    def says(self) -> Says: ...


class _Schemas(GenerateJsonSchema):
    """Without titles that only repeat names."""

    @override
    def get_title_from_name(self, name: str) -> str:
        return ""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Components:
    """Every model by its name, collected while paths are written."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}
        self.responses: dict[str, Any] = {}

    def of(self, schema: Schema, mode: JsonSchemaMode) -> dict[str, Any]:
        """A schema in place, its models by reference."""
        return self._reference(schema, mode) if isinstance(schema, type) else self._made(dict(schema), mode)

    def _made(self, schema: dict[str, Any], mode: JsonSchemaMode) -> dict[str, Any]:
        match schema:
            case {"array of": item}:
                return {"type": "array", "items": self.of(item, mode)}
            case {"page of": item}:
                return _object(items={"type": "array", "items": self.of(item, mode)})
            case {"events of": item}:
                # Until OpenAPI 3.2 the schema of an event stream is read as that of each event.
                data = {"contentMediaType": "application/json", "contentSchema": self.of(item, mode)}
                return _object(id={"type": "string"}, event={"type": "string"}, data={"type": "string", **data})
            case {"any of": alternatives}:
                return {"anyOf": [self.of(each, mode) for each in alternatives]}
            case {"one of": alternatives}:
                return self._one_of(alternatives, mode)
            case plain:
                return plain

    def _one_of(self, alternatives: Sequence[type[BaseModel]], mode: JsonSchemaMode) -> dict[str, Any]:
        """The field `kind` says which."""
        references = [self._reference(each, mode) for each in alternatives]
        kinds = [get_args(each.model_fields["kind"].annotation)[0] for each in alternatives]
        mapping = {kind: each["$ref"] for kind, each in zip(kinds, references, strict=True)}
        return {"oneOf": references, "discriminator": {"propertyName": "kind", "mapping": mapping}}

    def _reference(self, model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
        if model.__name__ not in self.schemas:
            template = "#/components/schemas/{model}"
            made = model.model_json_schema(ref_template=template, schema_generator=_Schemas, mode=mode)
            self.schemas.update(made.pop("$defs", {}))
            self.schemas[model.__name__] = made
        return {"$ref": f"#/components/schemas/{model.__name__}"}


def document(entries: Iterable[Row]) -> dict[str, Any]:
    """The whole description of these routes."""
    components = _Components()
    paths: dict[str, dict[str, Any]] = {}
    for entry in entries:
        path = _PLACE.sub(r"{\1}", entry.path)
        paths.setdefault(path, {})[entry.method.lower()] = _operation(entry, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "nats3", "version": __version__, "description": _DESCRIPTION, "license": _LICENSE},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.schemas.items())),
            "responses": dict(sorted(components.responses.items())),
            "headers": _headers(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": _BEARER}},
        },
    }


_LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
_TAGS = {
    "system": "Outside of versions: is it alive, can it work, what does it count.",
    "version 1": "In the original's shapes.",
    "version 2": "Resources.",
}


def _operation(entry: Row, components: _Components) -> dict[str, Any]:
    says = entry.says
    statuses = [*says.refuses, *_always(entry)]
    answers = {str(answer.status): _answer(answer, components) for answer in says.answers}
    answers |= {
        str(status): _refusal(status, entry.path, components)
        for status in sorted(set(statuses))
        if str(status) not in answers
    }
    operation: dict[str, Any] = {
        "operationId": operation_id(entry.method, entry.path),
        "tags": [_tag(entry.path)],
        "summary": entry.about,
        "x-role": entry.role,
        "parameters": [*_in_path(entry.path), *map(_parameter, (*says.query, *says.headers))],
    }
    if entry.role != "open":
        operation["security"] = [{"token": []}]
    if says.takes is not None:
        operation["requestBody"] = _body(says.takes, components)
    return operation | {"responses": dict(sorted(answers.items()))}


def _always(entry: Row) -> Iterable[int]:
    """What every route of this version may answer, and every one with a body or a place in its path."""
    yield from _BY_HEAD
    if is_version_2(entry.path):
        yield from _ALWAYS_2
    if entry.says.takes is not None:
        yield from _WITH_BODY
    elif is_version_2(entry.path) and entry.method != "GET":
        yield 408  # whether a body says anything is known once it is there
    if is_version_2(entry.path) and "{" in entry.path:
        yield from (400, 404)
    if entry.role != "open":
        yield from (401, 403, 429)


def operation_id(method: str, path: str) -> str:
    """Such as `post_jobs_id_pause` of version 2 and `v1_get_store_jobs`, `root_get_store_jobs`."""
    version = "" if is_version_2(path) else "v1_" if path.startswith("/api/v1/") else "root_"
    rest = path.removeprefix("/api/v2").removeprefix("/api/v1")
    return version + "_".join([method.lower(), *re.findall(r"\w+", _PLACE.sub(r"\1", rest))])


def _tag(path: str) -> str:
    if is_version_2(path):
        return "version 2"
    return "version 1" if "/store/" in path or "/load/" in path else "system"


def is_version_2(path: str) -> bool:
    return path.startswith("/api/v2/")


def _in_path(path: str) -> list[dict[str, Any]]:
    parts = path.split("/")
    found = [(_PLACE.fullmatch(part), before) for before, part in itertools.pairwise(parts)]
    names = [(place[1], f"/{before}/{{{place[1]}}}") for place, before in found if place]
    return [
        {"name": name, "in": "path", "required": True, "schema": dict(_PATH_PARAMETERS.get(where, {"type": "string"}))}
        for name, where in names
    ]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    said = {"name": parameter.name, "in": parameter.where, "description": parameter.about}
    return {**said, "required": parameter.required, "schema": dict(parameter.schema)}


def _body(takes: Takes, components: _Components) -> dict[str, Any]:
    examples = {name: {"value": value} for name, value in takes.examples.items()}
    content = {JSON: {"schema": components.of(takes.schema, "validation"), "examples": examples}}
    return {"required": not takes.optional, "content": content}


def _answer(answer: Answer, components: _Components) -> dict[str, Any]:
    said: dict[str, Any] = {"description": answer.about, "headers": _named(*answer.headers, "X-Request-Id")}
    contents: dict[str, Any] = {}
    for media, schema in answer.contents.items():
        contents[media] = {} if schema is None else {"schema": components.of(schema, "serialization")}
        if answer.example is not None:
            contents[media]["example"] = answer.example
    return said | ({"content": contents} if contents else {})


def _refusal(status: int, path: str, components: _Components) -> dict[str, Any]:
    """A problem in version 2; elsewhere one sentence, as JSON or as plain text where the body could not be read."""
    later = ("Retry-After",) if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS) else ()
    name, contents = f"Problem{status}", {PROBLEM: Problem}
    if not is_version_2(path):
        name, contents = f"Error{status}", {JSON: Error1, TEXT: {"type": "string"}}
    components.responses[name] = _answer(Answer(status, _REFUSED[status], contents, later), components)
    return {"$ref": f"#/components/responses/{name}"}


def _headers() -> dict[str, Any]:
    return {name: {"description": about, "schema": {"type": "string"}} for name, about in _HEADERS.items()}


def _named(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _object(**members: dict[str, Any]) -> dict[str, Any]:
    """With all of these members, and perhaps others."""
    return {"type": "object", "properties": members, "required": list(members)}


def text_of(entries: Iterable[Row]) -> str:
    """The document as it is served and as docs/openapi.json holds it."""
    return json.dumps(document(entries), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from nats3.api.routes import ROUTES

    sys.stdout.write(text_of(ROUTES))
