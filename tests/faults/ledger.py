"""The ledger: every message is written down, and on the disk, before it is published. Imports nothing of the product.

One JSON object a line. `{"n", "subject", "header", "payload"}` (base64, header null for none) says what will be
published; `{"n", "seq", "life"}` that the server acknowledged it, `life` being the tag of the stream's existence. A line
of the first kind without one of the second is a message of which nobody knows whether the stream has it.

    python -m tests.faults.ledger nats://... SUBJECT FILE [--count N] [--rate N] [--size N]

is the producer as a program of its own: it goes on through outages until it is told to stop or has published N.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from tests.faults.plain_nats import Plain

Raw = tuple[bytes, bytes | None, bytes]
"""Subject, header block, payload."""

PIECE = 500
"""Messages that one fsync writes down."""


@dataclass(frozen=True)
class Entry:
    """`seq` is None where no acknowledgement came."""

    n: int
    subject: bytes
    header: bytes | None
    payload: bytes
    seq: int | None = None
    life: str = ""

    @property
    def raw(self) -> Raw:
        return self.subject, self.header, self.payload


class Ledger:
    """Appends to `path` and keeps the same in memory. One producer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self._file = path.open("a", encoding="ascii")

    @property
    def acknowledged(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.seq is not None]

    @property
    def unknown(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.seq is None]

    def promise(self, messages: Sequence[Raw]) -> int:
        """Write down what will be published, down to the disk; the number of the first."""
        first = len(self.entries)
        for n, (subject, header, payload) in enumerate(messages, first):
            self._say({"n": n, "subject": _64(subject), "header": _64(header), "payload": _64(payload)})
            self.entries.append(Entry(n, subject, header, payload))
        self._file.flush()
        os.fsync(self._file.fileno())
        return first

    def settle(self, first: int, seqs: Sequence[int | None], life: str = "") -> None:
        for n, seq in enumerate(seqs, first):
            if seq is not None:
                self._say({"n": n, "seq": seq, "life": life})
                entry = self.entries[n]
                self.entries[n] = Entry(n, entry.subject, entry.header, entry.payload, seq, life)
        self._file.flush()

    async def publish(self, nats: Plain, messages: Sequence[Raw], life: str = "", *, within: float = 10.0) -> None:
        """Promise, publish and settle, piece by piece. What got no answer stays unknown and is not sent again."""
        for at in range(0, len(messages), PIECE):
            piece = messages[at : at + PIECE]
            first = self.promise(piece)
            self.settle(first, await nats.publish_all(piece, within=within), life)

    def close(self) -> None:
        self._file.close()

    def _say(self, line: dict[str, object]) -> None:
        self._file.write(json.dumps(line) + "\n")


def read(path: Path) -> list[Entry]:
    """What a ledger's file says."""
    entries: list[Entry] = []
    for line in path.read_text("ascii").splitlines():
        said = json.loads(line)
        if "seq" in said:
            before = entries[said["n"]]
            entries[said["n"]] = Entry(
                before.n, before.subject, before.header, before.payload, said["seq"], said["life"]
            )
        else:
            entries.append(Entry(said["n"], _b(said["subject"]) or b"", _b(said["header"]), _b(said["payload"]) or b""))
    return entries


def messages(
    subject: bytes, count: int, start: int = 0, *, size: int = 120, seed: int = 0, headers: bool = True
) -> list[Raw]:
    """So many messages, each with an id of its own in header and payload; `{}` in the subject becomes i mod 7."""
    chance = random.Random(seed * 1_000_003 + start)
    made: list[Raw] = []
    for i in range(start, start + count):
        name = subject.replace(b"{}", b"%d" % (i % 7))
        block = b"NATS/1.0\r\nId: %d-%d\r\nTenant: t%d\r\n\r\n" % (seed, i, i % 5) if headers else None
        filler = chance.randbytes(size // 2).hex().encode()
        made.append((name, block, b'{"id":"%d-%d","filler":"%b"}' % (seed, i, filler)))
    return made


def _64(data: bytes | None) -> str | None:
    return None if data is None else b64encode(data).decode()


def _b(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)


async def produce(url: str, subject: bytes, ledger: Ledger, *, count: int, rate: float, size: int, seed: int) -> None:
    """Publish `count` messages at about `rate` a second; an outage is waited out and makes unknown ones."""
    began, nats = monotonic(), None
    while (done := len(ledger.entries)) < count:  # an id that was once promised is never used again
        piece = min(count - done, max(1, min(PIECE, int(rate // 10))))
        try:
            nats = nats or await Plain.connect(url)
            await ledger.publish(nats, messages(subject, piece, done, size=size, seed=seed), within=5.0)
        except OSError:
            nats = None
            await asyncio.sleep(0.2)
        else:
            if ledger.entries[-1].seq is None:
                await nats.close()
                nats = None
        await asyncio.sleep(max(0.0, began + len(ledger.entries) / rate - monotonic()))
    if nats:
        await nats.close()


def main() -> None:
    url, subject, path, *rest = sys.argv[1:]
    options = dict(zip(rest[::2], map(int, rest[1::2]), strict=True))
    ledger = Ledger(Path(path))
    count, rate, size = options.get("--count", 10_000), options.get("--rate", 2000), options.get("--size", 120)
    seed = options.get("--seed", 1)
    asyncio.run(produce(url, subject.encode(), ledger, count=count, rate=rate, size=size, seed=seed))
    print(f"{len(ledger.acknowledged)} acknowledged, {len(ledger.unknown)} unknown")


if __name__ == "__main__":
    main()
