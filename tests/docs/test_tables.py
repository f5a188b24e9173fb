"""Tables on the pages that the program has as tables of its own."""

from __future__ import annotations

import re
import tomllib

from nats3.job.states import RULES
from nats3.work import endure
from tests.docs.pages import ROOT, page

OPERATING = page("docs/operating.md")


def test_the_states_are_those_of_the_program() -> None:
    told = OPERATING.table("state", "word", "means", "goes on by itself", "commands")
    assert told == [
        [state.value, rule.word, rule.means, "yes" if rule.goes_on else "no", ", ".join(sorted(rule.commands))]
        for state, rule in RULES.items()
    ]


def test_every_reason_to_be_blocked_has_a_remedy() -> None:
    told = {row[0].strip("`") for row in OPERATING.table("code", "job", "what happened", "remedy")}
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "nats3").rglob("*.py"))
    raised = set(re.findall(r"\bBlocked\(\s*\"(\w+)\"", sources))
    assert told == raised | {code for _, code in endure._BLOCKING if code}


def test_what_the_application_is_granted_is_what_the_manual_says() -> None:
    source = (ROOT / "eventstore/migrate.py").read_text(encoding="utf-8")
    granted = re.findall(r"\"((?:GRANT|REVOKE|ALTER) [^\"]+)\"", source)
    (told,) = OPERATING.blocks("sql")
    assert told.splitlines() == [statement.format("nats3") + ";" for statement in granted]


def test_the_direction_of_imports_is_the_one_that_is_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert " > ".join(layers) in " ".join(page("ARCHITECTURE.md").text.split())


def test_every_room_is_in_the_table_of_rooms() -> None:
    named = {text.strip("/") for text in page("ARCHITECTURE.md").inline()}
    there = {path.stem for path in (ROOT / "nats3").iterdir() if not path.name.startswith("__")}
    assert there - named <= {"errors"}
