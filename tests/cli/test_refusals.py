"""What a person reads when something is wrong, and the exit code that a script gets."""

from __future__ import annotations

import pytest

JOB_ID = "24ce1555-b937-4321-9fa2-5e853a833690"
GET = f"GET /api/v1/store/job?job_id={JOB_ID}"


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (404, {"error": f"job id {JOB_ID} not found"}, 3, f"job id {JOB_ID} not found"),
        (409, {"title": "Conflict", "detail": "a job of this name runs"}, 4, "a job of this name runs"),
        (401, {"title": "no token"}, 5, "no token"),
        (503, {"detail": "postgres is unavailable", "status": 503}, 6, "postgres is unavailable"),
        (500, {"title": "Internal error"}, 1, "Internal error"),
        (
            422,
            {
                "detail": "bucket: is empty; name one; level: 99 is out of range; use 1 to 19",
                "errors": [
                    {"field": "bucket", "fault": "is empty", "remedy": "name one"},
                    {"field": "level", "fault": "99 is out of range", "remedy": "use 1 to 19"},
                ],
            },
            2,
            "bucket: is empty; name one; level: 99 is out of range; use 1 to 19",
        ),
        (
            422,
            {
                "detail": "the order does not fit",
                "errors": [
                    {"field": "bucket", "fault": "is empty", "remedy": "name one"},
                    {"field": "batch.max_count", "fault": "is 0", "remedy": "give 1 to 10000000"},
                ],
            },
            2,
            "the order does not fit; bucket: is empty; name one; batch.max_count: is 0; give 1 to 10000000",
        ),
    ],
)
def test_a_refusal_of_the_server_is_one_line_and_a_code(api, run, status, body, code, said):
    api.answer(GET, body, status=status, media="application/problem+json")
    ran = run("store", "get", JOB_ID)
    assert (ran.code, ran.out, ran.err) == (code, "", f"nats3: {said}\n")


def test_plain_text_of_the_original_is_shown(api, run):
    api.answer(GET, "Failed to deserialize the JSON body:\n missing field `name`", status=422, media="text/plain")
    ran = run("store", "get", JOB_ID)
    assert (ran.code, ran.err) == (2, "nats3: Failed to deserialize the JSON body: missing field `name`\n")


def test_a_server_that_is_no_nats3_is_not_believed_when_it_says_not_found(api, run):
    ran = run("store", "get", JOB_ID)
    assert ran.code == 1
    assert ran.err == (f"nats3: {api.url}/api/v1/store/job?job_id={JOB_ID} answered 404 Not Found without a reason\n")


def test_an_answer_that_is_no_json_is_not_shown_as_a_job(api, run):
    api.answer(GET, "<html>", media="text/html")
    ran = run("store", "get", JOB_ID)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"nats3: {api.url} answered with something else than JSON: is it nats3?\n"


def test_nobody_listening_says_what_to_check(run):
    ran = run("store", "list", "--server", "http://127.0.0.1:1")
    assert (ran.code, ran.out) == (6, "")
    assert ran.err == (
        "nats3: http://127.0.0.1:1 cannot be reached (connection refused): is `nats3 serve` running there? "
        "Name another by --server URL or NATS3_URL\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stroe", "list"), "there is no command stroe; did you mean store?"),
        (
            ("xyzzy",),
            "there is no command xyzzy; there are store, load, job, events, chunks, streams, nodes, log, projections, archive, db, token, config, completion, serve, dev, demo",
        ),
        (("store", "list", "--nope"), "Unknown option: --nope."),
        (("store", "get"), "name one store job: its id or name, or --job-id ID"),
        (("store", "get", "a", "--job-id", "b"), "name one store job: its id or name, or --job-id ID"),
        (
            ("store", "create", "--max-bytes", "x"),
            "--max-bytes 'x' is no size: give bytes, as 64MB",
        ),
    ],
)
def test_a_wrong_call_is_one_line_and_code_2(api, run, words, said):
    ran = run(*words)
    assert (ran.code, ran.out, ran.err, api.asked) == (2, "", f"nats3: {said}\n", [])


def test_an_interrupt_ends_with_130(api, run, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nats3.cli.client.Api.get", interrupt)
    assert run("store", "list").code == 130
