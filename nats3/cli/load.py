"""`nats3 load ...`"""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from nats3.cli.asking import Interactive
from nats3.cli.exits import Exit
from nats3.cli.jobs import CLOCK, FromJson, Job, JobId, Jobs, Status
from nats3.cli.load_order import LoadOptions, PaceOptions
from nats3.cli.output import Columns
from nats3.cli.session import Given
from nats3.cli.waiting import Timeout, Wait, until_ended
from nats3.cli.watching import Watch

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
def list_(*, status: Status = None, watch: Watch = False, session: Given) -> None:
    """All load jobs, newest first."""
    JOBS.list(session, status, watching=watch)


@app.command
def get(
    job: Job = None,
    /,
    *,
    job_id: JobId = None,
    wait: Wait = False,
    timeout: Timeout = None,
    watch: Watch = False,
    session: Given,
) -> int:
    """One load job."""
    identity = JOBS.identify(session, job, job_id)
    code = until_ended(session, identity, timeout, CLOCK) if wait else Exit.OK
    JOBS.get(session, identity, watching=watch)
    return code


@app.command
def create(
    options: LoadOptions | None = None,
    pace: PaceOptions | None = None,
    *,
    interactive: Interactive = False,
    from_json: FromJson = None,
    dry_run: Annotated[bool, Parameter(negative=(), help="Order nothing: count what would be published.")] = False,
    wait: Wait = False,
    timeout: Timeout = None,
    session: Given,
) -> int:
    """Order a load job."""
    given = options or LoadOptions()
    body = (given.asked(session.output) if interactive else given).body(pace or PaceOptions(), from_json)
    if dry_run:
        JOBS.count(session, body)
        return Exit.OK
    made = JOBS.create(session, body)
    return until_ended(session, made, timeout, CLOCK) if wait else Exit.OK


@app.command(name="pace")
def change_pace(job: Job = None, /, pace: PaceOptions | None = None, *, job_id: JobId = None, session: Given) -> None:
    """Change how fast a load job goes, while it goes; without options it goes as fast as it can."""
    identity = JOBS.identify(session, job, job_id)
    changed = session.api.patch(f"/api/v2/jobs/{identity}", {"pace": (pace or PaceOptions()).body()})
    session.output.say(f"load job {changed['name']} has another pace")
    JOBS.get(session, identity)


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
def plan(
    job: Job = None,
    /,
    options: LoadOptions | None = None,
    *,
    job_id: JobId = None,
    from_json: FromJson = None,
    session: Given,
) -> None:
    """What a load job reads; with the options of an order instead of a job: what it would publish, counted."""
    if job is None and job_id is None:
        JOBS.count(session, (options or LoadOptions()).body(PaceOptions(), from_json))
    else:
        JOBS.plan(session, job, job_id)
