"""Version 2: what of an order may be changed while its job goes on: nothing that says where it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, assert_never

from pydantic import BaseModel, Field

from nats3.api.orders import checked
from nats3.api.reading import Exact, as_model
from nats3.api.v2_orders import LoadV2, StoreV2
from nats3.api.v2_shaping import PaceV2, pace_of
from nats3.api.values import Duration, JobName, Level, MaxBytes, MaxCount
from nats3.api.words import DURATION_REMEDY, parse_duration
from nats3.job.order import ChunkLimits, LoadOrder, OnBadChunk, Order, StoreOrder, Unmatched

_FIXED = ("is fixed once a job is ordered", "order another job with it")


def _left_out() -> Any:  # noqa: ANN401 - in the place of any field: null itself is no value of it
    return None


class ChangedLimitsV2(Exact):
    max_bytes: MaxBytes = Field(default_factory=_left_out)
    max_count: MaxCount = Field(default_factory=_left_out)
    max_age: Duration = Field(default_factory=_left_out)


class ChangeStoreV2(Exact):
    """What is left out stays as it is."""

    FORMS: ClassVar[Mapping[str, str]] = StoreV2.FORMS
    STRANGERS: ClassVar[Mapping[str, tuple[str, str]]] = dict.fromkeys(StoreV2.model_fields, _FIXED)

    name: JobName = Field(default_factory=_left_out)
    limits: ChangedLimitsV2 = Field(default_factory=_left_out)
    level: Level | Literal["auto"] = Field(default_factory=_left_out)


class ChangeLoadV2(Exact):
    """What is left out stays as it is; a `poll_interval` of null ends the polling. `pace` is given whole."""

    FORMS: ClassVar[Mapping[str, str]] = {
        **LoadV2.FORMS,
        "poll_interval": f"{DURATION_REMEDY}, or null to end the polling",
    }
    STRANGERS: ClassVar[Mapping[str, tuple[str, str]]] = dict.fromkeys(LoadV2.model_fields, _FIXED)

    name: JobName = Field(default_factory=_left_out)
    poll_interval: Duration | None = None
    on_bad_chunk: OnBadChunk = Field(default_factory=_left_out)
    strict_order: bool = Field(default_factory=_left_out)
    unmatched_subjects: Unmatched = Field(default_factory=_left_out)
    pace: PaceV2 = Field(default_factory=_left_out)


def changed(order: Order, value: Any) -> Order:  # noqa: ANN401 - any JSON value
    """The order with what the body says. Raises Misshapen, Unfit, Invalid."""
    match order:
        case StoreOrder():
            body = as_model(ChangeStoreV2, value)
            limits = _limits(order.limits, body.limits) if "limits" in body.model_fields_set else order.limits
            return checked(replace(order, limits=limits, **_given(body, "name", "level")))
        case LoadOrder():
            load = as_model(ChangeLoadV2, value)
            new = replace(order, **_given(load, "name", "on_bad_chunk", "strict_order", "unmatched_subjects"))
            if "pace" in load.model_fields_set:
                new = replace(new, pace=pace_of(load.pace))
            if "poll_interval" in load.model_fields_set:
                told = load.poll_interval
                new = replace(new, poll_interval_s=None if told is None else parse_duration("poll_interval", told))
            return checked(new)
        case _:
            assert_never(order)


def _limits(limits: ChunkLimits, body: ChangedLimitsV2) -> ChunkLimits:
    changed = replace(limits, **_given(body, "max_bytes", "max_count"))
    if "max_age" not in body.model_fields_set:
        return changed
    return replace(changed, max_age_s=parse_duration("limits.max_age", body.max_age))


def _given(body: BaseModel, *names: str) -> dict[str, Any]:
    """Those of the fields that are not left out."""
    return {name: getattr(body, name) for name in names if name in body.model_fields_set}
