"""A recorded API on a loopback port, and the program run against it in this process."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nats3.cli.app import main

STORE_JOB = {
    "id": "24ce1555-b937-4321-9fa2-5e853a833690",
    "name": "test-store-1772065940",
    "status": "Running",
    "stream": "test-input",
    "consumer": None,
    "subject": "test.input",
    "bucket": "test-bucket-1772065940",
    "prefix": None,
    "batch": {"max_bytes": 1000000, "max_count": 1000},
    "encoding": {"codec": "Binary"},
    "created": "2026-02-26T00:32:20.123456Z",
    "updated": "2026-02-26T00:32:21.123456Z",
}
LOAD_JOB = {
    "id": "70c8b4d7-020a-475e-bcb8-9dcd6b4213b1",
    "name": "test-load-1772065893",
    "status": "Success",
    "bucket": "test-bucket-1772065893",
    "prefix": None,
    "read_stream": "test-input",
    "read_consumer": None,
    "read_subject": "test.input",
    "poll_interval": None,
    "write_subject": "test.output",
    "delete_chunks": False,
    "from_time": None,
    "to_time": None,
    "created": "2026-02-26T00:31:33.123456Z",
    "updated": "2026-02-26T00:31:35.123456Z",
}


@dataclass
class Recorded:
    """Answers by request line; what was asked is kept in `asked` as (request line, body)."""

    url: str = ""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[tuple[str, object]] = field(default_factory=list)

    tokens: list[str | None] = field(default_factory=list)
    """What each request gave as Authorization."""

    later: dict[str, list[object]] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answered(self) -> None:
        """After each answer the next of `later` takes its place: a body, or a status and a body."""
        line = self.asked[-1][0]
        if self.later.get(line):
            following = self.later[line].pop(0)
            status, body = following if isinstance(following, tuple) else (200, following)
            self.answer(line, body, status=status)

    def answer(
        self, request: str, body: object, *, status: int = 200, media: str = "application/json", link: str = ""
    ) -> None:
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.answers[request] = (status, {"Content-Type": media} | ({"Link": link} if link else {}), raw)


@pytest.fixture
def api() -> Iterator[Recorded]:
    recorded = Recorded()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            line = f"{self.command} {self.path}"
            recorded.tokens.append(self.headers.get("authorization"))
            recorded.asked.append((line, json.loads(body) if body else None))
            recorded.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, headers, raw = recorded.answers.get(line, (404, {"Content-Type": "text/plain"}, b"Not Found"))
            recorded.answered()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - see above

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    recorded.url = f"http://127.0.0.1:{server.server_port}"
    yield recorded
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def run(
    api: Recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ran]:
    """Run `nats3 ...` against the recorded API, by somebody who told it nothing for good; what it printed and its exit code."""
    monkeypatch.setenv("NATS3_URL", api.url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))

    def run_now(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["nats3", *words])
        code = main()
        return Ran(int(code), *capsys.readouterr())

    return run_now
