from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from nats3.job.history import EVENTS as CLASSES
from nats3.job.history import HISTORY, job_entity, job_of, run_entity, types_of
from nats3.job.ordering import JobCreated
from nats3.job.running import RunFailed
from nats3.job.storing import ChunkFlushed
from tests.job.events import EVENTS, OLDER

GOLDEN = Path(__file__).parent.parent / "golden" / "events"
OF_THE_LOG = ("projection", "log")
"""Categories that eventstore writes itself: tests/eventstore/test_golden.py."""


def version_in(file: str) -> tuple[str, int]:
    """`job_created.store.v1` is version 1 of `job_created.store`."""
    name, _, version = file.rpartition(".v")
    return name, int(version)


def newest(name: str) -> int:
    return HISTORY.version_of(name.partition(".")[0])


def golden(name: str, version: int) -> dict[str, Any]:
    """What is written in one file; none is ever changed: a new version gets a new file, and an upcaster for the old one."""
    return json.loads((GOLDEN / f"{name}.v{version}.json").read_text())


@pytest.mark.parametrize(
    ("name", "version", "event"),
    [
        *((name, newest(name), event) for name, event in EVENTS.items()),
        *((*version_in(file), event) for file, event in OLDER.items()),
    ],
)
def test_a_golden_event_decodes_for_ever(name: str, version: int, event: object) -> None:
    written = golden(name, version)
    assert HISTORY.decode_data(written["type"], written["schema_version"], written["data"]) == event
    assert (written["type"], written["schema_version"]) == (name.partition(".")[0], version)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_what_is_written_today_is_what_the_newest_golden_file_holds(name: str) -> None:
    new = HISTORY.encode(EVENTS[name])
    said = {"type": new.type, "schema_version": new.schema_version, "data": json.loads(new.text)}
    assert said == golden(name, newest(name))


def test_every_version_of_every_type_has_a_golden_file_and_no_file_is_without_one() -> None:
    known = {(type_, version) for type_ in HISTORY.types() for version in range(1, newest(type_) + 1)}
    files = [path.stem for path in GOLDEN.glob("*.json") if path.name.partition("_")[0] not in OF_THE_LOG]
    assert {(name.partition(".")[0], version) for name, version in map(version_in, files)} == known
    assert set(files) == {f"{name}.v{newest(name)}" for name in EVENTS} | set(OLDER)


@pytest.mark.parametrize(
    ("reason", "fault"),
    [("KeyError('x')", "KeyError"), ("Broken: why", "Broken"), ("Broken", "Broken"), ("a bug", ""), ("No way out", "")],
)
def test_a_failure_of_version_1_is_given_the_class_that_it_named(reason: str, fault: str) -> None:
    assert HISTORY.decode_data("run_failed", 1, {"reason": reason}) == RunFailed(reason, fault)


def test_no_golden_event_leaves_a_field_at_its_default() -> None:
    for event in EVENTS.values():
        for field in fields(event):  # type: ignore[arg-type]
            assert field.default is MISSING or getattr(event, field.name) != field.default, (event, field.name)


def test_an_event_is_named_in_the_log_like_its_class() -> None:
    assert types_of(JobCreated, ChunkFlushed) == {"job_created", "chunk_flushed"}
    assert len(CLASSES) == len(HISTORY.types())


def test_a_field_that_a_newer_program_wrote_is_passed_over() -> None:
    data = {**HISTORY.encode(EVENTS["job_paused"]).data, "later": 1}
    assert HISTORY.decode_data("job_paused", 1, data) == EVENTS["job_paused"]


def test_a_job_is_found_by_either_of_its_entities() -> None:
    job_id = uuid4()
    assert job_of(job_entity(job_id)) == job_of(run_entity(job_id)) == job_id
    with pytest.raises(ValueError, match="UUID"):
        job_of("projection/jobs")
