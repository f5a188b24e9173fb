"""What the vendor raises, in our words. The only place where meaning is read from an S3 answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from nats3.errors import Invalid, Nats3Error, Unavailable
from nats3.objects.store import AccessDenied, BucketMissing, ObjectMissing


@dataclass(frozen=True, slots=True)
class Target:
    """What a request was about."""

    action: str
    bucket: str
    key: str = ""


class Taken(Nats3Error):
    """The key is taken: compare what is there. Never leaves this room."""


class OutOfRange(Nats3Error):
    """The object has none of the bytes asked for. Never leaves this room."""


class Doubtful(Unavailable):
    """No answer, or one that does not say: what was sent may have been done, or may be done later."""

    def __init__(self, reason: str) -> None:
        super().__init__("s3", reason)


class Unclear(Doubtful):
    """The store answered, or what stands before it, and not whether it was done."""


class Rejected(Unavailable):
    """The store answered that it did not do it. `status` and `code` are its words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__("s3", f"{status} {code}: {message}" if message else f"{status} {code}")
        self.status = status
        self.code = code


class Full(Rejected):
    """There is no room: once there is some again, the same request succeeds."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        remedy = "the bucket is full: free space or raise its quota, the job goes on by itself"
        self.reason = f"{remedy} ({self.reason})"
        self.args = (f"s3 is unavailable: {self.reason}",)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    code: str
    message: str


_Make = Callable[[_Answer, Target], Nats3Error]


def _bucket_missing(_answer: _Answer, target: Target) -> Nats3Error:
    return BucketMissing(target.bucket)


def _denied(answer: _Answer, target: Target) -> Nats3Error:
    return AccessDenied(target.bucket, target.action, f"{answer.code}: {answer.message}")


def _missing(_answer: _Answer, target: Target) -> Nats3Error:
    """What needs no object to be there can only miss its bucket."""
    if target.action in {"put", "list", "head_bucket"}:
        return BucketMissing(target.bucket)
    return ObjectMissing(target.bucket, target.key)


def _taken(answer: _Answer, target: Target) -> Nats3Error:
    return Taken(target.key) if target.action in {"put", "delete"} else _rejected(answer, target)


def _out_of_range(answer: _Answer, target: Target) -> Nats3Error:
    return OutOfRange(target.key) if target.action == "get" else _rejected(answer, target)


def _doubtful(answer: _Answer, _target: Target) -> Nats3Error:
    return Unclear(f"{answer.status} {answer.code}: {answer.message}")


def _rejected(answer: _Answer, _target: Target) -> Nats3Error:
    return Rejected(answer.status, answer.code, answer.message)


def _full(answer: _Answer, _target: Target) -> Nats3Error:
    return Full(answer.status, answer.code, answer.message)


_BY_CODE: dict[str, _Make] = {
    "NoSuchBucket": _bucket_missing,
    "NoSuchKey": _missing,
    "PreconditionFailed": _taken,
    # Some say it with 403, which would otherwise mean that somebody may not write.
    "QuotaExceeded": _full,
    "XMinioStorageFull": _full,
    # Most of these come as 403; some stores say 400, and the remedy is the same person's.
    "AccessDenied": _denied,
    "AuthorizationHeaderMalformed": _denied,
    "ExpiredToken": _denied,
    "InvalidAccessKeyId": _denied,
    "InvalidToken": _denied,
    "PermanentRedirect": _denied,
    "RequestExpired": _denied,
    "RequestTimeTooSkewed": _denied,
    "SignatureDoesNotMatch": _denied,
    "TokenRefreshRequired": _denied,
}
_BY_STATUS: dict[int, _Make] = {
    301: _denied,
    401: _denied,
    403: _denied,
    404: _missing,
    412: _taken,
    416: _out_of_range,
    # A gateway may give up on a store that goes on; 503 and 507 are the store's own refusals.
    500: _doubtful,
    502: _doubtful,
    504: _doubtful,
    507: _full,
}


@cache
def vendor_errors() -> tuple[type[Exception], ...]:
    """What a request may raise, loaded with the vendor."""
    import aiohttp  # noqa: PLC0415 - loaded with the vendor, see client.py
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above
    from botocore.exceptions import HTTPClientError as HttpError  # noqa: PLC0415 - as above

    return (ClientError, BotoCoreError, HttpError, aiohttp.ClientError, OSError, TimeoutError)


def translate(error: Exception, target: Target) -> Nats3Error:
    """The error in our words."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        return _answered(response, target)  # type: ignore[arg-type] - the vendor's answer is a plain dict
    if isinstance(error, _misused()):
        return Invalid("s3", f"{target.action} on {target.bucket}: {error}", "change the bucket's name or the prefix")
    if isinstance(error, _without_credentials()):
        return AccessDenied(target.bucket, target.action, str(error))
    if _never_left(error):
        return Unavailable("s3", _text(error))
    return Doubtful(_text(error))


def _answered(response: dict[str, Any], target: Target) -> Nats3Error:
    fault = response.get("Error", {})
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    answer = _Answer(status, str(fault.get("Code", "")), str(fault.get("Message", "")))
    make = _BY_CODE.get(answer.code) or _BY_STATUS.get(status, _rejected)
    return make(answer, target)


@cache
def _misused() -> type[Exception]:
    from botocore.exceptions import ParamValidationError  # noqa: PLC0415 - as above

    return ParamValidationError


@cache
def _without_credentials() -> tuple[type[Exception], ...]:
    from botocore import exceptions  # noqa: PLC0415 - as above

    return (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.TokenRetrievalError,
        exceptions.SSOError,
    )


def _never_left(error: Exception) -> bool:
    """Whether no connection was made, so that nothing can have been done."""
    import aiohttp  # noqa: PLC0415 - as above
    from botocore.exceptions import ConnectTimeoutError  # noqa: PLC0415 - as above

    cause = getattr(error, "kwargs", {}).get("error")
    return isinstance(error, ConnectTimeoutError) or isinstance(cause, aiohttp.ClientConnectorError)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
