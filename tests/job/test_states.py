from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from nats3.job.ordering import Wanted
from nats3.job.running import ConditionName
from nats3.job.states import RULES, State, allows, state_of
from nats3.state import StateName, Told


def test_what_a_worker_may_tell_are_the_states_of_the_table_and_that_a_job_is_gone() -> None:
    assert [state.value for state in State] == list(get_args(StateName))
    assert {*get_args(get_args(Told)[0]), *get_args(get_args(Told)[1])} == {*get_args(StateName), "deleted"}


WANTED: tuple[Wanted, ...] = get_args(Wanted)
CONDITIONS: tuple[ConditionName, ...] = get_args(ConditionName)


@pytest.mark.parametrize(("wanted", "condition"), list(product(WANTED, CONDITIONS)))
def test_o9_what_has_ended_stays_ended(wanted: Wanted, condition: ConditionName) -> None:
    assert state_of(wanted, condition, completed=True) is State.COMPLETED
    assert state_of(wanted, condition, completed=True, skipped=1) is State.COMPLETED_WITH_GAPS


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_paused_job_is_paused_whatever_its_run_last_said_but_failed(condition: ConditionName) -> None:
    assert state_of("paused", condition) is (State.FAILED if condition == "failed" else State.PAUSED)


def test_an_active_job_is_as_its_run_says() -> None:
    assert {condition: state_of("active", condition) for condition in CONDITIONS} == {
        "new": State.CREATED,
        "running": State.RUNNING,
        "degraded": State.DEGRADED,
        "blocked": State.BLOCKED,
        "paused": State.RUNNING,
        "stopped": State.RUNNING,
        "failed": State.FAILED,
    }


def test_a_job_that_was_resumed_is_running_before_a_node_has_it() -> None:
    assert state_of("active", "new", resumed=1) is State.RUNNING


def test_every_state_has_a_rule_and_can_be_deleted() -> None:
    assert set(RULES) == set(State)
    assert all(allows(state, "delete") for state in State)
