"""Version 2: what of an order may be changed while its job goes on: nothing that says where it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, assert_never

from pydantic import BaseModel

from nats3.api.orders import checked
from nats3.api.reading import Exact, as_model
from nats3.api.v2_orders import LoadV2, StoreV2
from nats3.api.v2_shaping import PaceV2, pace_of
from nats3.api.values import Duration, JobName, Level, MaxBytes, MaxCount
from nats3.api.words import DURATION_REMEDY, parse_duration
from nats3.job.order import ChunkLimits, LoadOrder, OnBadChunk, Order, StoreOrder, Unmatched

_FIXED = ("is fixed once a job is ordered", "order another job with it")


class ChangedLimitsV2(Exact):
    max_bytes: MaxBytes | None = None
    max_count: MaxCount | None = None
    max_age: Duration | None = None


class ChangeStoreV2(Exact):
    """What is left out stays as it is."""

    FORMS: ClassVar[Mapping[str, str]] = StoreV2.FORMS
    STRANGERS: ClassVar[Mapping[str, tuple[str, str]]] = dict.fromkeys(StoreV2.model_fields, _FIXED)

    name: JobName | None = None
    limits: ChangedLimitsV2 | None = None
    level: Level | Literal["auto"] | None = None


class ChangeLoadV2(Exact):
    """What is left out stays as it is; a `poll_interval` of null ends the polling. `pace` is given whole."""

    FORMS: ClassVar[Mapping[str, str]] = {
        **LoadV2.FORMS,
        "poll_interval": f"{DURATION_REMEDY}, or null to end the polling",
    }
    STRANGERS: ClassVar[Mapping[str, tuple[str, str]]] = dict.fromkeys(LoadV2.model_fields, _FIXED)

    name: JobName | None = None
    poll_interval: Duration | None = None
    on_bad_chunk: OnBadChunk | None = None
    strict_order: bool | None = None
    unmatched_subjects: Unmatched | None = None
    pace: PaceV2 | None = None


def changed(order: Order, value: Any) -> Order:  # noqa: ANN401 - any JSON value
    """The order with what the body says. Raises Misshapen, Unfit, Invalid."""
    match order:
        case StoreOrder():
            body = as_model(ChangeStoreV2, value)
            limits = _limits(order.limits, body.limits)
            return checked(replace(order, limits=limits, **_given(body, "name", "level")))
        case LoadOrder():
            load = as_model(ChangeLoadV2, value)
            new = replace(order, **_given(load, "name", "on_bad_chunk", "strict_order", "unmatched_subjects"))
            if load.pace is not None:
                new = replace(new, pace=pace_of(load.pace))
            if "poll_interval" in load.model_fields_set:
                told = load.poll_interval
                new = replace(new, poll_interval_s=None if told is None else parse_duration("poll_interval", told))
            return checked(new)
        case _:
            assert_never(order)


def _limits(limits: ChunkLimits, body: ChangedLimitsV2 | None) -> ChunkLimits:
    if body is None:
        return limits
    age = limits.max_age_s if body.max_age is None else parse_duration("limits.max_age", body.max_age)
    return replace(limits, max_age_s=age, **_given(body, "max_bytes", "max_count"))


def _given(body: BaseModel, *names: str) -> dict[str, Any]:
    """Those of the fields that are neither left out nor null."""
    return {name: getattr(body, name) for name in names if getattr(body, name) is not None}
