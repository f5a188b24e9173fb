"""The events that the log writes about itself stay readable for ever: a golden file per type and version, never changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from eventstore import Append, Fence, NewEvent, PostgresStore, Recorded, Version
from eventstore.connection import Link
from eventstore.projection import REBUILT, SKIPPED, skips
from eventstore.retention import DROPPED, EXPORTED, ends
from eventstore.upkeep import ASKED, CANCELLED, ENDED, operations_of

GOLDEN = Path(__file__).parent.parent / "golden" / "events"
NODE = UUID(int=7)


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.v1.json").read_text())


def recorded(position: int, name: str) -> Recorded:
    said = golden(name)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Recorded(
        position, "projection/coverage", position, 0, said["type"], said["schema_version"], UUID(int=position), at,
        NODE, "user:ann", None, None, said["data"],
    )  # type: ignore[arg-type]  # fmt: skip


def test_every_type_has_a_golden_file() -> None:
    files = [*GOLDEN.glob("projection_*.v1.json"), *GOLDEN.glob("log_*.v1.json")]
    types = {golden(path.name.removesuffix(".v1.json"))["type"] for path in files}
    assert types == {ASKED, CANCELLED, ENDED, SKIPPED, REBUILT, EXPORTED, DROPPED}


def test_what_was_asked_of_a_view_is_told_for_ever() -> None:
    asked = recorded(12, "projection_work_asked")
    (running,) = operations_of("coverage", [asked])
    assert (running.operation_id, running.kind, running.state, running.actor) == (12, "verify", "running", "user:ann")
    (cancelling,) = operations_of("coverage", [asked, recorded(13, "projection_work_cancelled")])
    assert cancelling.state == "cancelling"
    (done,) = operations_of("coverage", [asked, recorded(14, "projection_work_ended")])
    assert (done.state, done.version, done.position, done.differ) == ("done", 2, 4711, ("lives",))
    (failed,) = operations_of("coverage", [asked, recorded(14, "projection_work_ended.failed")])
    assert (failed.state, failed.reason, failed.version) == ("failed", "Poisoned: position 7", None)


async def test_what_was_passed_over_is_known_for_ever(store: PostgresStore, log_url: str) -> None:
    link = Link(log_url, "golden")
    events = tuple(NewEvent(golden(name)["type"], golden(name)["data"]) for name in (SKIPPED, REBUILT))
    await store.append([Append("projection/coverage", Version(0), Fence(0), events)])
    assert await skips(link, store, "coverage") == {41}
    await link.drop()


def test_a_partition_that_was_dropped_is_the_end_of_its_history() -> None:
    exported, dropped = (NewEvent(name, golden(name)["data"]) for name in (EXPORTED, DROPPED))
    assert (ends(exported), ends(dropped)) == (False, True)
