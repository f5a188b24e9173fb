"""Every rule of a model that histories are simulated against is held to a real server by a test that exists."""

from __future__ import annotations

import re

import pytest

from actors.testing import MemoryJournal
from nats3.jetstream.memory_stream import MemoryStream
from nats3.objects.memory import MemoryStore
from tests.docs.pages import ROOT, names_in, page

ROWS = page("docs/simulation.md").table("rule", "what it says", "held to the real server by")
NO_RULES = {"MemoryStream.first", "MemoryStore.order"}
"""A number that others use, and how a test orders a fault."""
ON_THE_MODEL = ("TestMemory", "TestInMemory", "TestPatientMemory")


@pytest.mark.parametrize("model", [MemoryStream, MemoryStore, MemoryJournal])
def test_no_rule_of_a_model_is_left_out(model: type) -> None:
    rules = {
        f"{model.__name__}.{name}" for name in vars(model) if not name.startswith("_") and callable(vars(model)[name])
    }
    assert rules - {row[0].strip("`").rpartition(":")[2] for row in ROWS} - NO_RULES == set()


def test_every_rule_names_a_test_on_the_real_server_or_why_there_is_none() -> None:
    for rule, _, held in ROWS:
        named = re.findall(r"`(tests/[^`]+)`", held)
        assert named or held.startswith("not by a test: "), rule
        for each in named:
            file, _, rest = each.partition("::") if "::" in each else each.partition(":")
            suite, _, test = rest.rpartition("::")
            assert suite not in ON_THE_MODEL, each
            shared = [name for path in (ROOT / "tests/contract").glob("*.py") for name in names_in(path)]
            assert not suite or suite in names_in(ROOT / file), each
            known = [*names_in(ROOT / file), *(shared if suite else [])]
            assert any(name.rpartition(".")[2] == test for name in known), each
