"""The API over HTTP, as the commands need it. Faults become one readable line and an exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2

from nats3 import __version__
from nats3.cli.exits import BY_STATUS, Exit, Refused

TIMEOUT_S = 30.0
LARGEST_PAGE = 1000
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Api:
    """One server. Every method gives the decoded answer or raises Refused."""

    def __init__(self, server: str, token: str | None = None) -> None:
        self.server = (server if "://" in server else f"http://{server}").rstrip("/")
        self._client = httpx2.Client(
            base_url=self.server,
            timeout=TIMEOUT_S,
            headers={"User-Agent": f"nats3-cli/{__version__}"} | _shown(token) | _traced(os.environ),
            trust_env=urlsplit(self.server).hostname not in LOOPBACK,  # a proxy knows nothing of our loopback
        )

    def get(self, path: str, **query: str | None) -> Any:  # noqa: ANN401 - JSON is what it is
        return self._decoded(self._send("GET", path, query))

    def items(self, path: str, most: int, **query: str | None) -> list[dict[str, Any]]:
        """At most `most` items of a list, page after page as the server links them."""
        items: list[dict[str, Any]] = []
        answer = self._send("GET", path, {**query, "limit": str(min(most, LARGEST_PAGE))})
        while True:
            items += self._decoded(answer)["items"]
            following = answer.links.get("next", {}).get("url")
            if following is None or len(items) >= most:
                return items[:most]
            answer = self._send("GET", following, None)

    def post(self, path: str, body: object = None, **query: str | None) -> Any:  # noqa: ANN401 - see get
        return self._decoded(self._send("POST", path, query, body))

    def patch(self, path: str, body: object) -> Any:  # noqa: ANN401 - see get
        return self._decoded(self._send("PATCH", path, None, body))

    def delete(self, path: str, **query: str | None) -> None:
        self._send("DELETE", path, query)

    def lines(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        silence_s: float | None = None,
        **query: str | None,
    ) -> Iterator[str]:
        """The lines of an answer as they come, however long that takes; a silence of more than `silence_s` is a fault."""
        timeout = httpx2.Timeout(TIMEOUT_S, read=silence_s)
        try:
            with self._client.stream("GET", path, params=_given(query), headers=headers, timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                    raise _refusal(answer)
                yield from answer.iter_lines()
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _send(
        self, method: str, path: str, query: Mapping[str, str | None] | None, body: object = None
    ) -> httpx2.Response:
        try:
            answer = self._client.request(method, path, params=_given(query), json=body)
        except httpx2.TimeoutException as error:
            raise Refused(Exit.TIMED_OUT, f"{self.server} did not answer within {TIMEOUT_S:.0f} s") from error
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise self._unreachable(error) from error
        if answer.is_error:
            raise _refusal(answer)
        return answer

    def _decoded(self, answer: httpx2.Response) -> Any:  # noqa: ANN401 - see get
        try:
            return answer.json()
        except ValueError:
            raise Refused(Exit.FAILURE, f"{self.server} answered with something else than JSON: is it nats3?") from None

    def _unreachable(self, error: Exception) -> Refused:
        return Refused(
            Exit.UNREACHABLE,
            f"{self.server} cannot be reached ({_reason(error)}): is `nats3 serve` running there? "
            "Name another by --server URL or NATS3_URL",
        )


def _traced(environ: Mapping[str, str]) -> dict[str, str]:
    """The trace that this command is a part of, as pipelines and wrappers hand it down."""
    return (
        {"traceparent": environ["TRACEPARENT"]}
        if environ.get("TRACEPARENT", "").isascii() and environ.get("TRACEPARENT")
        else {}
    )


def _shown(token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    if not (token.isascii() and token.isprintable()):
        raise Refused(Exit.USAGE, "the token holds characters that no token has: look at NATS3_TOKEN or the file")
    return {"Authorization": f"Bearer {token}"}


def _given(query: Mapping[str, str | None] | None) -> dict[str, str] | None:
    return None if query is None else {key: value for key, value in query.items() if value is not None}


def _reason(error: Exception) -> str:
    text = str(error)
    return "connection refused" if "refused" in text or "attempts failed" in text else text or type(error).__name__


def _refusal(answer: httpx2.Response) -> Refused:
    code = BY_STATUS.get(answer.status_code, Exit.FAILURE)
    said = _said(answer)
    if said is None:
        # A nats3 explains every refusal, so whoever answers like this is none, or something stands between.
        text = f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase} without a reason"
        return Refused(Exit.FAILURE if code is Exit.NOT_FOUND else code, text)
    return Refused(code, said)


def _said(answer: httpx2.Response) -> str | None:
    """The reason in one line: a problem (RFC 9457), the original's `error`, or plain text."""
    try:
        body = answer.json()
    except ValueError:
        plain = answer.headers.get("content-type", "").startswith("text/plain")
        text = " ".join(answer.text.split())
        return text if plain and text and text != answer.reason_phrase else None
    if not isinstance(body, dict):
        return None
    problem = cast("dict[str, Any]", body)
    head = problem.get("detail") or problem.get("error") or problem.get("title")
    details = [_one_fault(one) for one in problem.get("errors") or []]
    new = [detail for detail in details if detail not in str(head or "")]
    return "; ".join(str(part) for part in ([head] if head else []) + new) or None


def _one_fault(one: object) -> str:
    if not isinstance(one, dict):
        return str(one)
    fault = cast("dict[str, Any]", one)
    where = fault.get("field") or fault.get("pointer") or ""
    parts = [fault.get(key) for key in ("fault", "detail", "message", "remedy")]
    text = "; ".join(str(part) for part in parts if part)
    return f"{where}: {text}" if where else text
