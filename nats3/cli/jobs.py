"""What store and load commands share: which job is meant, what the server is asked, what is printed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from cyclopts import App, Parameter

from nats3.cli.asking import Interactive, Question, answers
from nats3.cli.exits import Exit, Refused
from nats3.cli.output import Columns
from nats3.cli.session import Given, Session
from nats3.cli.waiting import BETWEEN_LOOKS_S, ENDS, Clock
from nats3.cli.watching import watch

EVENT = Columns(
    usual=(("position", "position"), ("time", "recorded_at"), ("type", "type"), ("data", "data")),
    more=(("actor", "actor"), ("entity", "entity_id"), ("version", "version")),
    name="position",
)
PLANNED = Columns(
    usual=(("job", "job_id"), ("life", "life"), ("first", "first"), ("last", "last"), ("messages", "messages")),
    more=(("created", "created"), ("chunks", "chunks"), ("rank", "rank")),
    name="job_id",
)
COUNTED = Columns(
    usual=(
        ("messages", "messages"),
        ("bytes", "raw_bytes"),
        ("chunks", "chunks"),
        ("requests", "requests"),
        ("fetched", "fetched_bytes"),
        ("exact", "exact"),
    ),
    name="messages",
)
CLOCK = Clock(time.monotonic, time.sleep)
_MAY_STAND_STILL = frozenset({"Running", "Failure"})
"""Words of version 1 under which a job may be degraded, blocked or failed."""

Limit = Annotated[int, Parameter(help="At most so many events.")]
Job = Annotated[str | None, Parameter(help="Id or name of the job.")]
Nats = Annotated[str | None, Parameter(help="Connection to NATS, by its name in the server's configuration.")]
S3 = Annotated[str | None, Parameter(help="Connection to S3, by its name in the server's configuration.")]
JobId = Annotated[str | None, Parameter(name="--job-id", help="Id of the job.")]
Status = Annotated[
    str | None, Parameter(help="Only those in this status: Created, Running, Paused, Success or Failure.")
]
FromJson = Annotated[
    str | None, Parameter(allow_leading_hyphen=True, help="File with the whole order as JSON, - for stdin.")
]


@dataclass(frozen=True, slots=True)
class Jobs:
    """One kind of job on the server."""

    kind: Literal["store", "load"]
    columns: Columns

    def steering(self, app: App, *, rest: str, end: str) -> None:
        """Give `app` the commands that both kinds have; `rest` says what a pause does, `end` what a deletion leaves."""

        def pause(
            job: Job = None, /, *, job_id: JobId = None, interactive: Interactive = False, session: Given
        ) -> None:
            self.steer(session, "pause", self._asked(session, job, job_id, interactive=interactive), job_id)

        def resume(
            job: Job = None, /, *, job_id: JobId = None, interactive: Interactive = False, session: Given
        ) -> None:
            self.steer(session, "resume", self._asked(session, job, job_id, interactive=interactive), job_id)

        def delete(
            job: Job = None, /, *, job_id: JobId = None, interactive: Interactive = False, session: Given
        ) -> None:
            self.delete(session, self._asked(session, job, job_id, interactive=interactive), job_id)

        def watch(job: Job = None, /, *, job_id: JobId = None, session: Given) -> int:
            return self.watch(session, job, job_id, CLOCK)

        def logs(job: Job = None, /, *, job_id: JobId = None, limit: Limit = 100, session: Given) -> None:
            self.logs(session, job, job_id, limit)

        one = f"a {self.kind} job"
        app.command(pause, help=rest)
        app.command(resume, help=f"Let {one} go on where it stood.")
        app.command(delete, name=("delete", "rm"), help=f"End {one} for good; {end}.")
        app.command(watch, help=f"A line for each change of {one}, until it has ended or you interrupt.")
        app.command(logs, help=f"What was ordered of {one} and what happened to it.")

    def list(self, session: Session, status: str | None, *, watching: bool) -> None:
        if watching:
            watch(session, self.columns, self._seen(session, status), CLOCK.sleep)
            return
        jobs = self._all(session, status=status)
        session.output.show(jobs, jobs, self.columns)

    def _seen(self, session: Session, status: str | None) -> Callable[[], Sequence[dict[str, Any]]]:
        """A look at the jobs that are, or once were, in this status: what becomes of one is told, too."""
        seen: set[str] = set()

        def look() -> Sequence[dict[str, Any]]:
            jobs = self._all(session)
            seen.update(job["id"] for job in jobs if status is None or job["status"].lower() == status.lower())
            return [job for job in jobs if job["id"] in seen]

        return look

    def get(self, session: Session, identity: str, *, watching: bool = False) -> None:
        if watching:
            found = partial(self._perhaps, session, identity)
            watch(session, self.columns, found, CLOCK.sleep, until_gone=True)
            return
        found = session.api.get(f"/api/v1/{self.kind}/job", job_id=identity)
        self._show(session, found)
        if session.output.form in ("table", "wide") and found["status"] in _MAY_STAND_STILL:
            self._say_why(session, identity)

    def create(self, session: Session, body: dict[str, Any]) -> str:
        """Order the job, by version 2 where the body names its kind, and print it; its id."""
        by_kind = "kind" in body
        made = session.api.post("/api/v2/jobs" if by_kind else f"/api/v1/{self.kind}/job", body)
        session.output.say(f"{self.kind} job {made.get('name')} created")
        _warn(session, made)
        if by_kind:
            self.get(session, made["id"])
        else:
            self._show(session, made)
        return made["id"]

    def count(self, session: Session, body: dict[str, Any]) -> None:
        """What an order would publish; nothing is ordered."""
        found = session.api.post("/api/v2/jobs/plan", {"kind": self.kind, **body})
        session.output.show(found, [found], COUNTED)
        _warn(session, found)
        if not found["exact"]:
            session.output.say("at most: not all chunks were read that had to be")
        if found["refusal"]:
            session.output.say(f"the load would be blocked: {found['refusal']}")

    def steer(self, session: Session, verb: Literal["pause", "resume"], job: str | None, job_id: str | None) -> None:
        found = session.api.post(f"/api/v1/{self.kind}/job/{verb}", job_id=self.identify(session, job, job_id))
        session.output.say(f"{self.kind} job {found.get('name')} {verb}d")
        self._show(session, found)

    def logs(self, session: Session, job: str | None, job_id: str | None, limit: int) -> None:
        """What was ordered of it and what happened to it."""
        items = session.api.items(f"/api/v2/jobs/{self.identify(session, job, job_id)}/events", limit)
        session.output.show({"items": items}, items, EVENT)

    def retry(self, session: Session, job: str | None, job_id: str | None, *, restart: bool) -> str:
        """Begin the next run; the job's id."""
        identity = self.identify(session, job, job_id)
        found = session.api.post(f"/api/v2/jobs/{identity}/retry", {"restart": restart})
        session.output.say(f"{self.kind} job {found['name']} begins run {found['runs']}")
        return identity

    def plan(self, session: Session, job: str | None, job_id: str | None) -> None:
        """What a load reads, by job and life."""
        found = session.api.get(f"/api/v2/jobs/{self.identify(session, job, job_id)}/plan")
        session.output.show(found, found["ranges"], PLANNED)
        what = "planned" if found["frozen"] else "would be planned now"
        session.output.say(f"{found['messages']} messages in {found['chunks']} chunks at most: {what}")

    def watch(self, session: Session, job: str | None, job_id: str | None, clock: Clock) -> int:
        """A line for each change, until the job has ended or somebody interrupts."""
        identity = self.identify(session, job, job_id)
        seen = ""
        while True:
            found = session.api.get(f"/api/v2/jobs/{identity}")
            line = _line(found)
            if line != seen:
                session.output.line(line)
                seen = line
            if (code := ENDS.get(str(found["state"]))) is not None:
                return code
            clock.sleep(BETWEEN_LOOKS_S)

    def delete(self, session: Session, job: str | None, job_id: str | None) -> None:
        identity = self.identify(session, job, job_id)
        session.api.delete(f"/api/v1/{self.kind}/job", job_id=identity)
        session.output.say(f"{self.kind} job {identity} deleted")

    def identify(self, session: Session, job: str | None, job_id: str | None) -> str:
        """The id of the one job that an id or a name means."""
        if (job is None) == (job_id is None):
            raise Refused(Exit.USAGE, f"name one {self.kind} job: its id or name, or --job-id ID")
        wanted = cast("str", job_id or job)
        if job_id is not None or _is_id(wanted):
            return wanted
        found = [one["id"] for one in self._all(session) if one.get("name") == wanted]
        if not found:
            raise Refused(Exit.NOT_FOUND, f"there is no {self.kind} job named {wanted}")
        if len(found) > 1:
            raise Refused(
                Exit.USAGE, f"{len(found)} {self.kind} jobs are named {wanted}, say which: {', '.join(found)}"
            )
        return found[0]

    def _asked(self, session: Session, job: str | None, job_id: str | None, *, interactive: bool) -> str | None:
        """The job that was named, or is named now."""
        if not interactive or job is not None or job_id is not None:
            return job
        return answers(session.output, [Question("job", f"Id or name of the {self.kind} job", needed=True)])["job"]

    def _all(self, session: Session, status: str | None = None) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", session.api.get(f"/api/v1/{self.kind}/jobs", status=status))

    def _perhaps(self, session: Session, identity: str) -> Sequence[dict[str, Any]]:
        """The job, or none once it is deleted."""
        try:
            return [session.api.get(f"/api/v1/{self.kind}/job", job_id=identity)]
        except Refused as refused:
            if refused.code is not Exit.NOT_FOUND:
                raise
            return []

    def _say_why(self, session: Session, identity: str) -> None:
        """Why it stands still, for which version 1 has no words."""
        with suppress(Refused):  # an older server: the job itself is on the screen already
            job = session.api.get(f"/api/v2/jobs/{identity}")
            if job["reason"]:
                session.output.say(f"{self.kind} job {job['name']} is {job['state']}: {job['reason']}")

    def _show(self, session: Session, one: dict[str, Any]) -> None:
        session.output.show(one, [one], self.columns)


