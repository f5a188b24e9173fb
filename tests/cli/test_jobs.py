"""What a person sees of store and load jobs, as whole text."""

from __future__ import annotations

import io
import json
import sys
from textwrap import dedent

import pytest

from tests.cli.conftest import LOAD_JOB, STORE_JOB

STORE_TABLE = dedent("""\
    ╭──────────────────────────────────────┬───────────────────────┬─────────┬────────────────────────┬────────────┬──────────┬────────────╮
    │ id                                   │ name                  │ status  │ bucket                 │ stream     │ consumer │ subject    │
    ╞══════════════════════════════════════╪═══════════════════════╪═════════╪════════════════════════╪════════════╪══════════╪════════════╡
    │ 24ce1555-b937-4321-9fa2-5e853a833690 │ test-store-1772065940 │ Running │ test-bucket-1772065940 │ test-input │          │ test.input │
    ╰──────────────────────────────────────┴───────────────────────┴─────────┴────────────────────────┴────────────┴──────────┴────────────╯
    """)
LOAD_TABLE = dedent("""\
    ╭──────────────────────────────────────┬─────────┬────────────────────────┬─────────────┬───────────────┬──────────────┬───────────────╮
    │ id                                   │ status  │ bucket                 │ read stream │ read consumer │ read subject │ write subject │
    ╞══════════════════════════════════════╪═════════╪════════════════════════╪═════════════╪═══════════════╪══════════════╪═══════════════╡
    │ 70c8b4d7-020a-475e-bcb8-9dcd6b4213b1 │ Success │ test-bucket-1772065893 │ test-input  │               │ test.input   │ test.output   │
    ╰──────────────────────────────────────┴─────────┴────────────────────────┴─────────────┴───────────────┴──────────────┴───────────────╯
    """)
STORE_ID = STORE_JOB["id"]
OTHER = {**STORE_JOB, "id": "11111111-b937-4321-9fa2-5e853a833690", "name": "b", "status": "Paused"}


def test_store_list_prints_the_table_of_the_original(api, run):
    api.answer("GET /api/v1/store/jobs", [STORE_JOB])
    ran = run("store", "list")
    assert (ran.code, ran.out, ran.err) == (0, STORE_TABLE, "")


def test_load_list_prints_the_table_of_the_original(api, run):
    api.answer("GET /api/v1/load/jobs", [LOAD_JOB])
    ran = run("load", "list")
    assert (ran.code, ran.out, ran.err) == (0, LOAD_TABLE, "")


def test_several_jobs_have_a_line_between_them(api, run):
    small = [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]
    api.answer("GET /api/v1/store/jobs", small)
    assert run("store", "list").out == dedent("""\
        ╭────┬──────┬────────┬────────┬────────┬──────────┬─────────╮
        │ id │ name │ status │ bucket │ stream │ consumer │ subject │
        ╞════╪══════╪════════╪════════╪════════╪══════════╪═════════╡
        │ 1  │ a    │        │        │        │          │         │
        ├────┼──────┼────────┼────────┼────────┼──────────┼─────────┤
        │ 2  │ b    │        │        │        │          │         │
        ╰────┴──────┴────────┴────────┴────────┴──────────┴─────────╯
        """)


def test_no_jobs_is_a_table_without_rows(api, run):
    api.answer("GET /api/v1/store/jobs", [])
    assert run("store", "list").out == dedent("""\
        ╭────┬──────┬────────┬────────┬────────┬──────────┬─────────╮
        │ id │ name │ status │ bucket │ stream │ consumer │ subject │
        ╞════╪══════╪════════╪════════╪════════╪══════════╪═════════╡
        ╰────┴──────┴────────┴────────┴────────┴──────────┴─────────╯
        """)


def test_json_prints_what_the_server_answered(api, run):
    api.answer("GET /api/v1/store/jobs", [STORE_JOB])
    ran = run("store", "list", "-o", "json")
    assert ran.out == json.dumps([STORE_JOB], indent=2) + "\n"


def test_jsonl_prints_one_job_a_line(api, run):
    api.answer("GET /api/v1/store/jobs", [STORE_JOB, OTHER])
    ran = run("store", "list", "-o", "jsonl")
    assert [json.loads(line) for line in ran.out.splitlines()] == [STORE_JOB, OTHER]


def test_name_prints_one_name_a_line(api, run):
    api.answer("GET /api/v1/store/jobs", [STORE_JOB, OTHER])
    assert run("store", "list", "-o", "name").out == "test-store-1772065940\nb\n"


def test_yaml_keeps_the_order_of_the_answer(api, run):
    api.answer("GET /api/v1/store/jobs", [{"id": "1", "name": "a", "batch": {"max_count": 3}}])
    assert run("store", "list", "-o", "yaml").out == "- id: '1'\n  name: a\n  batch:\n    max_count: 3\n"


