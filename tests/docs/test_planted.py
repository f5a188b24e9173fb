"""The table of planted faults is that of the program that plants them."""

from __future__ import annotations

from tests.docs.pages import ROOT, page
from tests.faults.planted import FAULTS


def test_every_planted_fault_is_in_the_table_with_what_caught_it() -> None:
    rows = page("docs/planted.md").table("fault", "in", "caught by")
    assert [(name, place) for name, place, _ in rows] == [(fault.name, f"`{fault.file}`") for fault in FAULTS]
    for name, _, by in rows:
        file, _, test = by.strip("`").partition("::")
        # A contract's tests stand in the suite that several implementations share.
        texts = [path.read_text("utf-8") for path in (ROOT / file, *(ROOT / "tests/contract").glob("*.py"))]
        assert any(test.rpartition("::")[2] in text for text in texts), name


def test_every_line_that_is_taken_out_is_there() -> None:
    for fault in FAULTS:
        assert fault.line in (ROOT / fault.file).read_text("utf-8"), fault.name
