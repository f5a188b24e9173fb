"""What the routes of surveys take and answer."""

from __future__ import annotations

from typing import Any

from nats3.api.reading import Exact
from nats3.api.says_v2 import listed
from nats3.api.shapes_v1 import Id, Shape, Time
from nats3.api.spec import Says, Takes, json_answer, number
from nats3.job.surveying import FindingKind, SurveyTask


class RebuildBody(Exact):
    """A rebuild reads one bucket, or what lies below a prefix in it."""

    bucket: str
    prefix: str | None = None
    deep: bool = False


class VerifyBody(Exact):
    """Nothing said: all buckets that the index knows."""

    bucket: str | None = None
    job_id: str | None = None
    deep: bool = False


class SurveyAnswer(Shape):
    """What was asked of buckets: how far it is, what it counted, and how it ended."""

    id: Id
    task: SurveyTask
    bucket: str | None
    prefix: str | None
    job_id: str | None
    deep: bool
    state: str
    node: str | None
    step: str | None
    done: int
    total: int
    counts: dict[str, int]
    found: dict[str, int]
    clean: bool | None
    reason: str | None
    actor: str
    asked_at: Time
    ended_at: Time | None


class FindingAnswer(Shape):
    """What is wrong with one object, or remarkable."""

    id: int
    kind: FindingKind
    bucket: str
    key: str
    job_id: str | None
    first: int | None
    last: int | None
    detail: str


_ACCEPTED = json_answer(202, "It is under way.", SurveyAnswer, "Location")
_EXAMPLE: dict[str, Any] = {"bucket": "archive"}

REBUILD = Says((_ACCEPTED,), takes=Takes(RebuildBody, {"a bucket": _EXAMPLE}), refuses=(409,))
VERIFY = Says((_ACCEPTED,), takes=Takes(VerifyBody, {"every byte of a bucket": {**_EXAMPLE, "deep": True}}))
SURVEYS_LIST = listed("What was asked, newest first.", SurveyAnswer)
SURVEY_GET = Says((json_answer(200, "How far it is.", SurveyAnswer),))
FINDINGS_LIST = listed("What it found.", FindingAnswer, number("Go on behind the finding of this number.", "after"))
CANCEL = Says((json_answer(202, "It is ending.", SurveyAnswer),), refuses=(409,))
