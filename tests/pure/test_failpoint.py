"""Failpoints: read exactly, silent unless planned, and every one in the code is one that the kills play."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from nats3.errors import Unavailable
from nats3.failpoint import PLACES, Delay, Fail, Failpoint, Kill, NoFailpoint, Stop, armed, parse, pass_by

ROOT = Path(__file__).parents[2]


def reached_in_code() -> Counter[str]:
    """How often each place stands in the product, by the calls of `reach`."""
    found: Counter[str] = Counter()
    for path in (ROOT / "nats3").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "").lstrip("_") == "reach":
                (place,) = node.args
                assert isinstance(place, ast.Constant), f"{path}: a place is a literal"
                found[place.value] += 1
    return found


def test_every_place_stands_in_the_code_once() -> None:
    assert reached_in_code() == Counter(PLACES)


def test_failpoints_are_read_exactly() -> None:
    told = "store.after_put=kill@3, bind.after_gap=stop,load.after_plan=raise*2@4,store.after_ack=delay:0.5"
    assert parse(told) == (
        Failpoint("store.after_put", Kill(), 1, 3),
        Failpoint("bind.after_gap", Stop(), 1, 1),
        Failpoint("load.after_plan", Fail(), 2, 4),
        Failpoint("store.after_ack", Delay(0.5), 1, 1),
    )
    assert parse("") == ()


@pytest.mark.parametrize("told", ["store.after_put", "x=kill", "store.after_put=kill*0", "store.after_put=delay"])
def test_what_names_no_failpoint_is_refused(told: str) -> None:
    with pytest.raises(NoFailpoint):
        parse(told)


async def test_a_failpoint_acts_at_its_passages_and_says_so_before() -> None:
    heard: list[tuple[str, str]] = []
    reach = armed(parse("store.after_put=raise*2@2"), lambda *said: heard.append(said))
    failed = []
    for n in range(1, 6):
        try:
            await reach("store.after_put")
            await reach("store.after_ack")
        except Unavailable:
            failed.append(n)
    assert failed == [2, 3]
    assert heard == [("store.after_put", "fail")] * 2


def test_where_nothing_is_planned_nothing_is_counted() -> None:
    assert armed((), lambda *_: None) is pass_by


def test_a_kill_ends_the_process_as_a_crash_does() -> None:
    program = (
        "import asyncio; from nats3.failpoint import armed, parse\n"
        "asyncio.run(armed(parse('store.after_put=kill'), print)('store.after_put')); print('lived')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ
    )
    assert ended.returncode == -signal.SIGKILL
    assert "lived" not in ended.stdout
