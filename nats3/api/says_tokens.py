"""What the routes of tokens take and answer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from nats3.access.roles import Role
from nats3.api.says_v2 import listed
from nats3.api.spec import Answer, Says, Takes, json_answer, number
from nats3.api.v2_tokens import ScopeV2, TokenV2


class TokenAnswer(BaseModel):
    """A token without its secret."""

    id: str
    name: str
    role: Role
    scope: ScopeV2
    state: Literal["valid", "expired", "revoked"]
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None


class NewToken(TokenAnswer):
    """A token, with its text this one time."""

    token: str


_EXAMPLES = {
    "the first one": {"name": "boss", "role": "admin"},
    "may read all": {"name": "dashboard", "role": "read"},
    "bound to a stream, for a month": {
        "name": "orders",
        "role": "operate",
        "scope": {"streams": ["ORDERS"], "buckets": ["archive-*"], "subjects": ["orders.>"]},
        "expires_in": "30d",
    },
}

CREATE = Says(
    (json_answer(201, "The token, with its text this one time.", NewToken, "Location"),),
    takes=Takes(TokenV2, _EXAMPLES),
    refuses=(409,),
)
LIST = listed("All that were ever made, oldest first.", TokenAnswer, number("Go on behind so many of them.", "after"))
GET = Says((json_answer(200, "The token.", TokenAnswer),))
REVOKE = Says((Answer(204, "It opens nothing any more.", {}),), refuses=(409,))

_HTML = {"text/html": {"type": "string"}}
LOGIN = Says((Answer(200, "A page without script: a form, or who is signed in.", _HTML),), refuses=(429, 503))
SIGN_IN = Says(
    (
        Answer(303, "The browser has a cookie now.", {}, ("Location",)),
        Answer(401, "The form again: the token opens nothing.", _HTML),
        Answer(429, "The form again: too often.", _HTML, ("Retry-After",)),
    ),
    refuses=(400, 403, 408, 415, 503),
)
SIGN_OUT = Says((Answer(303, "The cookie opens nothing any more.", {}, ("Location",)),), refuses=(403, 429, 503))
