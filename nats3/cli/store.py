"""`nats3 store ...`"""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from nats3.cli.amounts import size
from nats3.cli.asking import Interactive, Question, answers
from nats3.cli.exits import Exit, Refused
from nats3.cli.jobs import S3, FromJson, Job, JobId, Jobs, Nats, Status, body_of
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

QUESTIONS = (
    Question("name", "Name of the job"),
    Question("stream", "Stream to archive", needed=True),
    Question("consumer", "Begin of the consumers' names"),
    Question("subject", "Subject filter within the stream", needed=True),
    Question("bucket", "Bucket to write to", needed=True),
    Question("prefix", "Prefix of all object keys"),
    Question("batch.max_bytes", "A chunk is full at so many bytes, 1000000 otherwise"),
    Question("batch.max_count", "A chunk is full at so many messages, 1000 otherwise"),
    Question("encoding.codec", "Form of the chunks, json or binary", choices=("json", "binary", "bin")),
)

app = App(name="store")
JOBS.steering(app, rest="Let a store job finish its chunk and rest.", end="what it has archived stays")


@app.command(name=("list", "ls"))
def list_(*, status: Status = None, watch: Watch = False, session: Given) -> None:
    """All store jobs, newest first."""
    JOBS.list(session, status, watching=watch)


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
        str | None,
        Parameter(name=("--max-bytes", "--batch-max-bytes"), help="A chunk is full at so many bytes, as 64MB."),
    ] = None,
    max_count: Annotated[
        int | None, Parameter(name=("--max-count", "--batch-max-count"), help="A chunk is full at so many messages.")
    ] = None,
    codec: Annotated[Literal["json", "binary", "bin"] | None, Parameter(help="Form of the chunks.")] = None,
    nats: Nats = None,
    s3: S3 = None,
    interactive: Interactive = False,
    from_json: FromJson = None,
    session: Given,
) -> None:
    """Order a store job."""
    given: dict[str, object] = {"name": name, "stream": stream, "subject": subject, "bucket": bucket, "prefix": prefix}
    given |= {"consumer": consumer, "batch.max_bytes": max_bytes, "batch.max_count": max_count, "encoding.codec": codec}
    if interactive:
        given |= answers(session.output, [each for each in QUESTIONS if given[each.field] is None])
    told_bytes, told_count = given["batch.max_bytes"], given["batch.max_count"]
    given["batch.max_bytes"] = None if told_bytes is None else size("--max-bytes", str(told_bytes))
    given["batch.max_count"] = None if told_count is None else _count(str(told_count))
    given |= {"nats": nats, "s3": s3}
    JOBS.create(session, body_of(from_json, given, ("stream", "subject", "bucket")))


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Refused(Exit.USAGE, f"--max-count {text!r} is no whole number") from None


@app.command
def retry(job: Job = None, /, *, job_id: JobId = None, session: Given) -> None:
    """Look again at once at what blocks a store job."""
    JOBS.retry(session, job, job_id, restart=False)
