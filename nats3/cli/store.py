"""`nats3 store ...`"""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from nats3.cli.jobs import CLOCK, FromJson, Job, JobId, Jobs, Limit, body_of
from nats3.cli.output import Columns
from nats3.cli.session import Given

JOBS = Jobs(
    "store",
    Columns(
        usual=(
            ("id", "id"),
            ("name", "name"),
            ("status", "status"),
            ("bucket", "bucket"),
            ("stream", "stream"),
            ("consumer", "consumer"),
            ("subject", "subject"),
        ),
        more=(
            ("prefix", "prefix"),
            ("max bytes", "batch.max_bytes"),
            ("max count", "batch.max_count"),
            ("codec", "encoding.codec"),
            ("created", "created"),
            ("updated", "updated"),
        ),
    ),
)

app = App(name="store")


@app.command(name=("list", "ls"))
def list_(*, session: Given) -> None:
    """All store jobs, newest first."""
    JOBS.list(session)


@app.command
def get(job: Job = None, /, *, job_id: JobId = None, session: Given) -> None:
    """One store job."""
    JOBS.get(session, JOBS.identify(session, job, job_id))


@app.command
def create(
    *,
    name: Annotated[str | None, Parameter(help="Name of the job; one is made up otherwise.")] = None,
    stream: Annotated[str | None, Parameter(help="Stream to archive.")] = None,
    subject: Annotated[str | None, Parameter(help="Subject filter within the stream.")] = None,
    bucket: Annotated[str | None, Parameter(help="Bucket to write to.")] = None,
    prefix: Annotated[str | None, Parameter(help="Prefix of all object keys.")] = None,
    consumer: Annotated[str | None, Parameter(help="Begin of the consumers' names.")] = None,
    max_bytes: Annotated[
        int | None, Parameter(name=("--max-bytes", "--batch-max-bytes"), help="A chunk is full at so many bytes.")
    ] = None,
    max_count: Annotated[
        int | None, Parameter(name=("--max-count", "--batch-max-count"), help="A chunk is full at so many messages.")
    ] = None,
    codec: Annotated[Literal["json", "binary"] | None, Parameter(help="Form of the chunks.")] = None,
    from_json: FromJson = None,
    session: Given,
) -> None:
    """Order a store job."""
    given: dict[str, object] = {"name": name, "stream": stream, "subject": subject, "bucket": bucket, "prefix": prefix}
    given |= {"consumer": consumer, "batch.max_bytes": max_bytes, "batch.max_count": max_count, "encoding.codec": codec}
    JOBS.create(session, body_of(from_json, given, ("stream", "subject", "bucket")))


@app.command
def pause(job: Job = None, /, *, job_id: JobId = None, session: Given) -> None:
    """Let a store job finish its chunk and rest."""
    JOBS.steer(session, "pause", job, job_id)


@app.command
def resume(job: Job = None, /, *, job_id: JobId = None, session: Given) -> None:
    """Let a store job go on where it stood."""
    JOBS.steer(session, "resume", job, job_id)


@app.command(name=("delete", "rm"))
def delete(job: Job = None, /, *, job_id: JobId = None, session: Given) -> None:
    """End a store job for good; what it has archived stays."""
    JOBS.delete(session, job, job_id)


@app.command
def watch(job: Job = None, /, *, job_id: JobId = None, session: Given) -> int:
    """A line for each change of a store job, until it has ended or you interrupt."""
    return JOBS.watch(session, job, job_id, CLOCK)


@app.command
def logs(job: Job = None, /, *, job_id: JobId = None, limit: Limit = 100, session: Given) -> None:
    """What was ordered of a store job and what happened to it."""
    JOBS.logs(session, job, job_id, limit)


@app.command
def retry(job: Job = None, /, *, job_id: JobId = None, session: Given) -> None:
    """Look again at once at what blocks a store job."""
    JOBS.retry(session, job, job_id, restart=False)
