"""A transform of ours gives what nats-server gives for the same words; a real server is asked."""

from __future__ import annotations

import nats
import pytest
from nats.js.api import StreamConfig, SubjectTransform
from nats.js.errors import APIError

from nats3.errors import Invalid
from nats3.transform import transform

CASES = [
    ("t.*.* -> {{partition(10,1,2)}}.$1", ["t.foo.bar", "t.x.y", "t.orders.7"]),
    ("*.*.> -> replay.{{wildcard(1)}}.>", ["t.eu.new.big", "t.a.b"]),
    ("*.* -> x.{{splitFromLeft(2,3)}}", ["t.abcde", "t.abc", "t.a"]),
    ("*.* -> x.{{SplitFromRight(2,3)}}", ["t.abcde", "t.abc", "t.a"]),
    ("*.* -> x.{{ sliceFromLeft(2, 2) }}", ["t.abcde", "t.abcd", "t.ab", "t.a"]),
    ("*.* -> x.{{sliceFromRight(2,2)}}", ["t.abcde", "t.abcd", "t.ab", "t.a"]),
    ("*.* -> x.{{split(2,-)}}", ["t.a-b", "t.-a-b-", "t.a--b", "t.ab"]),
    ("*.* -> x.{{left(2,2)}}", ["t.abcde", "t.a"]),
    ("*.* -> x.{{right(2,2)}}", ["t.abcde", "t.a"]),
    ("t.> -> old.>", ["t.a.b"]),
    ("t.a -> b", ["t.a"]),
]


@pytest.mark.parametrize(("text", "subjects"), CASES, ids=[case[0] for case in CASES])
async def test_the_server_maps_as_we_do(nats_url: str, text: str, subjects: list[str]) -> None:
    source, destination = (side.strip() for side in text.split("->"))
    name = f"TRANSFORM-{CASES.index((text, subjects))}"
    connection = await nats.connect(nats_url)
    try:
        stream = connection.jetstream()
        root = f"{name}.>"
        config = StreamConfig(
            name=name, subjects=[root], subject_transform=SubjectTransform(src=f"{name}.{source}", dest=destination)
        )
        await stream.add_stream(config)
        mapping = transform(f"{name}.{source} -> {destination}")
        for subject in subjects:
            ack = await stream.publish(f"{name}.{subject}", b"")
            stored = await stream.get_msg(name, ack.seq)
            assert stored.subject is not None
            assert mapping.apply(f"{name}.{subject}".encode()) == stored.subject.encode()
        await stream.delete_stream(name)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "text",
    ["r.> -> x", "r.a -> x.>", "r.> -> *.>", "r.* -> {{wildcard(2)}}", "r.* -> {{launch(1)}}", "r.* -> {{split(1)}}"],
)
async def test_what_the_server_refuses_we_refuse(nats_url: str, text: str) -> None:
    source, destination = (side.strip() for side in text.split("->"))
    with pytest.raises(Invalid):
        transform(text)
    connection = await nats.connect(nats_url)
    try:
        config = StreamConfig(
            name="REFUSED", subjects=["r.>"], subject_transform=SubjectTransform(src=source, dest=destination)
        )
        with pytest.raises(APIError):
            await connection.jetstream().add_stream(config)
    finally:
        await connection.close()
