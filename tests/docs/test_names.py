"""Places in the code that a page names exist, so that a renamed function is noticed where it is told of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Page, all_names, names_in, page, pages

_TOP = "actors|eventstore|nats3|tests|docs|compose"
_PLACE = re.compile(rf"((?:{_TOP})/[\w./-]*)(?:(::?)([A-Za-z_][\w.]*))?")
_METHOD = re.compile(r"_?[A-Z]\w+\.(?!md$|py$|toml$)[a-z_]\w*")


@pytest.mark.parametrize("here", pages(), ids=str)
def test_every_place_in_the_code_exists(here: Page) -> None:
    found = [match for text in here.inline() if (match := _PLACE.fullmatch(text))]
    assert [match[0] for match in found if not _exists(ROOT / match[1], match[3])] == []


def _exists(path: Path, name: str | None) -> bool:
    if name is None or not path.is_file():
        return path.exists() and name is None
    if path.suffix == ".sql":
        return f"FUNCTION es.{name}(" in path.read_text(encoding="utf-8")
    names = names_in(path)
    return name in names or (name.startswith("test_") and any(each.endswith(f".{name}") for each in names))


@pytest.mark.parametrize("here", pages(), ids=str)
def test_every_method_that_is_named_by_its_class_exists(here: Page) -> None:
    assert [text for text in here.inline() if _METHOD.fullmatch(text) and text not in all_names()] == []


def test_a_name_that_does_not_exist_is_noticed() -> None:
    assert _exists(ROOT / "nats3/work/store_flow.py", "StoreFlow.settle")
    assert not _exists(ROOT / "nats3/work/store_flow.py", "StoreFlow.settled")
    assert not _exists(ROOT / "nats3/work/gone.py", None)
    assert _exists(ROOT / "eventstore/migrations/append.sql", "append")
    assert not _exists(ROOT / "eventstore/migrations/append.sql", "prepend")


def test_every_guarantee_names_what_judges_it() -> None:
    rows = re.findall(r"^\| .+ \|$", page("docs/guarantees.md").text, re.MULTILINE)
    promises = [row.split(" | ") for row in rows if row.count(" | ") == 2 and "---" not in row]
    judged = [cells for cells in promises if cells[2].strip(" |") not in {"judged by", "needs", "next activation"}]
    silent = [cells[0] for cells in judged if "`tests/" in "".join(cells) and "tests/" not in cells[2]]
    assert len(judged) > 30
    assert silent == []