def test_wide_adds_what_the_table_leaves_out(api, run):
    api.answer("GET /api/v1/store/jobs", [STORE_JOB])
    header, row = run("store", "list", "-o", "wide").out.splitlines()[1:4:2]
    assert [cell.strip() for cell in header.split("│")[8:-1]] == [
        "prefix", "max bytes", "max count", "codec", "created", "updated",
    ]  # fmt: skip
    assert [cell.strip() for cell in row.split("│")[8:-1]] == [
        "", "1000000", "1000", "Binary", "2026-02-26T00:32:20.123456Z", "2026-02-26T00:32:21.123456Z",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("-o", "name", "store", "list"),
        ("store", "-o", "name", "list"),
        ("store", "list", "--output", "name"),
        ("store", "list", "--output=name"),
    ],
)
def test_global_options_stand_before_or_after_the_command(api, run, words):
    api.answer("GET /api/v1/store/jobs", [OTHER])
    assert run(*words).out == "b\n"


def test_the_server_option_beats_the_variable(api, run, monkeypatch):
    monkeypatch.setenv("NATS3_URL", "http://127.0.0.1:1")
    api.answer("GET /api/v1/store/jobs", [OTHER])
    assert run("store", "list", "-o", "name", "--server", api.url.removeprefix("http://")).out == "b\n"


def test_a_control_character_in_an_answer_commands_no_terminal(api, run):
    api.answer("GET /api/v1/store/jobs", [{"id": "1", "name": "a\x1b[2Jb\n"}])
    assert "a\\x1b[2Jb\\n" in run("store", "list").out
    assert run("store", "list", "-o", "name").out == "a\\x1b[2Jb\\n\n"


@pytest.mark.parametrize("codec", ["json", "binary", "bin"])
def test_a_codec_is_sent_by_the_name_that_was_given(api, run, codec):
    api.answer("POST /api/v1/store/job", STORE_JOB)
    ran = run("store", "create", "--stream", "s", "--subject", "s.>", "--bucket", "b-1", "--codec", codec)
    assert (ran.code, api.asked[0][1]["encoding"]) == (0, {"codec": codec})


def test_store_create_sends_the_order_and_prints_the_job(api, run):
    api.answer("POST /api/v1/store/job", {**STORE_JOB, "warnings": ["stream jobs does not exist yet"]})
    ran = run(
        *[
            "store",
            "create",
            "--name",
            "a",
            "--stream",
            "jobs",
            "--subject",
            "s.1",
            "--bucket",
            "b",
            "--prefix",
            "p",
            "--consumer",
            "c",
        ],
        *["--max-bytes", "5", "--max-count", "6", "--codec", "binary"],
    )
    assert api.asked == [
        (
            "POST /api/v1/store/job",
            {
                "name": "a",
                "stream": "jobs",
                "subject": "s.1",
                "bucket": "b",
                "prefix": "p",
                "consumer": "c",
                "batch": {"max_bytes": 5, "max_count": 6},
                "encoding": {"codec": "binary"},
            },
        )
    ]
    assert ran.err == "store job test-store-1772065940 created\nwarning: stream jobs does not exist yet\n"
    assert (ran.code, ran.out) == (0, STORE_TABLE)


def takes_loads(api):
    api.answer("POST /api/v2/jobs", {"id": LOAD_JOB["id"], "name": "again", "warnings": ["no bucket"]}, status=201)
    api.answer(f"GET /api/v1/load/job?job_id={LOAD_JOB['id']}", LOAD_JOB)


def test_the_minimal_orders_of_the_seed_document_send_nothing_more(api, run):
    api.answer("POST /api/v1/store/job", STORE_JOB)
    takes_loads(api)
    run(*["store", "create", "--name", "job-1", "--stream", "jobs", "--subject", "subject-1", "--bucket", "bucket-1"])
    run(
        *[
            "load",
            "create",
            "--bucket",
            "bucket-1",
            "--read-stream",
            "jobs",
            "--read-subject",
            "subject-1",
            "--write-subject",
            "destination",
        ]
    )
    store, load, _ = (body for _, body in api.asked)
    assert store == {"name": "job-1", "stream": "jobs", "subject": "subject-1", "bucket": "bucket-1"}
    assert load == {
        "kind": "load",
        "bucket": "bucket-1",
        "read_stream": "jobs",
        "read_subject": "subject-1",
        "write_subject": "destination",
    }


