"""Signing in from a browser: a plain page takes a token once and gives a cookie for it. No script, no style."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from eventstore import Append, Fence, NewEvent, Version, VersionConflict
from nats3.access import sessions
from nats3.access.sessions import SessionClosed, SessionOpened
from nats3.api.callers import Caller
from nats3.api.commands import recorded
from nats3.api.door import COOKIES, identify
from nats3.api.errors import TooOften, Unauthenticated, WrongMediaType
from nats3.api.requests import who_of
from nats3.api.services import Services

_FORM = "application/x-www-form-urlencoded"
_PAGE = """\
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>nats3: sign in</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head><body><main><h1>nats3</h1>
{body}
</main></body></html>
"""
_ASK = """\
{said}<form method="post" action="/login"><p><label>Token <input name="token" type="password" required autofocus
autocomplete="off" size="90"></label></p><p><button>Sign in</button></p></form>"""
_IN = """\
<p>You are signed in with {principal}, role {role}{until}.</p>
<form method="post" action="/logout"><p><button>Sign out</button></p></form>"""
_FREE = "<p>No token is needed here: none was made yet.</p>"


async def show(services: Services, request: Request) -> Response:
    """The form, or who is signed in."""
    try:
        caller = await identify(services, request)
    except Unauthenticated:
        return _page(_ASK.format(said=""))
    if caller.token_id is None:
        return _page(_FREE)
    until = "" if caller.until is None else f", until {caller.until:%Y-%m-%d %H:%M} UTC"
    return _page(_IN.format(principal=escape(caller.principal), role=caller.role, until=until))


async def sign_in(services: Services, request: Request) -> Response:
    """A token for a cookie; with a token that opens nothing, the form again."""
    text = await _token_in(request)
    address = request.client.host if request.client else ""
    try:
        caller = await services.entrance.admit(text, None, address)
    except (Unauthenticated, TooOften) as fault:
        page = _page(_ASK.format(said=f"<p><strong>{escape(str(fault))}.</strong></p>"), fault.status)
        page.headers.update(fault.headers)
        return page
    cookie = await _opened(services, request, caller)
    answer = RedirectResponse("/login", 303)
    _set(answer, request, cookie)
    return answer


async def sign_out(services: Services, request: Request) -> Response:
    """The session is over, whoever else may hold its cookie."""
    answer = RedirectResponse("/login", 303)
    for name in COOKIES:
        answer.delete_cookie(name, path="/", secure=name.startswith("__Host-"), httponly=True, samesite="strict")
    try:
        caller = await identify(services, request)
    except Unauthenticated:
        return answer
    if caller.session_id is not None:
        entity = sessions.entity_of(caller.session_id)
        await _say(services, request, entity, Version(1), sessions.SESSIONS.encode(SessionClosed()), caller)
    return answer


async def _token_in(request: Request) -> str:
    """What the form says. Raises WrongMediaType, and what reading the body raises."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise WrongMediaType(_FORM)
    said = parse_qs((await request.body()).decode("latin-1"), max_num_fields=10)
    return said.get("token", [""])[0].strip()


async def _opened(services: Services, request: Request, caller: Caller) -> str:
    cookie = sessions.bake(services.chance(sessions.CHANCE))
    expires = services.entrance.now() + sessions.LIFETIME
    event = SessionOpened(caller.token_id or "", cookie.digest, min(expires, caller.until or expires))
    await _say(
        services, request, sessions.entity_of(cookie.session_id), Version(0), sessions.SESSIONS.encode(event), caller
    )
    return cookie.text


async def _say(
    services: Services, request: Request, entity: str, expected: Version, event: NewEvent, caller: Caller
) -> None:
    who = who_of(request)
    append = Append(entity, expected, Fence(0), (event,), caller.principal, who.correlation_id)
    try:
        await recorded(services.writer, append)
    except VersionConflict:
        return  # it was closed already


def _set(answer: Response, request: Request, cookie: str) -> None:
    """Over TLS the browser itself makes sure that no other host or path set it."""
    secure = request.scope.get("scheme") == "https"
    lifetime = int(sessions.LIFETIME.total_seconds())
    name = COOKIES[0] if secure else COOKIES[1]
    answer.set_cookie(name, cookie, max_age=lifetime, path="/", secure=secure, httponly=True, samesite="strict")


def _page(body: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(body=body), status, {"Cache-Control": "no-store"})
