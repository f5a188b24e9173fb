"""Requests that are sent for every chunk: learnt from the vendor's client, then made without it, signed and sent by its parts.

The client works out each request anew: rules of endpoints, models of parameters and of answers, a chain of hooks. Half of what a
PUT and its HEAD cost us is that, and what comes out differs from the last one in nothing but key, hash and body.
"""

from __future__ import annotations

import io
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class Operation:
    """What is done with one object, as the vendor and HTTP call it. `plain` are the statuses of a yes that says all in headers."""

    name: str
    call: str
    verb: str
    plain: tuple[int, ...] = (200,)


PUT = Operation("PutObject", "put_object", "PUT")
HEAD = Operation("HeadObject", "head_object", "HEAD")
GET = Operation("GetObject", "get_object", "GET", (200, 206))

_ASKED = {
    "IfNoneMatch": "If-None-Match",
    "ChecksumSHA256": "x-amz-checksum-sha256",
    "ChecksumMode": "x-amz-checksum-mode",
    "Range": "Range",
}
"""Headers that carry our parameters."""

_ANSWERED = {"ContentRange": "content-range", "ETag": "etag", "ChecksumSHA256": "x-amz-checksum-sha256"}
"""Headers that carry what we read of an answer, beside its length and metadata."""

_METADATA = "x-amz-meta-"
_LENGTH = "content-length"

_SIGNED = "s3v4"
"""The way of signing that is the same for all objects of a bucket."""

_OWN_CONTEXT = frozenset({"s3_redirect", "input_params"})
"""What the context of a request has of this one alone, among it the body."""


@dataclass(slots=True)
class _Question:
    """One request as the client would be asked for it. `answer` is what came for it, until the client takes it over."""

    operation: Operation
    params: dict[str, Any]
    answer: Any = None

    @property
    def kind(self) -> tuple[str, ...]:
        """Requests of one kind differ only in key, body, and the values of their own headers."""
        return (self.operation.name, self.params["Bucket"], *self.params)

    @property
    def path(self) -> str:
        """The key as it stands in a URL."""
        return quote(self.params["Key"], safe="/~")

    def headers(self) -> dict[str, str]:
        metadata = {_METADATA + name: value for name, value in self.params.get("Metadata", {}).items()}
        return metadata | {_ASKED[name]: value for name, value in self.params.items() if name in _ASKED}


@dataclass(frozen=True, slots=True)
class _Shown:
    """How the client made a request of one kind: its URL up to the key, its headers, and what its signer goes by."""

    root: str
    headers: dict[str, str]
    context: dict[str, Any]


_asking: ContextVar[_Question | None] = ContextVar("_asking", default=None)
"""What the client is asked in this task, for our hooks in it."""


class Shortcut:
    """The client's operations on single objects, with its errors; of its answers, what we read.

    The client makes the first request of each kind for a bucket, and is watched. Any answer but a plain yes is handed over to it,
    as if it had asked itself: it alone knows errors, regions and redirects. What it does then is watched as well.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - vendor without types
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - loaded with the client, see client.py

        self._client = client
        self._request = AWSRequest
        self._signer = client._request_signer  # noqa: SLF001 - has the credentials, and renews them
        self._http = client._endpoint.http_session  # noqa: SLF001 - has the connections, proxies, certificates and time-outs
        self._shown: dict[tuple[str, ...], _Shown] = {}
        client.meta.events.register_last("before-sign.s3", self._watch)
        client.meta.events.register_first("before-send.s3", self._hand_over)

    async def ask(self, operation: Operation, **params: Any) -> dict[str, Any]:  # noqa: ANN401 - as the client takes them
        """What the client answers to these parameters, sent once; its errors."""
        question = _Question(operation, params)
        shown = self._shown.get(question.kind)
        if shown is not None and params["Key"]:
            question.answer = await self._send(question, shown)
            said = await _plain_yes(operation, question.answer)
            if said is not None:
                return said
        return await self._ask_client(question)

    async def _send(self, question: _Question, shown: _Shown) -> Any:  # noqa: ANN401 - the vendor's answer
        """Raises the client's own errors of a connection."""
        request = self._request(
            method=question.operation.verb,
            url=shown.root + question.path,
            headers=shown.headers | question.headers(),
            data=question.params.get("Body"),
            stream_output=question.operation is GET,
        )
        request.context = dict(shown.context)
        await self._signer.sign(question.operation.name, request)
        request.headers["amz-sdk-invocation-id"] = str(uuid4())
        request.headers["amz-sdk-request"] = "attempt=1"
        return await self._http.send(request.prepare())

    async def _ask_client(self, question: _Question) -> dict[str, Any]:
        body = question.params.get("Body")
        if isinstance(body, io.BytesIO):
            body.seek(0)  # it was read if it was sent
        asking = _asking.set(question)
        try:
            return await getattr(self._client, question.operation.call)(**question.params)
        finally:
            _asking.reset(asking)

    def _hand_over(self, **_: object) -> Any:  # noqa: ANN401 - the vendor's answer
        """The client is about to send: what was answered already is its answer, once."""
        question = _asking.get()
        if question is None:
            return None
        answer, question.answer = question.answer, None
        return answer

    def _watch(self, request: Any, operation_name: str, **_: object) -> None:  # noqa: ANN401 - the vendor's request
        """The client is about to sign: remember how it made this, unless there is more to it than we know."""
        question = _asking.get()
        if question is None or operation_name != question.operation.name:
            return
        headers, own = dict(request.headers.items()), question.headers()
        known = headers.keys() == {*own, "User-Agent"} and headers | own == headers
        if known and request.url.endswith("/" + question.path) and request.context.get("auth_type") == _SIGNED:
            context = {name: value for name, value in request.context.items() if name not in _OWN_CONTEXT}
            self._shown[question.kind] = _Shown(request.url.removesuffix(question.path), headers, context)
        else:
            self._shown.pop(question.kind, None)


async def _plain_yes(operation: Operation, answer: Any) -> dict[str, Any] | None:  # noqa: ANN401 - the vendor's answer
    """What a yes says, None where it may be something else. An error may come as the body of a 200."""
    headers = answer.headers
    if answer.status_code not in operation.plain or (operation is HEAD and _LENGTH not in headers):
        return None
    if operation is PUT:
        return None if await answer.content else {}
    said: dict[str, Any] = {name: headers[header] for name, header in _ANSWERED.items() if header in headers}
    said["Metadata"] = {name[len(_METADATA) :]: headers[name] for name in headers if name.startswith(_METADATA)}
    if _LENGTH in headers:
        said["ContentLength"] = int(headers[_LENGTH])
    if operation is GET:
        said["Body"] = _stream(answer.raw, headers.get(_LENGTH))
    return said


def _stream(raw: Any, length: Any) -> Any:  # noqa: ANN401 - the vendor's, whose length may be unknown
    from aiobotocore.response import StreamingBody  # noqa: PLC0415 - loaded with the client, see client.py

    return StreamingBody(raw, length)
