"""The metrics of several processes as one answer."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from nats3.telemetry.metrics import Metrics
from nats3.telemetry.summed import JOIN, Summed


def worker(archived: int, seq: int, *, jobs: int = 0, up: int = 1) -> str:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.nats_messages.labels("out").inc(archived)
    metrics.flush_seconds.observe(0.003)
    metrics.last_seq.labels("a", "s").set(seq)
    metrics.jobs_current.labels("store").set(jobs)
    metrics.dependency_up.labels("s3").set(up)
    return Summed(registry).exposition()[0].decode()


def values(summed: Summed) -> dict[str, float]:
    text = summed.exposition()[0].decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert len({(sample.name, frozenset(sample.labels.items())) for sample in samples}) == len(samples)
    return {sample.name: sample.value for sample in samples if sample.labels.get("job_type") != "load"}


def test_counters_are_summed_and_gauges_joined_as_they_mean():
    summed = Summed(CollectorRegistry())
    summed.tell(1, worker(5, 10, jobs=2))
    summed.tell(2, worker(7, 4, jobs=1, up=0))
    found = values(summed)
    assert found["nats3_nats_messages_total"] == 12
    assert found["nats3_flush_seconds_count"] == 2
    assert found["nats3_last_archived_seq"] == 10
    assert found["nats3_jobs_current"] == 3
    assert found["nats3_dependency_up"] == 0


def test_the_counters_of_a_worker_that_died_never_fall_and_its_gauges_go():
    summed = Summed(CollectorRegistry())
    for archived in (5, 3):
        summed.tell(1, worker(archived, 10, jobs=2))
        summed.end(1)
    summed.tell(1, worker(1, 2))
    found = values(summed)
    assert (found["nats3_nats_messages_total"], found["nats3_flush_seconds_count"]) == (9, 3)
    assert (found["nats3_last_archived_seq"], found["nats3_jobs_current"]) == (2, 0)


def test_a_worker_that_never_told_anything_may_end():
    summed = Summed(CollectorRegistry())
    summed.end(1)
    assert list(summed.collect()) == []


def test_the_table_names_gauges_that_exist():
    registry = CollectorRegistry()
    Metrics(registry)
    gauges = {family.name for family in registry.collect() if family.type == "gauge"}
    assert set(JOIN) <= gauges
