"""`nats3 archive ...`: hold the index and the buckets together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import App, Parameter

from nats3.cli.exits import Exit
from nats3.cli.output import Columns
from nats3.cli.progress import Bar, bar
from nats3.cli.session import Given, Session

SURVEY = Columns(
    usual=(
        ("id", "id"),
        ("task", "task"),
        ("bucket", "bucket"),
        ("state", "state"),
        ("done", "done"),
        ("of", "total"),
        ("found", "found"),
    ),
    more=(("job", "job_id"), ("deep", "deep"), ("counts", "counts"), ("actor", "actor"), ("asked", "asked_at")),
    name="id",
)
FINDING = Columns(
    usual=(("kind", "kind"), ("bucket", "bucket"), ("key", "key"), ("first", "first"), ("last", "last")),
    more=(("job", "job_id"), ("detail", "detail")),
    name="key",
)
BETWEEN_LOOKS_S = 0.2
MOST_FINDINGS = 1_000_000

app = App(name="archive")

Bucket = Annotated[str | None, Parameter(help="Only this bucket.")]
Deep = Annotated[bool, Parameter(negative=(), help="Read and check every byte, not only sizes and checksums.")]
NoWait = Annotated[bool, Parameter(negative=(), help="Do not wait for the end.")]


@app.command
def verify(
    *,
    deep: Deep = False,
    job: Annotated[str | None, Parameter(help="Only what this job archived, by its id.")] = None,
    bucket: Bucket = None,
    no_wait: NoWait = False,
    session: Given,
) -> int:
    """Compare what is recorded with what is in the buckets; changes nothing. Ends with 1 where something is missing,
    corrupt or not recorded. Ctrl-C leaves it at work.
    """
    body = {"deep": deep, "job_id": job, "bucket": bucket}
    asked = {name: value for name, value in body.items() if value is not None}
    return _work(session, "verifications", asked, wait=not no_wait)


@app.command(name="rebuild-index")
def rebuild_index(
    *,
    bucket: Annotated[str, Parameter(help="The bucket to read.")],
    prefix: Annotated[str | None, Parameter(help="Only below this prefix.")] = None,
    deep: Deep = False,
    no_wait: NoWait = False,
    session: Given,
) -> int:
    """Record again what the bucket holds, for a Postgres that was lost. May be begun as often as you like. Ends with 1
    where an object could not be read. Ctrl-C leaves it at work.
    """
    body: dict[str, Any] = {"bucket": bucket, "deep": deep, **({"prefix": prefix} if prefix else {})}
    return _work(session, "rebuilds", body, wait=not no_wait)


@app.command(name=("ls", "list"))
def ls(*, limit: Annotated[int, Parameter(help="At most so many.")] = 100, session: Given) -> None:
    """What was asked of the buckets, newest first."""
    items = session.api.items("/api/v2/archive/surveys", limit)
    session.output.show({"items": items}, items, SURVEY)


@app.command
def report(survey_id: Annotated[str, Parameter(help="Id of the survey.")], /, *, session: Given) -> int:
    """What a verification or a rebuild found so far."""
    return _report(session, session.api.get(f"/api/v2/archive/surveys/{survey_id}"))


@app.command
def cancel(survey_id: Annotated[str, Parameter(help="Id of the survey.")], /, *, session: Given) -> None:
    """End a verification or a rebuild; what was recorded stays."""
    found = session.api.post(f"/api/v2/archive/surveys/{survey_id}/cancel")
    session.output.show(found, [found], SURVEY)


def _work(session: Session, what: str, body: dict[str, Any], *, wait: bool) -> int:
    survey = session.api.post(f"/api/v2/archive/{what}", body)
    if not wait:
        session.output.show(survey, [survey], SURVEY)
        return Exit.OK
    with bar(session.output, survey["task"]) as shown:
        survey = until_ended(session, survey, shown, time.sleep)
    return _report(session, survey)


def until_ended(session: Session, survey: dict[str, Any], shown: Bar, sleep: Callable[[float], None]) -> dict[str, Any]:
    """The survey at its end. What it waits for is said once."""
    told: str | None = None
    while survey["ended_at"] is None:
        sleep(BETWEEN_LOOKS_S)
        survey = session.api.get(f"/api/v2/archive/surveys/{survey['id']}")
        shown(survey["done"], survey["total"])
        if survey["reason"] != told and survey["ended_at"] is None:
            told = survey["reason"]
            session.output.say(f"{survey['task']} waits: {told}" if told else f"{survey['task']} goes on")
    return survey


def _report(session: Session, survey: dict[str, Any]) -> int:
    findings = session.api.items(f"/api/v2/archive/surveys/{survey['id']}/findings", MOST_FINDINGS)
    session.output.show({**survey, "findings": findings}, findings, FINDING)
    told = {**survey["counts"], **survey["found"]}
    said = ", ".join(f"{count} {what}" for what, count in told.items()) or "nothing to look at"
    session.output.say(f"{survey['task']} is {survey['state']}: {said}")
    if survey["reason"]:
        session.output.say(f"{survey['task']}: {survey['reason']}")
    return verdict(survey)


def verdict(survey: dict[str, Any]) -> int:
    """What it means for a script: not done, or done and something was found that must be looked at, is a failure."""
    good = survey["state"] == "running" or (survey["state"] == "done" and survey["clean"])
    return Exit.OK if good else Exit.FAILURE
