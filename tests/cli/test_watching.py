"""`--watch`: a row again whenever it changes, until somebody interrupts; and scripts that complete words."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nats3.cli import jobs
from nats3.cli.app import COMMANDS
from nats3.cli.waiting import Clock
from tests.cli.conftest import LOAD_JOB, STORE_JOB, Ran, Recorded

JOB = {**STORE_JOB, "name": "orders"}
PAUSED = {**JOB, "status": "Paused"}
OTHER = {**STORE_JOB, "id": "4f9c4b7e-3a8e-4a7d-9a53-0f4cf5f1d0aa", "name": "other", "status": "Created"}


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[float]]:
    """Interrupt after so many looks; gives the seconds between them."""

    def after(count: int) -> list[float]:
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == count:
                raise KeyboardInterrupt

        monkeypatch.setattr(jobs, "CLOCK", Clock(lambda: 0.0, sleep))
        return waited

    return after


LIST = "GET /api/v1/store/jobs"


def changing(api: Recorded) -> None:
    """A job, unchanged, paused, joined by another, gone."""
    api.answer(LIST, [JOB])
    api.later[LIST] = [[JOB], [PAUSED], [OTHER, PAUSED], [OTHER]]


def test_a_list_is_a_table_and_then_a_line_for_each_change(
    api: Recorded, run: Callable[..., Ran], looks: Callable[[int], list[float]]
) -> None:
    changing(api)
    waited = looks(5)
    ran = run("store", "list", "--watch")
    assert (ran.code, waited) == (130, [1.0] * 5)
    table, *later = ran.out.split("╯\n")
    assert "orders" in table
    line = "{}  {}  {}  test-bucket-1772065940  test-input  -  test.input"
    assert "".join(later).splitlines() == [
        line.format(JOB["id"], "orders", "Paused"),
        line.format(OTHER["id"], "other", "Created"),
        line.format(JOB["id"], "orders", "Deleted"),
    ]


def test_in_json_every_row_is_an_object_of_its_own(
    api: Recorded, run: Callable[..., Ran], looks: Callable[[int], list[float]]
) -> None:
    wanted = [JOB, PAUSED, OTHER, {**PAUSED, "status": "Deleted"}]
    for form in ("jsonl", "json"):
        changing(api)
        looks(5)
        text = run("store", "ls", "-w", "-o", form).out
        if form == "jsonl":
            assert [json.loads(line) for line in text.splitlines()] == wanted
        else:
            assert text == "".join(json.dumps(each, indent=2, ensure_ascii=False) + "\n" for each in wanted)


@pytest.mark.parametrize(("kind", "job"), [("store", STORE_JOB), ("load", LOAD_JOB)])
def test_one_job_is_watched_until_it_is_deleted(
    api: Recorded, run: Callable[..., Ran], looks: Callable[[int], list[float]], kind: str, job: dict[str, object]
) -> None:
    line = f"GET /api/v1/{kind}/job?job_id={job['id']}"
    api.answer(line, job)
    api.later[line] = [{**job, "status": "Failure"}, (404, {"error": "job id not found"})]
    looks(9)
    ran = run(kind, "get", str(job["id"]), "--watch", "-o", "jsonl")
    assert (ran.code, [json.loads(each)["status"] for each in ran.out.splitlines()]) == (
        0,
        [job["status"], "Failure", "Deleted"],
    )


def test_one_job_that_stands_still_says_why_to_people_and_not_into_the_data(
    api: Recorded, run: Callable[..., Ran]
) -> None:
    api.answer(f"GET /api/v1/store/job?job_id={JOB['id']}", {**JOB, "status": "Failure"})
    more = {"name": "orders", "state": "blocked", "reason": "stream ORDERS does not exist"}
    api.answer(f"GET /api/v2/jobs/{JOB['id']}", more)
    ran = run("store", "get", str(JOB["id"]))
    assert (ran.code, ran.err) == (0, "store job orders is blocked: stream ORDERS does not exist\n")
    api.answer(f"GET /api/v2/jobs/{JOB['id']}", {**more, "reason": None})
    assert run("store", "get", str(JOB["id"])).err == ""
    api.asked.clear()
    assert json.loads(run("store", "get", str(JOB["id"]), "-o", "json").out)["status"] == "Failure"
    assert len(api.asked) == 1


def test_streams_of_another_connection_are_asked_by_its_name(api: Recorded, run: Callable[..., Ran]) -> None:
    api.answer("GET /api/v2/streams?nats=hub&limit=1000", {"items": []})
    assert run("streams", "ls", "--nats", "hub", "-o", "name").code == 0


def test_a_server_that_goes_away_ends_the_watch_with_its_code(
    api: Recorded, run: Callable[..., Ran], looks: Callable[[int], list[float]]
) -> None:
    api.answer(LIST, [JOB])
    api.later[LIST] = [(503, {"error": "postgres is away"})]
    looks(9)
    ran = run("store", "list", "-w", "-o", "name")
    assert (ran.code, ran.out) == (run("store", "list").code, "orders\n")
    assert ran.code != 0


@pytest.mark.timeout(60)
def test_bash_completes_commands_and_options(run: Callable[..., Ran], tmp_path: Path) -> None:
    script = tmp_path / "nats3.bash"
    script.write_text(run("completion", "bash").out)

    def completed(*words: str) -> set[str]:
        typed = " ".join(f"'{word}'" for word in words)
        asked = f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _nats3; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return set(done.stdout.split())

    assert completed("nats3", "") == {name for name, _, _ in COMMANDS}
    assert completed("nats3", "str") == {"streams"}
    assert completed("nats3", "store", "cr") == {"create"}
    assert {"--bucket", "--stream", "--from-json"} <= completed("nats3", "store", "create", "--")
    assert completed("nats3", "--server", "http://h", "load", "pa") == {"pause", "pace"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_of_each_shell_knows_every_command(run: Callable[..., Ran], tmp_path: Path, shell: str) -> None:
    ran = run("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert [name for name, _, _ in COMMANDS if name not in ran.out] == []
    script = tmp_path / "script"
    script.write_text(ran.out)
    if (program := shutil.which(shell)) is not None:
        assert subprocess.run([program, "-n", script], capture_output=True, check=False).returncode == 0


def test_a_shell_that_is_not_known_is_refused(run: Callable[..., Ran]) -> None:
    assert run("completion", "cmd").code == 2
