"""Streams that go back to one are known as one, whoever of several jobs saw what of it."""

from __future__ import annotations

import pytest

from nats3.work.lineage import Lineage, SeenLife

pytestmark = pytest.mark.pure


def test_what_nobody_speaks_of_stands_for_itself() -> None:
    lineage = Lineage()
    assert (lineage.stream(7), lineage.akin(7)) == (7, ())


def test_a_stream_that_went_on_under_other_creation_times_is_that_of_the_first() -> None:
    lineage = Lineage([SeenLife("a", "1", (10, 30, 20), None), SeenLife("b", "1", (20,), None)])
    assert [lineage.stream(created) for created in (10, 20, 30)] == [10, 10, 10]


def test_a_stream_that_branched_off_is_another_and_goes_back_to_the_one_before() -> None:
    lives = [SeenLife("a", "1", (10,), None), SeenLife("a", "2", (20,), "1"), SeenLife("a", "3", (30,), "2")]
    lineage = Lineage(lives)
    assert [lineage.stream(created) for created in (10, 20, 30)] == [10, 20, 30]
    assert [lineage.akin(created) for created in (10, 20, 30)] == [(20, 30), (10, 30), (10, 20)]


def test_the_parent_of_a_life_is_looked_for_in_its_own_job() -> None:
    lineage = Lineage([SeenLife("a", "1", (10,), None), SeenLife("b", "2", (20,), "1")])
    assert (lineage.akin(10), lineage.akin(20)) == ((), ())


def test_what_several_jobs_saw_of_it_is_put_together() -> None:
    """Each saw one restore, and nobody both."""
    lives = [SeenLife("a", "1", (10, 20), None), SeenLife("b", "1", (20, 30), None), SeenLife("c", "1", (40,), None)]
    lineage = Lineage(lives)
    assert [lineage.stream(created) for created in (10, 20, 30, 40)] == [10, 10, 10, 40]
    assert (lineage.akin(30), lineage.akin(40)) == ((10, 20), ())
