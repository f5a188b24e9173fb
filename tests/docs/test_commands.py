"""Command lines on the pages are ones that the program takes."""

from __future__ import annotations

import re

import pytest

from nats3.cli.app import app
from tests.docs.pages import ROOT, Page, pages, words


@pytest.mark.parametrize("here", pages(), ids=str)
def test_every_command_line_of_nats3_is_understood(here: Page) -> None:
    lines = [*here.inline(), *here.shell_lines()]
    for line in lines:
        tokens = words(line) if re.match(r"(?:\.venv/bin/)?nats3 ", line) else []
        if tokens and not {"--help", "--version"} & set(tokens):
            understand(tokens[1:])


def understand(tokens: list[str]) -> None:
    """Parse as the program would, running nothing. Raises CycloptsError."""
    _, launched, _ = app.meta.parse_args(tokens, print_error=False, exit_on_error=False)
    app.parse_args(launched.args, print_error=False, exit_on_error=False)


def test_a_command_line_that_is_none_is_noticed() -> None:
    for wrong in ("store made --name x", "load create --bukket x", "events get here"):
        with pytest.raises(Exception, match=r".+"):
            understand(words(wrong))


@pytest.mark.parametrize("here", pages(), ids=str)
def test_every_target_of_make_exists(here: Page) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [match[1] for text in here.inline() if (match := re.match(r"make (?:[A-Z]+=\S+ )?(\w+)", text))]
    assert set(named) <= targets
