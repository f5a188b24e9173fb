"""What a load publishes where, and what it refuses before anything of a chunk is published."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from nats3.errors import Blocked
from nats3.jetstream.atomic import numbered
from nats3.jetstream.publisher import Chain
from nats3.job.loading import message_id
from nats3.job.order import LoadOrder, SubjectTransform
from nats3.message import Batch
from nats3.work.modes import ADDED
from nats3.work.outgoing import Dresser, Takes
from nats3.work.pieces import Piece

ORDER = LoadOrder("load", "bucket", "S")
TAKES = Takes(1000, 1000, "T", ("replay.>", "orders.*"))
TRANSFORMS = (SubjectTransform("orders.*.eu", "replay.{{wildcard(1)}}"), SubjectTransform("orders.>", "replay.rest.>"))


def piece(*subjects: bytes) -> Piece:
    count = len(subjects)
    seqs = list(range(1, count + 1))
    return Piece(0, Batch(seqs, seqs, list(subjects), [None] * count, [b"x"] * count), ["life"] * count)


def dressed(order: LoadOrder, *subjects: bytes) -> list[bytes]:
    return list(Dresser("job", order, 1).dress(piece(*subjects), TAKES).subjects)


def test_the_first_transform_that_matches_decides_and_what_none_matches_keeps_its_subject() -> None:
    order = replace(ORDER, subject_transforms=TRANSFORMS)
    assert dressed(order, b"orders.7.eu", b"orders.7.us", b"replay.old") == [
        b"replay.7",
        b"replay.rest.7.us",
        b"replay.old",
    ]


def test_what_no_transform_matches_is_refused_by_order_with_the_field_named() -> None:
    order = replace(ORDER, subject_transforms=TRANSFORMS, unmatched_subjects="refuse")
    with pytest.raises(Blocked, match=r"unmatched_subjects: .*replay\.old"):
        dressed(order, b"orders.7.eu", b"replay.old")


@pytest.mark.parametrize(
    ("transform", "subject", "why"),
    [
        (("a.*", "$JS.{{wildcard(1)}}"), b"a.x", "is a system subject"),
        (("a.*", "{{wildcard(1)}}.x"), b"a.$JS", "is a system subject"),
        (("a.*", "replay.{{split(1,-)}}"), b"a.-", "has an empty token"),
        (("a.*", "replay.{{left(1,1)}}"), b"a.\r\nPUB", "holds a blank or a control character"),
        (("a.*", "elsewhere.{{wildcard(1)}}"), b"a.x", "the target stream T does not take subject"),
    ],
)
def test_a_subject_that_a_transform_made_is_judged_like_any_other(
    transform: tuple[str, str], subject: bytes, why: str
) -> None:
    order = replace(ORDER, subject_transforms=(SubjectTransform(*transform),))
    with pytest.raises(Blocked, match=why) as refused:
        dressed(order, b"replay.fine", subject)
    assert refused.value.code == "subject_refused"


LARGEST = 2**63
LONGEST_ID = message_id(str(UUID(int=0)), 10**6, str(UUID(int=0)), LARGEST).encode()


def _linked(block: bytes) -> bytes:
    chain = Chain(LARGEST)
    chain.link([block])
    (linked,) = chain.link([block])
    return linked or b""


ADDS = {"exclusive": _linked, "atomic": lambda block: numbered(block, b"x" * 22, 1000)}


@pytest.mark.parametrize("mode", ADDED)
def test_no_mode_adds_more_to_a_message_than_is_kept_free_for_it(mode: str) -> None:
    block = b"NATS/1.0\r\nNats-Msg-Id: %b\r\n\r\n" % LONGEST_ID
    assert 0 < len(ADDS[mode](block)) - len(block) <= ADDED[mode]


@pytest.mark.parametrize("added", [0, 1, 200])
def test_what_a_mode_adds_counts_before_anything_is_published(added: int) -> None:
    (size,) = Dresser("job", ORDER, 1).dress(piece(b"replay.a"), TAKES).sizes
    just = replace(TAKES, payload=size + added, added=added)
    Dresser("job", ORDER, 1).dress(piece(b"replay.a"), just)
    with pytest.raises(Blocked, match="the target takes") as refused:
        Dresser("job", ORDER, 1).dress(piece(b"replay.a"), replace(just, added=added + 1))
    assert refused.value.code == "message_too_large"
