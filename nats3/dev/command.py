"""`nats3 dev` and `nats3 demo`."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from nats3.dev.demo import BUCKET, Demo
from nats3.dev.demo_api import Api
from nats3.dev.demo_data import Data, data
from nats3.dev.demo_report import bars, show, show_history
from nats3.dev.natswire import NatsRefused, Wire
from nats3.dev.stack import Stack, watched

NAME_IN_USE = 10058
"""The server's error code for a stream that exists with another configuration."""
FIRST_STREAM, FIRST_BUCKET = "ORDERS", "archive"


def dev(*, data: Path | None = None) -> int:
    """Run nats3 with a NATS, a Postgres and an S3 of its own on loopback, until it is interrupted.

    Parameters
    ----------
    data
        Directory that keeps everything for the next time; a temporary one otherwise.
    """
    return _until_interrupted(run_dev(data))


def demo(*, messages: int | None = None, input_: Path | None = None) -> int:
    """See messages leave a stream for S3, the stream emptied, and every byte of them come back.

    Parameters
    ----------
    messages
        Only so many of them.
    input_
        A file whose lines are the messages; the 336,776 flights that left New York in 2013 otherwise.
    """
    return _until_interrupted(run_demo(messages, input_))


async def run_dev(directory: Path | None) -> int:
    with _directory(directory) as place:
        _say(f"starting; data and logs are in {place}")
        async with Stack(place, say=_say) as stack:
            await stack.s3_server.make_bucket(FIRST_BUCKET)
            await _make_stream(stack)
            nats3 = stack.nats3(at_usual_port=True)
            async with watched([nats3], _say):
                sys.stdout.write(_addresses(stack, nats3.url))
                sys.stdout.flush()
                _say("all is ready; end it with Ctrl-C")
                await asyncio.Event().wait()
    return 0


async def run_demo(messages: int | None, file: Path | None) -> int:
    """0 when every byte came back, 1 when one did not."""
    return await _demo(data(messages, file))


async def _demo(material: Data) -> int:
    errors, out = Console(stderr=True), Console()
    with _directory(None) as place:
        _say("starting NATS, Postgres, S3 and nats3")
        async with Stack(place, say=_say) as stack:
            await stack.s3_server.make_bucket(BUCKET)
            nats3 = stack.nats3()
            async with watched([nats3], _say), await Wire.open(stack.nats_url) as wire, Api(nats3.url) as api:
                with bars(errors) as progress:
                    walk = Demo(material, wire, api, progress)
                    outcome = await walk.run()
                show_history(out, "store", await api.history(walk.store_id))
                show_history(out, "load", await api.history(walk.load_id))
                show(out, outcome)
    return 1 if outcome.difference_count else 0


def _until_interrupted(work: Coroutine[Any, Any, int]) -> int:
    """Run it; SIGTERM cancels it as Ctrl-C does, so that it ends its servers first."""
    return asyncio.run(_ended_by_sigterm(work))


async def _ended_by_sigterm(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.current_task()
    assert task is not None, "within asyncio.run"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        _say("ended")
        return 0


@contextmanager
def _directory(given: Path | None) -> Generator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="nats3-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o711)  # Postgres, which does not run as root, passes through
        yield Path(made)


async def _make_stream(stack: Stack) -> None:
    """The stream of the first curl line; one that is there from the last time is taken as it is."""
    config = {"name": FIRST_STREAM, "subjects": ["orders.>"]}
    async with await Wire.open(stack.nats_url) as wire:
        try:
            await wire.api(f"STREAM.CREATE.{FIRST_STREAM}", config)
        except NatsRefused as refusal:
            if refusal.code != NAME_IN_USE:
                raise


def _addresses(stack: Stack, api: str) -> str:
    s3 = stack.s3
    return f"""\
NATS      {stack.nats_url}  (stream {FIRST_STREAM} on orders.>)
Postgres  {stack.postgres_url}
S3        {s3.endpoint}  region={s3.region} access={s3.access} secret={s3.secret}  (bucket {FIRST_BUCKET})
API       {api}

curl -sS {api}/store/job -H 'Content-Type: application/json' \\
  -d '{{"name": "first", "stream": "{FIRST_STREAM}", "subject": "orders.>", "bucket": "{FIRST_BUCKET}"}}'
"""


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
