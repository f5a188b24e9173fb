"""Settings and metrics on the pages are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from nats3.config import load
from nats3.config.settings import OTHER_VARIABLES, SETTINGS, Need, Setting
from nats3.telemetry.metrics import Metrics
from tests.docs.pages import Page, page, pages

VARIABLE = re.compile(r"\bNATS3_[A-Z0-9_]*[A-Z0-9]\b")
METRIC = re.compile(r"`(nats3_[a-z0-9_]+[a-z0-9])`")


@pytest.mark.parametrize("here", pages(), ids=str)
def test_every_variable_is_one_that_the_program_knows(here: Page) -> None:
    known = {setting.variable for setting in SETTINGS} | OTHER_VARIABLES
    known |= {f"{setting.variable}_FILE" for setting in SETTINGS if setting.secret}
    known |= {str(setting.default) for setting in SETTINGS}
    assert set(VARIABLE.findall(here.text)) <= known


def test_the_table_of_settings_is_that_of_the_program() -> None:
    told = page("docs/operating.md").table("variable", "default", "meaning")
    assert told == [_row(setting) for setting in SETTINGS if setting.in_file]


def _row(setting: Setting[object]) -> list[str]:
    default = "" if setting.default in (None, (), "") else f"`{setting.default}`"
    if isinstance(setting.default, bool):
        default = default.lower()
    if isinstance(setting.default, Need):
        default = "**required**"
    return [f"`{setting.variable}`", default, setting.about + (" (*secret*)" if setting.secret else "")]


def test_the_file_in_the_manual_is_understood(tmp_path: Path) -> None:
    (example,) = page("docs/operating.md").blocks("toml")
    file = tmp_path / "config.toml"
    file.write_text(example)
    assert load({}, file=file).s3.endpoint == "http://127.0.0.1:8333"


def test_every_metric_is_in_the_manual_and_none_is_made_up() -> None:
    told = set(METRIC.findall(page("docs/operating.md").text))
    families = Metrics(CollectorRegistry()).registry.collect()
    assert told == {each.name + ("_total" if each.type == "counter" else "") for each in families}
