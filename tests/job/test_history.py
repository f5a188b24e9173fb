from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from uuid import uuid4

import pytest

from nats3.job.history import EVENTS as CLASSES
from nats3.job.history import HISTORY, VERSIONS, job_entity, job_of, run_entity, types_of
from nats3.job.ordering import JobCreated
from nats3.job.storing import ChunkFlushed
from tests.job.events import EVENTS, OLDER

GOLDEN = Path(__file__).parent.parent / "golden" / "events"


NEWEST = {name: f"{name}.v{VERSIONS.get(type(event), 1)}" for name, event in EVENTS.items()}


@pytest.mark.parametrize("file", sorted([*NEWEST.values(), *OLDER]))
def test_a_golden_event_decodes_for_ever(file: str) -> None:
    """A file is never changed: a new version of an event gets a new file and an upcaster for this one."""
    written = json.loads((GOLDEN / f"{file}.json").read_text())
    event = OLDER[file] if file in OLDER else EVENTS[file.rpartition(".")[0]]
    assert HISTORY.decode_data(written["type"], written["schema_version"], written["data"]) == event


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_what_is_written_today_is_what_the_golden_file_holds(name: str) -> None:
    new = HISTORY.encode(EVENTS[name])
    written = json.loads((GOLDEN / f"{NEWEST[name]}.json").read_text())
    assert {"type": new.type, "schema_version": new.schema_version, "data": json.loads(new.text)} == written


def test_every_type_has_a_golden_file_and_no_file_is_without_a_type() -> None:
    assert {name.partition(".")[0] for name in EVENTS} == HISTORY.types()
    assert {path.name for path in GOLDEN.glob("*.json")} == {f"{file}.json" for file in [*NEWEST.values(), *OLDER]}


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