def test_load_create_sends_every_option(api, run):
    takes_loads(api)
    ran = run(
        *[
            "load",
            "create",
            "--bucket",
            "b",
            "--prefix",
            "p",
            "--read-stream",
            "s",
            "--read-consumer",
            "c",
            "--read-subject",
            "a.>",
        ],
        *["--write-subject", "w", "--poll-interval", "5m", "--delete-chunks"],
        *["--from", "2026-01-01T00:00:00Z", "--to-time", "2026-02-01T00:00:00Z", "--mode", "dedupe"],
        *["--header", "Region: eu", "--header", "Kind: order: new", "--from-seq", "1", "--to-seq", "9", "--limit", "5"],
        *["--rate", "100", "--bytes-rate", "5MB", "--speed", "2", "--max-gap", "5s"],
    )
    assert (ran.code, ran.out) == (0, LOAD_TABLE)
    assert ran.err == "load job again created\nwarning: no bucket\n"
    assert api.asked[0][1] == {
        "kind": "load",
        "mode": "dedupe",
        "read_headers": {"Region": "eu", "Kind": "order: new"},
        "from_seq": 1,
        "to_seq": 9,
        "limit": 5,
        "pace": {"messages_per_s": 100.0, "bytes_per_s": 5_242_880, "speed": 2.0, "max_gap": "5s"},
        "bucket": "b",
        "prefix": "p",
        "read_stream": "s",
        "read_consumer": "c",
        "read_subject": "a.>",
        "write_subject": "w",
        "poll_interval": "5m",
        "delete_chunks": True,
        "from_time": "2026-01-01T00:00:00Z",
        "to_time": "2026-02-01T00:00:00Z",
    }


def test_several_subjects_and_transforms_are_sent_as_lists(api, run):
    takes_loads(api)
    words = [
        "--bucket",
        "b",
        "--read-stream",
        "s",
        "--subject",
        "a.*",
        "--read-subject",
        "b.>",
        "--unmatched",
        "refuse",
        "--strict-order",
    ]
    words += ["--transform", "a.*=x.{{wildcard(1)}}", "--transform", "b.>=y.>"]
    assert run("load", "create", *words).code == 0
    assert api.asked[0][1] == {
        "kind": "load",
        "bucket": "b",
        "read_stream": "s",
        "read_subjects": ["a.*", "b.>"],
        "subject_transforms": [{"src": "a.*", "dest": "x.{{wildcard(1)}}"}, {"src": "b.>", "dest": "y.>"}],
        "unmatched_subjects": "refuse",
        "strict_order": True,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--header", "Region"], "--header 'Region': give 'Name: value', and each name once"),
        (["--header", "A: 1", "--header", "A: 2"], "--header 'A: 2': give 'Name: value', and each name once"),
        (["--transform", "a"], "--transform 'a': give SRC=DEST, as 'orders.>=replay.>'"),
        (["--bytes-rate", "fast"], "--bytes-rate 'fast' is no size: give bytes, as 64MB"),
    ],
)
def test_an_option_that_cannot_be_is_named_and_nothing_is_asked(api, run, words, said):
    ran = run("load", "create", "--bucket", "b", "--read-stream", "s", *words)
    assert (ran.code, ran.err, api.asked) == (2, f"nats3: {said}\n", [])


PLANNED = {"position": 9, "exact": True, "messages": 12, "raw_bytes": 340, "chunks": 2, "requests": 3}
PLANNED |= {"fetched_bytes": 4096, "refusal": None, "ranges": [], "warnings": []}


@pytest.mark.parametrize("words", [("plan",), ("create", "--dry-run")])
def test_an_order_is_counted_and_not_given(api, run, words):
    api.answer("POST /api/v2/jobs/plan", {**PLANNED, "exact": False, "refusal": "chunk_missing: k"})
    ran = run("load", *words, "--bucket", "b", "--read-stream", "s", "--header", "A: 1")
    assert api.asked == [
        ("POST /api/v2/jobs/plan", {"kind": "load", "bucket": "b", "read_stream": "s", "read_headers": {"A": "1"}})
    ]
    assert ran.code == 0
    assert [cell.strip() for cell in ran.out.splitlines()[3].strip("│").split("│")] == [
        "12",
        "340",
        "2",
        "3",
        "4096",
        "false",
    ]
    assert ran.err == "at most: not all chunks were read that had to be\nthe load would be blocked: chunk_missing: k\n"


def test_the_pace_of_a_load_is_changed(api, run):
    takes_loads(api)
    api.answer(f"PATCH /api/v2/jobs/{LOAD_JOB['id']}", {"name": "again"})
    assert run("load", "pace", LOAD_JOB["id"], "--rate", "7").err == "load job again has another pace\n"
    assert run("load", "pace", LOAD_JOB["id"]).code == 0
    assert [body for line, body in api.asked if line.startswith("PATCH")] == [
        {"pace": {"messages_per_s": 7.0}},
        {"pace": {}},
    ]


