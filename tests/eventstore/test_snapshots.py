"""States kept for recovery."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import Position, Snapshot, Snapshots, Version
from eventstore.snapshots import SMALL, pack, unpack


@pytest.fixture
async def snapshots(log_url: str) -> AsyncIterator[Snapshots]:
    snapshots = Snapshots(log_url)
    yield snapshots
    await snapshots.close()


async def test_the_newest_is_kept_and_an_older_one_does_not_replace_it(snapshots: Snapshots) -> None:
    newer = Snapshot("run/a", Version(9), Position(20), 1, {"cursor": 9, "lives": [1, 2]})
    assert await snapshots.load("run/a") is None
    await snapshots.save(newer)
    await snapshots.save(Snapshot("run/a", Version(5), Position(10), 1, {}))
    assert await snapshots.load("run/a") == newer
    await snapshots.forget("run/a")
    assert await snapshots.load("run/a") is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9), inner),
        max_leaves=20,
    )
)
def test_a_state_comes_back_as_it_was(state: object) -> None:
    assert unpack(pack(state)) == state


def test_a_large_state_is_compressed_and_a_small_one_is_not() -> None:
    assert len(pack("x" * SMALL * 100)) < SMALL
    assert pack("x") == b"\x00\xa1x"