def _warn(session: Session, answer: dict[str, Any]) -> None:
    for warning in answer.get("warnings") or []:
        session.output.say(f"warning: {warning}")


def _line(job: dict[str, Any]) -> str:
    progress = ", ".join(f"{name} {value}" for name, value in job["progress"].items())
    reason = f" ({job['reason']})" if job["reason"] else ""
    return f"{job['name']}: {job['state']}{reason}, {progress}"


def body_of(from_json: str | None, given: dict[str, object], needed: tuple[str, ...]) -> dict[str, Any]:
    """The order to send: the file's, with the options that were given in place of its fields."""
    body = _read(from_json) if from_json is not None else {}
    for field, value in given.items():
        if value is not None:
            _put(body, field.split("."), value)
    missing = [f"--{field.replace('_', '-')}" for field in needed if field not in body]
    if missing and from_json is None:
        raise Refused(Exit.USAGE, f"missing {', '.join(missing)} (or --from-json FILE with the whole order)")
    return body


def _put(body: dict[str, Any], path: list[str], value: object) -> None:
    for part in path[:-1]:
        body = body.setdefault(part, {})
    body[path[-1]] = value


def _read(file: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        body: object = json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(Exit.USAGE, f"{file} cannot be read: {getattr(error, 'strerror', error)}") from None
    except ValueError as error:
        raise Refused(Exit.USAGE, f"{file} is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused(Exit.USAGE, f"{file} holds no JSON object")
    return cast("dict[str, Any]", body)


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
