"""What a page points to is there."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT, Page, page, pages


@pytest.mark.parametrize("here", pages(), ids=str)
def test_every_link_within_the_repository_resolves(here: Page) -> None:
    lost = [link for link in here.links() if "://" not in link and not _resolves(here, link)]
    assert lost == []


def _resolves(here: Page, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = here.path if not name else here.path.parent / name
    if not target.exists():
        return False
    return not anchor or anchor in Page(target).anchors()


def test_every_decision_is_listed() -> None:
    index = page("docs/decisions/README.md").links()
    there = {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    assert there <= set(index)


@pytest.mark.parametrize("here", pages(), ids=str)
def test_no_page_names_a_place_on_somebodys_machine(here: Page) -> None:
    assert re.findall(r"(?<![\w.])/(?:home|root|tmp|work)/.*", here.text) == []
