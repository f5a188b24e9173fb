"""The answers of version 1 as schemas. What is asked stands in `v1_orders`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from nats3.job.states import Word

Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Shape(BaseModel):
    """What an answer looks like. A field with a default may be left out of it."""


class BatchAnswer1(Shape):
    max_bytes: int
    max_count: int


class EncodingAnswer1(Shape):
    codec: Literal["Json", "Binary"]


class IntervalAnswer1(Shape):
    secs: int
    nanos: int


class StoreJob1(Shape):
    """A store job in the words of version 1."""

    id: Id
    name: str
    status: Word
    stream: str
    consumer: str | None
    subject: str
    bucket: str
    prefix: str | None
    batch: BatchAnswer1
    encoding: EncodingAnswer1
    created: Time
    updated: Time


class LoadJob1(Shape):
    """A load job in the words of version 1."""

    id: Id
    name: str
    status: Word
    bucket: str
    prefix: str | None
    read_stream: str
    read_consumer: str | None
    read_subject: str
    poll_interval: IntervalAnswer1 | None
    write_subject: str | None
    delete_chunks: bool
    from_time: Time | None
    to_time: Time | None
    created: Time
    updated: Time


class MadeStoreJob1(StoreJob1):
    """The answer to an order."""

    warnings: list[str] = Field(default_factory=list)


class MadeLoadJob1(LoadJob1):
    """The answer to an order."""

    warnings: list[str] = Field(default_factory=list)


class Error1(Shape):
    """What is wrong, in one sentence."""

    error: str


class NotReady(Shape):
    """Which dependency does not answer, and what it said instead."""

    error: str
    faults: dict[str, str]


class Alive(Shape):
    status: Literal["alive"]
