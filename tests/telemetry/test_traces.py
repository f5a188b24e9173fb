"""Spans: off and for nothing where nobody asked; bounded; refused with a remedy where the extra is missing."""

from __future__ import annotations

import io
import subprocess
import sys
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry
from typing_extensions import override

from nats3.telemetry import Telemetry, make_log
from nats3.telemetry.spans import MOST_IN_ONE
from nats3.telemetry.traces import NoOtel, NoTraces, Span, Traces, open_traces

COMMAND = UUID("0af76519-16cd-43dd-8448-eb211c80319c")
EVENT = UUID("11111111-2222-4333-8444-555555555555")


class Kept(Traces):
    def __init__(self) -> None:
        self.spans: list[Span] = []

    @property
    @override
    def on(self) -> bool:
        return True

    @override
    def tell(self, span: Span) -> None:
        self.spans.append(span)

    @override
    def close(self) -> None:
        return


def telemetry(traces: Traces) -> Telemetry:
    return Telemetry(make_log("error", "json", io.StringIO()), CollectorRegistry(), traces)


def work(told: Telemetry, job: str = "1") -> None:
    told.spans.work(job, "chunk", (1.0, 2.0), {}, {"put": (1.0, 1.5)})


def test_a_run_whose_command_is_not_known_tells_no_span() -> None:
    kept = Kept()
    work(telemetry(kept))
    assert kept.spans == []


def test_the_span_of_a_command_is_named_by_its_event() -> None:
    kept = Kept()
    told = telemetry(kept)
    told.spans.ordered("1", COMMAND, EVENT)
    work(told)
    chunk, put = kept.spans
    assert (chunk.at.trace, chunk.parent) == (COMMAND.int, EVENT.int & (1 << 64) - 1)
    assert (put.at.trace, put.parent, put.name) == (COMMAND.int, chunk.at.span, "chunk put")


def test_a_trace_does_not_grow_for_ever_and_the_next_command_begins_another() -> None:
    kept = Kept()
    told = telemetry(kept)
    told.spans.ordered("1", COMMAND, EVENT)
    for _ in range(MOST_IN_ONE + 5):
        work(told)
    told.spans.ordered("1", COMMAND, EVENT)  # the actor was started again
    work(told)
    assert len(kept.spans) == 2 * MOST_IN_ONE
    told.spans.ordered("1", COMMAND, UUID(int=7))
    work(told)
    assert len(kept.spans) == 2 * MOST_IN_ONE + 2


def test_a_job_that_is_deleted_is_forgotten() -> None:
    kept = Kept()
    told = telemetry(kept)
    told.spans.ordered("1", COMMAND, EVENT)
    told.job_state("1", "a", "store", "deleted")
    work(told)
    assert (kept.spans, told.spans.jobs.get("1")) == ([], None)


def test_nothing_is_remembered_while_traces_are_off() -> None:
    told = telemetry(NoTraces())
    told.spans.ordered("1", COMMAND, EVENT)
    assert told.spans.jobs.get("1") is None


@pytest.mark.parametrize(("method", "spans"), [("POST", 1), ("GET", 0), ("HEAD", 0)])
def test_a_question_that_is_in_nobodys_trace_is_no_span(method: str, spans: int) -> None:
    kept = Kept()
    told = telemetry(kept)
    told.spans.ordered("1", COMMAND, EVENT)
    told.request_answered(method, "/ping", 200, 0.1, told.spans.jobs.get("1"))
    assert len(kept.spans) == spans


@pytest.mark.timeout(70)
def test_a_program_without_a_collector_loads_nothing_of_opentelemetry() -> None:
    text = (
        "import sys; from nats3.telemetry.traces import open_traces; import nats3.serve;"
        " open_traces(None, 'n', int); sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", text], check=False, timeout=60).returncode == 0


def test_traces_without_the_extra_are_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats3.telemetry.otel", None)
    with pytest.raises(NoOtel, match=r"pip install 'nats3\[otel\]'"):
        open_traces("http://127.0.0.1:4318", "n", int)
