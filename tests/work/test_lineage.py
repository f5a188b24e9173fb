"""A stream that went on under other creation times is known as one, whoever of several jobs saw what of it."""

from __future__ import annotations

import pytest

from nats3.work.lineage import Lineage, SeenLife

pytestmark = pytest.mark.pure


def test_what_nobody_speaks_of_stands_for_itself() -> None:
    assert Lineage().stream(7) == 7


def test_a_stream_that_went_on_under_other_creation_times_is_that_of_the_first() -> None:
    lineage = Lineage([SeenLife("a", "1", (10, 30, 20)), SeenLife("b", "1", (20,))])
    assert [lineage.stream(created) for created in (10, 20, 30)] == [10, 10, 10]


def test_a_stream_that_branched_off_is_another() -> None:
    lineage = Lineage([SeenLife("a", "1", (10,)), SeenLife("a", "2", (20,))])
    assert [lineage.stream(created) for created in (10, 20)] == [10, 20]


def test_what_several_jobs_saw_of_it_is_put_together() -> None:
    """Each saw one restore, and nobody both."""
    lineage = Lineage([SeenLife("a", "1", (10, 20)), SeenLife("b", "1", (20, 30)), SeenLife("c", "1", (40,))])
    assert [lineage.stream(created) for created in (10, 20, 30, 40)] == [10, 10, 10, 40]
