"""What a request can do wrong, each with its status and a code that never changes its meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import ClassVar
from uuid import UUID

from typing_extensions import override

from nats3.errors import Invalid, Nats3Error
from nats3.job.states import RULES, Command, State

MOST_FAULTS = 20
"""So many faults of one request are named; of the others only their number is told."""


class RequestError(Nats3Error):
    """A fault of the request: nothing was recorded. `shape` says that the body could not be read at all."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    shape: ClassVar[bool] = False

    @property
    def faults(self) -> Sequence[Invalid]:
        """The single fields at fault, when they are known."""
        return ()

    @property
    def headers(self) -> Mapping[str, str]:
        """What the answer says beside its text."""
        return {"Retry-After": "5"} if self.status == HTTPStatus.SERVICE_UNAVAILABLE else {}


class NotJson(RequestError):
    """The body is no JSON, or JSON that means different things to different readers."""

    code = "not_json"
    shape = True


class WrongMediaType(RequestError):
    status = 415
    code = "unsupported_media_type"
    shape = True

    def __init__(self, wanted: str = "application/json") -> None:
        super().__init__(f"Expected request with `Content-Type: {wanted}`")


class TooLarge(RequestError):
    status = 413
    code = "too_large"
    shape = True

    def __init__(self, limit: int, what: str = "the body") -> None:
        remedy = "send less" if what == "the body" else "read the object itself"
        super().__init__(f"{what} is larger than {limit} bytes; {remedy}")


class HeadTooLarge(RequestError):
    status = 431
    code = "head_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"address and headers have more than {limit} bytes together; send less")


class Encoded(RequestError):
    """Nothing is unpacked here, so nothing can blow up."""

    status = 415
    code = "unsupported_encoding"
    shape = True

    def __init__(self) -> None:
        super().__init__("the body is compressed: send it as it is, without Content-Encoding")


class BadPath(RequestError):
    code = "bad_path"

    def __init__(self) -> None:
        super().__init__("the address holds a control character: leave it out")


class TooSlow(RequestError):
    status = 408
    code = "too_slow"
    shape = True

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the body did not arrive within {seconds:g} s; send it faster")


class UnknownHost(RequestError):
    status = 421
    code = "unknown_host"

    def __init__(self) -> None:
        super().__init__("the Host header names no host of this server; add it to server.hosts")


class Unauthenticated(RequestError):
    """Who asks is not known, or no longer: come with a token that is valid."""

    status = 401
    code = "unauthenticated"

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="nats3"'}


class Forbidden(RequestError):
    """Who asks is known and may not do this."""

    status = 403
    code = "forbidden"


class CrossSite(RequestError):
    """A browser was made to send this by a page of somebody else."""

    status = 403
    code = "cross_site"

    def __init__(self) -> None:
        super().__init__("a page of another site sent this: commands are taken from pages of this server alone")


class TooOften(RequestError):
    status = 429
    code = "too_often"

    def __init__(self, wait: float) -> None:
        self._seconds = max(1, ceil(wait))
        super().__init__(f"too many requests: come again in {self._seconds} s")

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self._seconds)}


class Unfit(RequestError):
    """Values that nats3 will not take."""

    status = 422
    code = "invalid"

    def __init__(self, faults: Sequence[Invalid]) -> None:
        self._faults = tuple(faults[:MOST_FAULTS])
        more = len(faults) - len(self._faults)
        super().__init__("; ".join([*map(str, self._faults), *([f"and {more} faults more"] if more else [])]))

    @property
    @override
    def faults(self) -> Sequence[Invalid]:
        return self._faults


class Misshapen(Unfit):
    """The body lacks fields, or has some of another type."""

    code = "misshapen"
    shape = True


class BadParameter(Unfit):
    """A value in the address that cannot be what it should be."""

    status = 400
    code = "bad_parameter"


class OutOfScope(Unfit):
    """An order for what the token does not reach."""

    status = 403
    code = "out_of_scope"


class BadQuery(Unfit):
    """A parameter of version 2 that does not fit."""

    code = "bad_query"


class JobMissing(RequestError):
    status = 404
    code = "job_not_found"

    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"job id {job_id} not found")


class NotFound(RequestError):
    status = 404
    code = "not_found"


class Gone(RequestError):
    """It was there and will not come back."""

    status = 410
    code = "gone"


class NotAllowed(RequestError):
    """The job's state does not take this command."""

    status = 409
    code = "not_allowed"

    def __init__(self, job_id: UUID, command: Command, state: State, offered: frozenset[Command]) -> None:
        allowed = ", ".join(sorted(RULES[state].commands & offered)) or "nothing"
        super().__init__(f"job {job_id} is {state.value}: {command} is not possible, only {allowed}")


class RepeatUnderWay(RequestError):
    """The same request is being done."""

    status = 409
    code = "under_way"

    def __init__(self) -> None:
        super().__init__("the same request under this Idempotency-Key is being done: ask again in a moment")


class Contended(RequestError):
    """Others change the job all the time."""

    status = 409
    code = "contended"


class Stale(RequestError):
    """The view is behind what the client has seen."""

    status = 503
    code = "stale"

    def __init__(self, view: str, position: int) -> None:
        super().__init__(f"the view {view} has not reached position {position} yet: try again soon")


class TooManyStreams(RequestError):
    status = 429
    code = "too_many_streams"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} clients follow the log already: end one, or ask for pages")


class WalkUnderWay(RequestError):
    status = 429
    code = "walk_under_way"

    def __init__(self) -> None:
        super().__init__("the hash chain is being walked already: wait until that has ended")


class VersionPassed(RequestError):
    """The job is no longer what the client saw."""

    status = 412
    code = "version_passed"

    def __init__(self, job_id: UUID, wanted: str, version: int) -> None:
        super().__init__(f'job {job_id} has ETag "{version}", not {wanted}: get it again, then decide')


class SurveyUnderWay(RequestError):
    """Two rebuilds of one bucket would only be in each other's way."""

    status = 409
    code = "occupied"

    def __init__(self, survey_id: str, bucket: str) -> None:
        super().__init__(f"bucket {bucket}: a rebuild is under way, survey {survey_id}; wait for it, or cancel it")


class SurveyEnded(RequestError):
    status = 409
    code = "nothing_under_way"

    def __init__(self, survey_id: str) -> None:
        super().__init__(f"survey {survey_id} has ended")
