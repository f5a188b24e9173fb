"""One S3 client that lives as long as the process, and the settings that make it. The vendor is loaded on first use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where the bucket is and how patient one request may be. Without keys the AWS credential chain is asked.

    `connect_timeout` is short on purpose: while an endpoint is a black hole every attempt dies in it, and the first one
    after its return starts within that time. `read_timeout` is the longest silence inside an answer, and `look_timeout` how long
    a look at what became of a PUT may take where one may as well PUT again; `deadline` bounds a
    whole request, plus one second for each `slowest` bytes of its body. What is larger than `part` goes in parts of that size,
    and what is larger than `largest_put` is refused: no order asks for chunks of more than 1 GiB. Times in seconds, sizes in
    bytes.
    """

    endpoint: str | None = None
    region: str = "us-east-1"
    access: str | None = None
    secret: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    tls_ca: str | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    verify: Literal["probe", "checksum", "read_back"] = "probe"
    in_flight: int = 32
    connect_timeout: float = 2.0
    read_timeout: float = 10.0
    look_timeout: float = 2.0
    deadline: float = 60.0
    slowest: int = MIB // 2
    part: int = 64 * MIB
    largest_put: int = 5 * 1024 * MIB
    page: int = 1000


@asynccontextmanager
async def open_client(settings: S3Settings) -> AsyncGenerator[Any]:
    """Make the client without blocking the loop.

    Making a client reads the vendor's model files, the AWS profile and perhaps a credential source. The session keeps
    what it read: so a first client is made and dropped in a thread, on a loop that nobody else waits for, and the
    second finds everything there.
    """
    session, arguments = await asyncio.to_thread(_load, settings)
    rehearsal = session.client("s3", **arguments)
    await asyncio.to_thread(asyncio.run, rehearsal.__aenter__())
    await asyncio.to_thread(asyncio.run, rehearsal.__aexit__(None, None, None))
    async with session.client("s3", **arguments) as client:
        client.meta.events.register_last("before-call.s3", _send_at_once)
        yield client


def _load(settings: S3Settings) -> tuple[Any, dict[str, Any]]:
    import aioboto3  # noqa: PLC0415 - costs most of a second, and only servers that use S3 pay it

    return aioboto3.Session(), _arguments(settings)


def _arguments(settings: S3Settings) -> dict[str, Any]:
    """What the vendor's client is made with.

    One attempt, because an attempt that we do not see can answer 412 after its own success. (Below it, aiohttp sends a
    request once more when a connection out of the pool turns out dead; so a 412 is compared all the same.) The body is not hashed a
    second time for the signature: our SHA-256 travels as a signed header. Plain HTTP loads no certificates.
    """
    from aiobotocore.config import AioConfig  # noqa: PLC0415 - see _load

    config = AioConfig(
        signature_version="s3v4",
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_pool_connections=settings.in_flight,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        http_session_cls=_straight(),
        s3={"addressing_style": _addressing(settings), "payload_signing_enabled": False},
    )
    return {
        "endpoint_url": settings.endpoint,
        "region_name": settings.region,
        "aws_access_key_id": settings.access,
        "aws_secret_access_key": settings.secret,
        "aws_session_token": settings.session_token,
        "verify": False if (settings.endpoint or "").startswith("http://") else settings.tls_ca or True,
        "config": config,
    }


def _straight() -> type[Any]:
    """The vendor's HTTP session, which goes where it is sent and not where an answer would have it go.

    S3 has no use for redirects at the endpoint that the settings name; to follow one is to take our requests, and what is signed in
    them, to whoever the answer names.
    """
    from aiobotocore.httpsession import AIOHTTPSession  # noqa: PLC0415 - see _load

    class Straight(AIOHTTPSession):
        async def _get_session(self, proxy_url: str | None) -> Any:  # noqa: ANN401 - the vendor's  # pyright: ignore[reportImplicitOverride]
            return _NoRedirects(await super()._get_session(proxy_url))

    return Straight


class Redirected(Exception):
    """The store sends us elsewhere, and does not say that the bucket is in another region."""


class _NoRedirects:
    """An aiohttp session as the vendor uses it.

    A redirect that names a region is left to the vendor's client, which knows where that region is. Any other ends here: the client
    would ask the same store for the region, be redirected again, and again.
    """

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - aiohttp is loaded by the vendor
        self._session = session

    async def request(self, method: str, **options: Any) -> Any:  # noqa: ANN401 - aiohttp's
        answer = await self._session.request(method, allow_redirects=False, **options)
        if 300 <= answer.status < 400 and "x-amz-bucket-region" not in answer.headers:  # noqa: PLR2004 - the class of HTTP
            answer.close()
            where = answer.headers.get("Location", "nowhere")
            raise Redirected(
                f"it answers {answer.status}, to {where}, which is not followed: set the endpoint to where it is"
            )
        return answer


def _addressing(settings: S3Settings) -> str:
    """Host names per bucket exist at AWS; an endpoint of one's own rarely has them."""
    return "path" if settings.endpoint and settings.addressing == "auto" else settings.addressing


def _send_at_once(params: dict[str, Any], **_: object) -> None:
    """Ask no leave before the body: that would cost a round trip for each chunk."""
    params["headers"].pop("Expect", None)
