"""`python -m tests.bench [ROW ...] [--quick] [--runs N] [--json FILE] [--record] [--doc] [--list]`: measure, print one table."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from nats3.serve.process import collect_rarely
from tests.bench import (
    api_rows,
    archive_rows,
    crowd_rows,
    data_rows,
    follow_rows,
    limit_rows,
    log_rows,
    machine,
    more_log_rows,
)
from tests.bench.figures import Figure, as_json, history_line, table, with_table
from tests.bench.house import housed
from tests.bench.rows import QUICK, Row, Size

HISTORY = Path(__file__).with_name("history.jsonl")
JSON = Path(".data/bench.json")
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"

ROWS: dict[str, Row] = {
    "store": data_rows.store,
    "store-128": data_rows.store_small,
    "load": data_rows.load,
    "requests": data_rows.requests,
    "ratio": data_rows.compressed,
    "limits": limit_rows.limits,
    "durable": archive_rows.durable,
    "quiet": crowd_rows.quiet,
    "workers": crowd_rows.workers,
    "memory": data_rows.memory,
    "large": archive_rows.large,
    "append": log_rows.append,
    "projection": log_rows.projection,
    "start": more_log_rows.start,
    "page": more_log_rows.page,
    "reference": more_log_rows.reference,
    "api": api_rows.listing,
    "lists": api_rows.lists,
    "followers": follow_rows.followers,
}
"""In the order in which they run."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all where none is named")
    parser.add_argument(
        "--quick", action="store_true", help="small counts, one run, no long stream: shows that it works"
    )
    parser.add_argument("--runs", type=int, help="runs of which the median counts (5)")
    parser.add_argument("--messages", type=int, help="messages in the streams that are read several times (50000)")
    parser.add_argument("--long", type=int, help="messages in the streams that are read once (1000000)")
    parser.add_argument("--json", type=Path, default=JSON, help=f"where every figure is written ({JSON})")
    parser.add_argument("--record", action="store_true", help=f"add a line to {HISTORY.name}")
    parser.add_argument("--doc", action="store_true", help=f"put the table into docs/{PAGE.name}")
    parser.add_argument("--list", action="store_true", help="only say which rows there are")
    told = parser.parse_args()
    unknown = [name for name in told.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row is called {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return told


def size_of(told: argparse.Namespace) -> Size:
    size = QUICK if told.quick else Size()
    given = {"runs": told.runs, "messages": told.messages, "long": told.long}
    return replace(size, **{name: value for name, value in given.items() if value is not None})


async def measured(rows: dict[str, Row], size: Size, directory: Path) -> tuple[list[Figure], list[str]]:
    """Every figure of these rows, one row after the other on servers of their own below `directory`; the rows that failed."""
    figures: list[Figure] = []
    failed: list[str] = []
    async with housed(directory) as house:
        for title, measure in rows.items():
            _say(f"{title} (nats3 is process {house.server.pid}) ... ")
            began = time.monotonic()
            try:
                figures += await measure(house, size)
            except Exception as fault:  # noqa: BLE001 - a row that fails must not cost what the others found
                failed.append(title)
                traceback.print_exception(fault)
            _say(f"{time.monotonic() - began:.0f} s, load average {os.getloadavg()[0]:.1f}\n")
    return figures, failed


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def main() -> int:
    told = options()
    if told.list:
        print(*ROWS, sep="\n")
        return 0
    about = machine.about()
    collect_rarely()  # as the program does: some rows run its parts in this process
    size = size_of(told)
    with tempfile.TemporaryDirectory(prefix="nats3-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # for the user that Postgres runs as
        figures, failed = uvloop.run(measured({name: ROWS[name] for name in told.rows or ROWS}, size, directory))
    said = _said(about, size, figures)
    print(said)
    answer = json.dumps({**about, "figures": as_json(figures)}, indent=1)
    told.json.parent.mkdir(parents=True, exist_ok=True)
    told.json.write_text(answer + "\n", "utf-8")
    if told.record:
        with HISTORY.open("a", encoding="utf-8") as history:
            history.write(json.dumps(history_line(about, figures)) + "\n")
    if told.doc:
        PAGE.write_text(with_table(PAGE.read_text("utf-8"), said), "utf-8")
    for name in failed:
        print(f"\nfailed: {name}")
    return 1 if failed else 0


def _said(about: dict[str, Any], size: Size, figures: Sequence[Figure]) -> str:
    return (
        f"commit {about['commit']}, {about['cores']} cores ({about['processor']}), Python {about['python']},"
        f" load average {about['load_average']:.1f} at the start; medians of {size.runs};"
        " one process each of nats3, nats-server, Postgres (fsync on), SeaweedFS and this one, on loopback\n"
        f"\n{table(figures)}"
    )


if __name__ == "__main__":
    sys.exit(main())
