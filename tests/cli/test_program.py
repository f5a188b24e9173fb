"""The program as a process: what it imports, how it prints to a terminal and into a closed pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

SERVER_CODE = ("nats", "psycopg", "aioboto3", "starlette", "uvicorn", "sqlalchemy", "pydantic", "zstandard")


def nats3(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "nats3", *words], capture_output=True, text=True, check=False, **more)


@pytest.mark.parametrize("words", [["--help"], ["store", "--help"], ["store", "create", "--help"], ["config", "check"]])
def test_no_server_code_is_imported(words):
    program = (
        "import sys; sys.argv = ['nats3', *sys.argv[1:]]\n"
        "from nats3.cli.app import main\nmain()\n"
        f"found = sorted({set(SERVER_CODE)} & set(sys.modules))\n"
        "assert not found, found\n"
        "ours = [name for name in sys.modules if name.startswith('nats3.')]\n"
        "assert {name.split('.')[1] for name in ours} <= {'cli', 'config', 'errors', 'failpoint', 'place', 'subject'}, ours\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version_is_printed_to_stdout():
    done = nats3("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.1.0\n", "")


def test_a_closed_pipe_is_no_error(api):
    api.answer("GET /api/v1/store/jobs", [{"id": str(number), "name": "a" * 100} for number in range(5000)])
    command = f"{sys.executable} -m nats3 store list -o jsonl --server {api.url} | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_only_on_a_terminal_that_wants_it(api, environment, coloured):
    api.answer("GET /api/v1/store/jobs", [{"id": "1", "name": "a", "status": "Failure"}])
    ours, theirs = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run(
        [sys.executable, "-m", "nats3", "store", "list", "--server", api.url],
        stdout=theirs,
        check=True,
        env={**plain, "TERM": "xterm-256color", "COLUMNS": "120", **environment},
    )
    os.close(theirs)
    assert (b"\x1b[31mFailure" in os.read(ours, 65536)) is coloured
    os.close(ours)
