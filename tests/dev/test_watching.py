"""Alert rules and dashboard ask for metrics and labels that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from nats3.telemetry.metrics import Metrics

COMPOSE = Path(__file__).resolve().parents[2] / "compose"
RULES = [each for group in yaml.safe_load((COMPOSE / "alerts.yaml").read_text())["groups"] for each in group["rules"]]
PANELS = json.loads((COMPOSE / "grafana-dashboard.json").read_text())["panels"]
ASKED = [rule["expr"] for rule in RULES] + [target["expr"] for panel in PANELS for target in panel["targets"]]

METRIC = re.compile(r"nats3_\w+")
GROUPED = re.compile(r"(?:by|on) \(([\w, ]+)\)")
FROM_OUTSIDE = {"instance", "le"}
"""Labels that Prometheus adds, and the bounds of histograms."""


def labels() -> dict[str, set[str]]:
    """Of every sample that nats3 may show, by its name."""
    known: dict[str, set[str]] = {}
    for metric in vars(Metrics(CollectorRegistry())).values():
        kind, name = getattr(metric, "_type", None), getattr(metric, "_name", "")
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}.get(str(kind), ())
        known |= {name + end: set(metric._labelnames) for end in ends}
    return known


@pytest.mark.parametrize("expression", ASKED)
def test_every_metric_and_label_that_is_asked_for_exists(expression: str) -> None:
    known = labels()
    names = METRIC.findall(expression)
    assert names
    assert set(names) <= known.keys()
    asked = {label.strip() for group in GROUPED.findall(expression) for label in group.split(",")}
    asked |= set(re.findall(r"(\w+)=~?\"", expression))
    assert asked - FROM_OUTSIDE <= set.union(*(known[name] for name in names))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_says_what_it_means_and_what_to_do_in_words_it_has(rule: dict[str, Any]) -> None:
    known = labels()
    told = " ".join(rule["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", told))
    grouped = {label.strip() for group in GROUPED.findall(rule["expr"]) for label in group.split(",")}
    has = grouped or set.union(*(known[name] for name in METRIC.findall(rule["expr"])))
    assert rule["annotations"].keys() == {"summary", "remedy"}
    assert named <= has | FROM_OUTSIDE


def test_no_two_panels_are_one() -> None:
    assert len({panel["id"] for panel in PANELS}) == len({panel["title"] for panel in PANELS}) == len(PANELS)
