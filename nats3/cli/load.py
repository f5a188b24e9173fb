"""`nats3 load ...`"""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from nats3.cli.exits import Exit
from nats3.cli.jobs import CLOCK, S3, FromJson, Job, JobId, Jobs, Nats, body_of
from nats3.cli.output import Columns
from nats3.cli.session import Given
from nats3.cli.waiting import Timeout, Wait, until_ended

Restart = Annotated[bool, Parameter(negative=(), help="Publish everything again, under new message ids.")]

JOBS = Jobs(
    "load",
    Columns(
        usual=(
            ("id", "id"),
            ("status", "status"),
            ("bucket", "bucket"),
            ("read stream", "read_stream"),
            ("read consumer", "read_consumer"),
            ("read subject", "read_subject"),
            ("write subject", "write_subject"),
        ),
        more=(
            ("name", "name"),
            ("prefix", "prefix"),
            ("delete chunks", "delete_chunks"),
            ("from time", "from_time"),
            ("to time", "to_time"),
            ("created", "created"),
            ("updated", "updated"),
        ),
    ),
)

app = App(name="load")
JOBS.steering(app, rest="Let a load job rest; it remembers what is acknowledged.", end="what it has published stays")


@app.command(name=("list", "ls"))
def list_(*, session: Given) -> None:
    """All load jobs, newest first."""
    JOBS.list(session)


@app.command
def get(
    job: Job = None, /, *, job_id: JobId = None, wait: Wait = False, timeout: Timeout = None, session: Given
) -> int:
    """One load job."""
    identity = JOBS.identify(session, job, job_id)
    code = until_ended(session, identity, timeout, CLOCK) if wait else Exit.OK
    JOBS.get(session, identity)
    return code


@app.command
def create(
    *,
    name: Annotated[str | None, Parameter(help="Name of the job; one is made up otherwise.")] = None,
    bucket: Annotated[str | None, Parameter(help="Bucket to read from.")] = None,
    prefix: Annotated[str | None, Parameter(help="Prefix of the object keys.")] = None,
    read_stream: Annotated[str | None, Parameter(help="Stream that was archived.")] = None,
    read_consumer: Annotated[str | None, Parameter(help="Consumer name of the store job.")] = None,
    read_subject: Annotated[str | None, Parameter(help="Which archived subjects.")] = None,
    write_subject: Annotated[str | None, Parameter(help="Subject to publish on.")] = None,
    poll_interval: Annotated[str | None, Parameter(help="Look for new chunks again after this time, as 5m.")] = None,
    delete_chunks: Annotated[bool | None, Parameter(help="Delete each chunk once it is loaded.")] = None,
    from_time: Annotated[str | None, Parameter(help="First time, RFC 3339.")] = None,
    to_time: Annotated[str | None, Parameter(help="Time to end before, RFC 3339.")] = None,
    nats: Nats = None,
    s3: S3 = None,
    from_json: FromJson = None,
    wait: Wait = False,
    timeout: Timeout = None,
    session: Given,
) -> int:
    """Order a load job."""
    given: dict[str, object] = {"name": name, "bucket": bucket, "prefix": prefix, "read_stream": read_stream}
    given |= {"read_consumer": read_consumer, "read_subject": read_subject, "write_subject": write_subject}
    given |= {"poll_interval": poll_interval, "delete_chunks": delete_chunks}
    given |= {"from_time": from_time, "to_time": to_time, "nats": nats, "s3": s3}
    body = body_of(from_json, given, ("bucket", "read_stream", "read_subject", "write_subject"))
    made = JOBS.create(session, body)
    return until_ended(session, made, timeout, CLOCK) if wait else Exit.OK


@app.command
def retry(
    job: Job = None,
    /,
    *,
    job_id: JobId = None,
    restart: Restart = False,
    wait: Wait = False,
    timeout: Timeout = None,
    session: Given,
) -> int:
    """Begin the next run of a load job that has ended."""
    identity = JOBS.retry(session, job, job_id, restart=restart)
    return until_ended(session, identity, timeout, CLOCK) if wait else Exit.OK


@app.command
def plan(job: Job = None, /, *, job_id: JobId = None, session: Given) -> None:
    """What a load job reads."""
    JOBS.plan(session, job, job_id)
