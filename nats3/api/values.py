"""Types of values in orders, with what the description says of them. They are judged in `orders`, by rules that say more."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.types import JsonValue

from nats3.api.orders import BYTES, COUNT, LEVEL, MAX_HEADER, MAX_PREFIX, MAX_SEQ, MAX_TEXT, RATE
from nats3.place import NAME


def _described(**words: JsonValue) -> object:
    return Field(json_schema_extra=words)


NatsName = Annotated[str, _described(pattern=r"^[^.*>/\\\s\x00-\x1f\x7f]{1,255}$", examples=["ORDERS"])]
Filter = Annotated[str, _described(pattern=r"^[^\s\x00-\x1f\x7f]{1,255}$", examples=["orders.>"])]
Subject = Annotated[str, _described(pattern=r"^[^\s*>\x00-\x1f\x7f]{1,255}$", examples=["replayed"])]
Bucket = Annotated[str, _described(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$", examples=["archive"])]
ConnectionName = Annotated[str, _described(pattern=f"^{NAME}$", examples=["cold"])]
JobName = Annotated[str, _described(minLength=1, maxLength=MAX_TEXT, examples=["orders"])]
Prefix = Annotated[str, _described(maxLength=MAX_PREFIX, examples=["cold/2026"])]
Time = Annotated[str, _described(format="date-time", examples=["2026-11-23T12:00:00Z"])]
Duration = Annotated[str, _described(pattern=r"^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h|d|w|M|y))+$", examples=["10s", "5m"])]
Seq = Annotated[int, _described(minimum=1, maximum=MAX_SEQ)]
MaxBytes = Annotated[int, _described(minimum=BYTES[0], maximum=BYTES[1])]
MaxCount = Annotated[int, _described(minimum=COUNT[0], maximum=COUNT[1])]
HeaderValue = Annotated[str, _described(maxLength=MAX_HEADER, examples=["eu"])]
Rate = Annotated[float, _described(minimum=RATE[0], maximum=RATE[1], examples=[100])]
TransformTarget = Annotated[str, _described(minLength=1, maxLength=MAX_TEXT, examples=["replay.{{wildcard(1)}}.>"])]
LEVEL_FORMS = f"give a whole number from {LEVEL[0]} to {LEVEL[1]}, or auto"
Level = Annotated[int, _described(minimum=LEVEL[0], maximum=LEVEL[1])]
