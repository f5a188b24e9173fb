"""The OpenAPI document as one page of HTML: no script, no style but a sheet of ours, nothing from anywhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 0 1rem 4rem; }
code, pre { font: 0.875em/1.5 ui-monospace, monospace; }
pre { background: color-mix(in srgb, currentcolor 7%, transparent); overflow-x: auto; padding: 0.75rem; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid color-mix(in srgb, currentcolor 25%, transparent); padding: 0.25rem 0.75rem 0.25rem 0; }
td, th { text-align: left; vertical-align: top; }
section { border-top: 2px solid color-mix(in srgb, currentcolor 40%, transparent); margin-top: 2rem; }
.method { display: inline-block; min-width: 4.5rem; }
nav li { list-style: none; }
"""


def page(document: Mapping[str, Any]) -> str:
    """The whole page."""
    info = document["info"]
    body = "".join((*_index(document), *_operations(document), *_schemas(document)))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>nats3 API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/docs/style.css"></head><body>'
        f"<h1>nats3 API {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        '<p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p>'
        f"<main>{body}</main></body></html>\n"
    )


def _index(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<nav>"
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p><ul>"
        for method, path, operation in _each(document):
            if tag["name"] in operation["tags"]:
                about = escape(operation["summary"])
                yield f'<li><a href="#{operation["operationId"]}">{_line(method, path)}</a> {about}</li>'
        yield "</ul>"
    yield "</nav>"


def _each(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def _line(method: str, path: str) -> str:
    return f'<code><span class="method">{method.upper()}</span>{escape(path)}</code>'


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    for method, path, operation in _each(document):
        yield f'<section id="{operation["operationId"]}"><h3>{_line(method, path)}</h3>'
        yield f"<p>{escape(operation['summary'])}. Role: {escape(operation['x-role'])}.</p>"
        yield from _parameters(operation)
        yield from _body(operation)
        yield from _answers(document, operation)
        yield "</section>"


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    if not operation["parameters"]:
        return
    yield "<table><thead><tr><th>parameter</th><th>in</th><th>type</th><th>about</th></tr></thead><tbody>"
    for each in operation["parameters"]:
        needed = " (required)" if each["required"] else ""
        cells = (f"<code>{escape(each['name'])}</code>", each["in"] + needed, _type(each["schema"]))
        yield _row(*cells, escape(each.get("description", "")))
    yield "</tbody></table>"


def _body(operation: Mapping[str, Any]) -> Iterator[str]:
    body = operation.get("requestBody")
    if body is None:
        return
    for media, content in body["content"].items():
        yield f"<p>Body: <code>{escape(media)}</code>, {_type(content['schema'])}"
        yield "" if body["required"] else ", may be left out"
        yield "</p>"
        for name, example in content["examples"].items():
            yield f"<p>{escape(name)}</p>{_shown(example['value'])}"


def _answers(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[str]:
    yield "<table><thead><tr><th>answer</th><th>about</th><th>body</th><th>headers</th></tr></thead><tbody>"
    for status, told in operation["responses"].items():
        answer = _resolved(document, told)
        bodies = [
            f"<code>{escape(media)}</code> {_type(content.get('schema', {}))}"
            for media, content in answer.get("content", {}).items()
        ]
        headers = escape(", ".join(name for name in answer["headers"] if name != "X-Request-Id"))
        yield _row(status, escape(answer["description"]), "<br>".join(bodies), headers)
    yield "</tbody></table>"
    for told in operation["responses"].values():
        for content in told.get("content", {}).values():
            if "example" in content:
                yield _shown(content["example"])


def _resolved(document: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any]:
    """An answer that many routes share stands among the components."""
    reference = told.get("$ref")
    return told if reference is None else document["components"]["responses"][reference.rpartition("/")[2]]


def _schemas(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Bodies</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<section id="{escape(name)}"><h3>{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p>'
        yield "<table><thead><tr><th>field</th><th>type</th><th></th></tr></thead><tbody>"
        for field, inner in schema.get("properties", {}).items():
            default = f"default {escape(json.dumps(inner['default']))}" if "default" in inner else ""
            needed = "required" if field in schema.get("required", ()) else default
            yield _row(f"<code>{escape(field)}</code>", _type(inner), needed)
        yield "</tbody></table></section>"


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _shown(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words; models are links."""
    match schema:
        case {"$ref": str(reference)}:
            name = escape(reference.rpartition("/")[2])
            return f'<a href="#{name}">{name}</a>'
        case {"type": "array", "items": items}:
            return f"array of {_type(items)}"
        case {"oneOf": parts} | {"anyOf": parts}:
            return " or ".join(map(_type, parts))
        case {"type": "object", "properties": {"items": items}}:
            return f"page of {_type(items['items'])}"
        case _:
            return _plain_type(schema)


def _plain_type(schema: Mapping[str, Any]) -> str:
    words: list[object] = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    said = ", ".join(map(json.dumps, words)) or " ".join(schema[key] for key in ("type", "format") if key in schema)
    return escape(said or "anything")