def test_create_without_what_it_needs_says_so_and_asks_nothing(api, run):
    ran = run("store", "create", "--name", "a")
    assert (ran.code, ran.out, api.asked) == (2, "", [])
    assert ran.err == "nats3: missing --stream, --subject, --bucket (or --from-json FILE with the whole order)\n"


def test_an_order_comes_from_a_file_and_options_go_before_it(api, run, tmp_path):
    api.answer("POST /api/v1/store/job", STORE_JOB)
    (tmp_path / "order.json").write_text('{"name": "a", "batch": {"max_count": 1}, "else": true}')
    assert run("store", "create", "--from-json", str(tmp_path / "order.json"), "--max-bytes", "7").code == 0
    assert api.asked[0][1] == {"name": "a", "batch": {"max_count": 1, "max_bytes": 7}, "else": True}


def test_a_file_of_version_2_or_with_an_option_of_it_is_ordered_by_version_2(api, run, tmp_path):
    takes_loads(api)
    (tmp_path / "new.json").write_text('{"kind": "load", "bucket": "b", "headers": "none"}')
    (tmp_path / "old.json").write_text('{"bucket": "b"}')
    assert run("load", "create", "--from-json", str(tmp_path / "new.json")).code == 0
    assert run("load", "create", "--from-json", str(tmp_path / "old.json"), "--limit", "3").code == 0
    assert [body for line, body in api.asked if line == "POST /api/v2/jobs"] == [
        {"kind": "load", "bucket": "b", "headers": "none"},
        {"kind": "load", "bucket": "b", "limit": 3},
    ]


def test_an_order_comes_from_stdin(api, run, monkeypatch):
    api.answer("POST /api/v1/load/job", LOAD_JOB)
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"bucket": "b"}'))
    assert run("load", "create", "--from-json", "-").code == 0
    assert api.asked[0][1] == {"bucket": "b"}


@pytest.mark.parametrize(
    ("content", "said"), [("{", "is no JSON"), ("[]", "holds no JSON object"), (None, "cannot be read")]
)
def test_a_file_that_is_no_order_is_named(api, run, tmp_path, content, said):
    file = tmp_path / "order.json"
    if content is not None:
        file.write_text(content)
    ran = run("store", "create", "--from-json", str(file))
    assert (ran.code, api.asked) == (2, [])
    assert ran.err.startswith(f"nats3: {file} {said}")


@pytest.mark.parametrize("words", [(STORE_ID,), ("--job-id", STORE_ID), ("test-store-1772065940",)])
def test_a_job_is_named_by_id_or_name(api, run, words):
    api.answer("GET /api/v1/store/jobs", [STORE_JOB, OTHER])
    api.answer(f"GET /api/v1/store/job?job_id={STORE_ID}", STORE_JOB)
    assert run("store", "get", *words).out == STORE_TABLE


def test_an_unknown_name_is_not_found(api, run):
    api.answer("GET /api/v1/store/jobs", [STORE_JOB])
    ran = run("store", "pause", "nobody")
    assert (ran.code, ran.out, ran.err) == (3, "", "nats3: there is no store job named nobody\n")


def test_a_name_that_two_jobs_share_is_asked_back(api, run):
    twin = {**STORE_JOB, "id": "2"}
    api.answer("GET /api/v1/store/jobs", [STORE_JOB, twin])
    ran = run("store", "delete", STORE_JOB["name"])
    assert ran.code == 2
    assert ran.err == f"nats3: 2 store jobs are named {STORE_JOB['name']}, say which: {STORE_ID}, 2\n"
    assert [line for line, _ in api.asked] == ["GET /api/v1/store/jobs"]


@pytest.mark.parametrize("verb", ["pause", "resume"])
@pytest.mark.parametrize(("kind", "job", "table"), [("store", STORE_JOB, STORE_TABLE), ("load", LOAD_JOB, LOAD_TABLE)])
def test_pause_and_resume_print_the_job(api, run, kind, job, table, verb):
    api.answer(f"POST /api/v1/{kind}/job/{verb}?job_id={job['id']}", job)
    ran = run(kind, verb, job["id"])
    assert (ran.code, ran.out, ran.err) == (0, table, f"{kind} job {job['name']} {verb}d\n")


def test_delete_prints_nothing_to_stdout(api, run):
    api.answer(f"DELETE /api/v1/load/job?job_id={LOAD_JOB['id']}", "", media="text/plain")
    ran = run("load", "delete", "--job-id", LOAD_JOB["id"])
    assert (ran.code, ran.out, ran.err) == (0, "", f"load job {LOAD_JOB['id']} deleted\n")
