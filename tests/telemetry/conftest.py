"""A Telemetry whose log and metrics a test can read."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from nats3.telemetry import Telemetry, make_log


@dataclass(frozen=True)
class Heard:
    telemetry: Telemetry
    stream: io.StringIO

    def lines(self) -> list[dict[str, object]]:
        """Every log line since the start, without its time."""
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [{key: value for key, value in line.items() if key != "time"} for line in lines]

    def samples(self) -> dict[str, float]:
        """Every sample by its name with labels, as /metrics shows it."""
        found = {}
        for family in text_string_to_metric_families(self.telemetry.exposition()[0].decode()):
            for sample in family.samples:
                labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found


@pytest.fixture
def heard() -> Heard:
    stream = io.StringIO()
    return Heard(Telemetry(make_log("debug", "json", stream), CollectorRegistry()), stream)
