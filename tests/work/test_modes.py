from __future__ import annotations

from typing import Any

import pytest

from nats3.errors import Blocked
from nats3.jetstream.streams import StreamInfo
from nats3.work.modes import chosen

SERVER = (2, 15, 1)
MARKER = "nats3.mark.T.job"
HOUR = 3600 * 10**9
ATOMIC = {"allow_atomic": True, "duplicate_window": 120 * 10**9, "max_msgs": -1, "max_bytes": -1}


def info(retention: Any = "limits", **config: object) -> StreamInfo:
    return StreamInfo("T", 1, retention, 1, 0, 0, 0, {**ATOMIC, **config})


def test_auto_takes_the_strongest_that_the_stream_allows() -> None:
    assert chosen("auto", info(), SERVER, MARKER) == "atomic"
    assert chosen("auto", info(), SERVER, None) == "dedupe"
    assert chosen("auto", info(duplicate_window=0, allow_atomic=False), SERVER, MARKER) == "at_least_once"
    for forgets in (info("workqueue"), info("interest"), info(max_msgs_per_subject=1, allow_atomic=False)):
        assert chosen("auto", forgets, SERVER, MARKER) == "at_least_once"
    assert chosen("auto", info(max_age=HOUR), SERVER, MARKER) == "atomic"
    assert chosen("auto", info(max_age=HOUR - 1), SERVER, MARKER) == "dedupe", "the marker could expire in a pause"
    assert chosen("auto", info(max_msgs=10**6), SERVER, MARKER) == "dedupe"
    assert chosen("auto", info(max_bytes=10**9), SERVER, MARKER) == "dedupe"


@pytest.mark.parametrize(
    ("mode", "told"),
    [(mode, info()) for mode in ("atomic", "exclusive", "dedupe", "at_least_once")]
    + [("atomic", info(max_age=1, max_msgs=5)), ("exclusive", info("workqueue", duplicate_window=0))],
)
def test_what_is_ordered_is_taken_where_it_is_possible(mode: Any, told: StreamInfo) -> None:
    assert chosen(mode, told, SERVER, MARKER) == mode


@pytest.mark.parametrize(
    ("mode", "told", "server", "marker", "why"),
    [
        ("atomic", info(), (2, 12, 0), MARKER, "the server is 2.12.0"),
        ("atomic", info(allow_atomic=False), SERVER, MARKER, "allow_atomic"),
        ("atomic", info("workqueue"), SERVER, MARKER, "workqueue"),
        ("atomic", info("interest"), SERVER, MARKER, "interest"),
        ("atomic", info(), SERVER, None, r"add nats3\.mark\.>"),
        ("atomic", info(subject_transform={"src": "a"}), SERVER, MARKER, "transforms"),
        ("atomic", info(subject_delete_marker_ttl=1), SERVER, MARKER, "expire"),
        ("atomic", info(discard_new_per_subject=True), SERVER, MARKER, "per subject"),
        ("dedupe", info(duplicate_window=0), SERVER, MARKER, "duplicate_window"),
        ("dedupe", info("workqueue"), SERVER, MARKER, "consumed"),
        ("dedupe", info(max_msgs_per_subject=1), SERVER, MARKER, "max_msgs_per_subject"),
    ],
)
def test_what_is_impossible_is_refused_with_its_reason(
    mode: Any,
    told: StreamInfo,
    server: tuple[int, int, int],
    marker: str | None,
    why: str,
) -> None:
    with pytest.raises(Blocked, match=why) as refused:
        chosen(mode, told, server, marker)
    assert refused.value.code == "mode_impossible"
