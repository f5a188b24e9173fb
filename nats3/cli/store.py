"""`nats3 store ...`"""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from nats3.cli.jobs import S3, FromJson, Job, JobId, Jobs, Nats, body_of
from nats3.cli.output import Columns
from nats3.cli.session import Given
from nats3.cli.watching import Watch

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
JOBS.steering(app, rest="Let a store job finish its chunk and rest.", end="what it has archived stays")


@app.command(name=("list", "ls"))
def list_(*, watch: Watch = False, session: Given) -> None:
    """All store jobs, newest first."""
    JOBS.list(session, watching=watch)


@app.command
def get(job: Job = None, /, *, job_id: JobId = None, watch: Watch = False, session: Given) -> None:
    """One store job."""
    JOBS.get(session, JOBS.identify(session, job, job_id), watching=watch)


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
    codec: Annotated[Literal["json", "binary", "bin"] | None, Parameter(help="Form of the chunks.")] = None,
    nats: Nats = None,
    s3: S3 = None,
    from_json: FromJson = None,
    session: Given,
) -> None:
    """Order a store job."""
    given: dict[str, object] = {"name": name, "stream": stream, "subject": subject, "bucket": bucket, "prefix": prefix}
    given |= {"consumer": consumer, "batch.max_bytes": max_bytes, "batch.max_count": max_count, "encoding.codec": codec}
    given |= {"nats": nats, "s3": s3}
    JOBS.create(session, body_of(from_json, given, ("stream", "subject", "bucket")))


@app.command
def retry(job: Job = None, /, *, job_id: JobId = None, session: Given) -> None:
    """Look again at once at what blocks a store job."""
    JOBS.retry(session, job, job_id, restart=False)
