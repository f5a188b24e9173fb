"""The metrics of several processes as one answer: counters and histograms are summed, gauges as their meaning says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from typing_extensions import override

Families: TypeAlias = Iterable[Metric]

JOIN: dict[str, Callable[[float, float], float]] = {
    "nats3_build_info": max,
    "nats3_dependency_up": min,
    "nats3_nats_connected": min,
    "nats3_event_log_head": max,
    "nats3_lag_messages": max,
    "nats3_lag_seconds": max,
    "nats3_last_archived_seq": max,
    "nats3_last_archived_timestamp_seconds": max,
    "nats3_lease_age_seconds": max,
    "nats3_load_messages": max,
    "nats3_load_planned_messages": max,
    "nats3_loop_lag_seconds": max,
    "nats3_projection_lag_events": max,
}
"""Gauges of which two processes do not make the sum; a job that moved leaves its old values behind in the other."""


class Summed(Collector):
    """The metrics of this process and of others, who tell theirs as text. What one told last stays counted when it ends."""

    def __init__(self, own: CollectorRegistry) -> None:
        self._own = own
        self._told: dict[int, str] = {}
        self._ended: list[Metric] = []

    def tell(self, process: int, text: str) -> None:
        """What a process exposes now, in Prometheus' plain text format."""
        self._told[process] = text

    def end(self, process: int) -> None:
        """The process is gone: its counters stay, for a counter never falls; its gauges go."""
        text = self._told.pop(process, "")
        gone = [family for family in text_string_to_metric_families(text) if family.type != "gauge"]
        self._ended = list(merged(chain(self._ended, gone)))

    @override
    def collect(self) -> Iterator[Metric]:
        others = map(text_string_to_metric_families, self._told.values())
        yield from merged(chain(self._own.collect(), self._ended, *others))

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """As Telemetry.exposition."""
        registry = CollectorRegistry()
        registry.register(self)
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type


def merged(families: Families) -> Iterator[Metric]:
    """One family of each name, one sample of each set of labels."""
    joined: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, frozenset[tuple[str, str]]], Sample]] = {}
    for family in families:
        joined.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        known = values.setdefault(family.name, {})
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            before = known.get(key)
            known[key] = sample if before is None else _joined(family.name, before, sample)
    for name, family in joined.items():
        family.samples = list(values[name].values())
        yield family


def _joined(family: str, one: Sample, other: Sample) -> Sample:
    join = JOIN.get(family)
    value = one.value + other.value if join is None else join(one.value, other.value)
    return Sample(one.name, one.labels, value)
