"""The checker finds what it is there to find, and its decoder reads what the format promises and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import checker, chunk_reader
from tests.faults.checker import Archive, Archived, Verdict
from tests.faults.chunk_reader import Message, NotWhole
from tests.faults.held import Held, bounded
from tests.faults.ledger import Entry, Ledger, messages, read
from tests.faults.plain_nats import Kept

GOLDEN = sorted((Path(__file__).parent.parent / "golden").rglob("*.n3c")) + sorted(
    (Path(__file__).parent.parent / "golden").rglob("*.ndjson.zst")
)
LINES = b"Nats-Msg-Id: x\r\nNats3-Stream: S\r\nNats3-Sequence: 1\r\n"


def entries(count: int = 5) -> list[Entry]:
    return [Entry(n, *raw, seq=n + 1) for n, raw in enumerate(messages(b"s", count))]


def archive_of(kept: list[Entry]) -> Archive:
    made = [Archived(1, "life", Message(e.seq or 0, 7, *e.raw)) for e in kept]
    return Archive([], made, [], [])


def verdict_of(published: list[Entry], kept: list[Entry]) -> list[str]:
    verdict = Verdict()
    checker.stored(published, archive_of(kept), verdict)
    return verdict.wrong


def test_a_whole_archive_holds() -> None:
    assert verdict_of(entries(), entries()) == []


def test_a_lost_message_is_found() -> None:
    assert "I1" in verdict_of(entries(), entries()[:-1])[0]


def test_a_doubled_message_is_found() -> None:
    assert any("more than once" in each for each in verdict_of(entries(), [*entries(), entries()[2]]))


def test_an_altered_message_is_found() -> None:
    bad = entries()
    bad[3] = Entry(3, bad[3].subject, bad[3].header, b"other", seq=4)
    assert len(verdict_of(entries(), bad)) == 2


def test_a_message_under_another_seq_is_found() -> None:
    bad = entries()
    bad[4] = Entry(4, *bad[4].raw, seq=9)
    assert "I4" in verdict_of(entries(), bad)[0]


def test_an_unknown_message_may_be_there_or_not_but_not_twice() -> None:
    published = [*entries()[:-1], Entry(4, *entries()[4].raw)]
    assert verdict_of(published, entries()) == []
    assert verdict_of(published, entries()[:-1]) == []
    assert verdict_of(published, [*entries(), entries()[4]]) != []


def replayed(raw: tuple[bytes, bytes | None, bytes], seq: int) -> Kept:
    subject, header, payload = raw
    return Kept(seq, 1, subject, (header or b"NATS/1.0\r\n\r\n")[:-2] + LINES + b"\r\n", payload)


@pytest.mark.parametrize(
    ("harm", "holds"),
    [
        (lambda target: target, True),
        (lambda target: target[1:], False),
        (lambda target: [*target, target[0]], False),
        (lambda target: [target[1], target[0], *target[2:]], False),
    ],
    ids=["whole", "one missing", "one twice", "two swapped"],
)
def test_a_target_that_is_not_the_plan_is_found(harm: Callable[[list[Kept]], list[Kept]], holds: bool) -> None:  # noqa: FBT001 - a table of cases
    verdict = Verdict()
    plan = [entry.raw for entry in entries()]
    checker.loaded(plan, harm([replayed(raw, n) for n, raw in enumerate(plan, 1)]), verdict)
    assert (verdict.wrong == []) is holds


def test_a_load_that_ends_with_a_gap_and_does_not_tell_is_found() -> None:
    skipped = {"type": "chunk_skipped", "data": {"count": 7}}
    ends = {n: {"type": "load_completed", "data": {"messages": 20, "skipped": n}} for n in (0, 7)}

    def wrong(events: list[dict[str, object]], published: int) -> list[str]:
        verdict = Verdict()
        checker.ended(events, published, verdict)
        return [each[:2] for each in verdict.wrong]

    assert wrong([ends[0]], 20) == wrong([skipped, ends[7]], 20) == wrong([skipped], 3) == []
    assert wrong([skipped, ends[0]], 20) == wrong([ends[7]], 20) == wrong([ends[0]], 19) == ["I9"]


@pytest.mark.parametrize(
    ("memory", "files", "flat", "wrong"),
    [
        ([50, 100, 105, 109], [9, 20, 30, 36], True, []),
        ([50, 100, 105, 112], [9, 20, 30, 36], True, ["I10 memory went from 100 to 112 MiB"]),
        ([50, 100, 105, 112], [9, 20, 30, 36], False, []),
        ([50, 100, 105, 88], [9, 20, 30, 36], True, ["I10 memory went from 100 to 88 MiB"]),
        ([50, 100, 105, 109], [9, 20, 30, 37], False, ["I10 descriptors went from 20 to 37"]),
    ],
    ids=["as it was", "more memory", "too short to tell", "less memory", "more descriptors"],
)
def test_a_process_that_holds_more_and_more_is_found(
    memory: list[int],
    files: list[int],
    flat: bool,  # noqa: FBT001 - a table of cases
    wrong: list[str],
) -> None:
    verdict = Verdict()
    lived = [Held(held << 20, number) for held, number in zip(memory, files, strict=True) for _ in range(8)]
    bounded(lived, verdict, flat=flat)
    assert verdict.wrong == wrong


@pytest.mark.parametrize(
    ("block", "archived"),
    [
        (b"NATS/1.0\r\nA: 1\r\n" + LINES + b"\r\n", b"NATS/1.0\r\nA: 1\r\n\r\n"),
        (b"NATS/1.0\r\n" + LINES + b"\r\n", None),
        (b"NATS/1.0\r\nNats3-Orig-Msg-Id: a\r\n" + LINES + b"\r\n", b"NATS/1.0\r\nNats-Msg-Id: a\r\n\r\n"),
        (b"NATS/1.0\r\nNats3-Header-Block: Z2FyYmFnZQ==\r\n" + LINES + b"\r\n", b"garbage"),
        (None, None),
    ],
)
def test_what_equal_means(block: bytes | None, archived: bytes | None) -> None:
    assert checker.given_back(block) == archived


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    first = ledger.promise([(b"s", None, b"\xff"), (b"t", b"NATS/1.0\r\n\r\n", b"")])
    ledger.settle(first, [None, 8], "life")
    ledger.close()
    assert read(tmp_path / "ledger") == ledger.entries


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_a_stored_chunk_is_read_and_none_of_its_bits_may_flip(path: Path) -> None:
    body = path.read_bytes()
    assert chunk_reader.read(body).messages
    step = max(1, 8 * len(body) // 3000)
    for bit in range(0, 8 * len(body), step):
        bad = bytearray(body)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(NotWhole):
            chunk_reader.read(bytes(bad))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_a_chunk_cut_anywhere_is_not_whole(path: Path) -> None:
    body = path.read_bytes()
    for length in range(0, len(body), max(1, len(body) // 500)):
        with pytest.raises(NotWhole):
            chunk_reader.read(body[:length])
