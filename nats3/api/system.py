"""Outside of versions: is it alive, can it work, what does it count."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from nats3.api.callers import caller_of
from nats3.api.problems import RETRY
from nats3.api.services import Services

PONG = "pong"
ALIVE = {"status": "alive"}


async def ping(_services: Services, _request: Request) -> Response:
    return PlainTextResponse(PONG)


async def health(_services: Services, _request: Request) -> Response:
    """Alive: it answers, whatever else may be away."""
    return JSONResponse(ALIVE)


async def ready(services: Services, request: Request) -> Response:
    """200 only when NATS, Postgres and S3 answer; else 503, with what each said for who may read."""
    findings = await services.readiness.check()
    faults = {name: fault for name, fault in findings.items() if fault is not None}
    if not faults:
        return PlainTextResponse("ready")
    if caller_of(request).role is None:
        return JSONResponse({"error": "not ready: come with a token to see why"}, 503, RETRY)
    text = "; ".join(f"{name}: {fault}" for name, fault in sorted(faults.items()))
    return JSONResponse({"error": f"not ready: {text}", "faults": faults}, 503, RETRY)


async def metrics(services: Services, request: Request) -> Response:
    body, media_type = services.exposition(request.headers.get("accept", ""))
    return Response(body, media_type=None, headers={"Content-Type": media_type})
