"""The arithmetic of the table, and one row from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.figures import (
    Figure,
    as_json,
    at_least,
    at_most,
    history_line,
    middle,
    percentile,
    ratio,
    shown,
    table,
    with_table,
)
from tests.bench.machine import Watched
from tests.bench.traffic import messages


def test_a_median_says_between_what_it_lies() -> None:
    figure = middle("store", [30.0, 10.0, 20.0, 50.0, 40.0], "msg/s")
    assert (figure.value, figure.spread) == (30.0, (10.0, 50.0))


def test_a_ratio_compares_neighbours_and_not_medians() -> None:
    """The machine was twice as slow in the second turn: that is no difference between the two."""
    assert ratio("both", [100.0, 50.0, 90.0], [50.0, 25.0, 45.0]).spread == (2.0, 2.0)


def test_turns_of_unequal_number_make_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio("both", [1.0, 2.0], [1.0])


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)])
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == expected


def test_the_p99_of_few_values_is_the_greatest() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0


def test_a_target_is_met_at_its_bound() -> None:
    assert [at_least(1.5).is_met(value) for value in (1.49, 1.5, 1.6)] == [False, True, True]
    assert [at_most(256).is_met(value) for value in (255.0, 256.0, 256.1)] == [True, True, False]


def test_numbers_keep_three_digits_that_count() -> None:
    assert [shown(value) for value in (0.01234, 1.5, 12.34, 123.4, 45678.9)] == [
        "0.0123",
        "1.5",
        "12.3",
        "123",
        "45 679",
    ]


def test_the_table_is_markdown_in_columns() -> None:
    figures = [Figure("store", 1.25, "x", at_least(1.5), (1.0, 2.0), "how"), Figure("idle", 3.0, "/s")]
    assert table(figures) == (
        "| figure | value | unit |  range | target |        | how |\n"
        "| ------ | ----- | ---- | ------ | ------ | ------ | --- |\n"
        "| store  |  1.25 | x    | 1 .. 2 | >= 1.5 | missed | how |\n"
        "| idle   |     3 | /s   |        |        |        |     |"
    )


def test_the_page_takes_the_newest_table_in_the_place_of_the_last() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "performance.md").read_text("utf-8")
    once = with_table(page, "| one |")
    assert "\n| one |\n" in once
    assert with_table(once, "| two |") == with_table(page, "| two |")
    assert once.splitlines()[0] == page.splitlines()[0]
    assert once.splitlines()[-1] == page.splitlines()[-1]
    with pytest.raises(ValueError, match="what make bench said"):
        with_table("# a page", "| one |")


def test_json_says_the_verdict_and_history_only_the_number() -> None:
    figures = [Figure("store", 1.23456, "x", at_least(1.2))]
    assert as_json(figures) == [{"name": "store", "value": 1.23456, "unit": "x", "target": ">= 1.2", "verdict": "met"}]
    assert history_line({"commit": "abc"}, figures) == {"commit": "abc", "figures": {"store": 1.235}}


@pytest.mark.parametrize("size", [128, 1024])
def test_messages_have_their_size_and_none_is_there_twice(size: int) -> None:
    made = list(messages("s", 2000, size))
    assert len({each.payload for each in made}) == len(made)
    assert len({each.subject for each in made}) == 50
    assert all(0.85 * size <= len(each.payload) <= size for each in made)
    assert all(isinstance(json.loads(each.payload), dict) for each in made)
    assert all(each.header is not None and each.header.endswith(b"\r\n\r\n") for each in made)


def test_the_peak_of_a_process_is_its_highest_since_it_was_forgotten() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; x = bytearray(b'x') * (1 << 26); del x; print(); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        watched = Watched(process.pid)
        before = watched.peak_mib()
        watched.forget_peak()
        assert before > 64
        assert watched.peak_mib() < before - 32
        assert watched.cpu_s() >= 0
        process.kill()


@pytest.mark.slow
@pytest.mark.timeout(90)  # starts all servers and nats3; a few seconds where nobody else is at work
def test_one_row_runs_on_real_servers_and_leaves_its_figures(server_directory: Path) -> None:
    found = server_directory / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "load", "--quick", "--messages", "2000", "--json", str(found)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=85, check=False)
    assert done.returncode == 0, done.stderr
    figures = {figure["name"]: figure for figure in json.loads(found.read_text())["figures"]}
    assert figures["load 1 KiB, dedupe"]["value"] > 0
    assert figures["load 1 KiB, dedupe / publish_async loop"]["verdict"] in {"met", "missed"}
    assert "| load 1 KiB, dedupe " in done.stdout
