"""The restart law, told on a clock that is only numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.errors import Conflict, Fenced, Kind, Permanent, Transient, classify, gravest
from actors.supervision import Failure, GiveUp, Restart, RestartPolicy, Stop, Verdict

LAW = RestartPolicy()


def failing(kind: Kind, times: int, every: float = 0.0) -> list[Failure]:
    return [Failure(kind, at=n * every) for n in range(times)]


def judge(failures: list[Failure], chance: float = 0.0) -> Verdict:
    return LAW.judge(failures, failures[-1].at, chance)


def test_the_delay_doubles_from_half_a_second_to_thirty() -> None:
    patient = replace(LAW, restarts=100)
    delays = [patient.judge(failing(Kind.BUG, times), 0.0) for times in range(1, 9)]
    assert delays == [Restart(seconds) for seconds in (0.5, 1, 2, 4, 8, 16, 30, 30)]


def test_what_was_away_is_looked_for_every_three_seconds_so_that_its_return_is_soon_seen() -> None:
    delays = [judge(failing(Kind.TRANSIENT, times)) for times in range(1, 6)]
    assert delays == [Restart(seconds) for seconds in (0.5, 1, 2, 3, 3)]


def test_chance_shortens_the_delay_by_at_most_a_fifth() -> None:
    assert judge(failing(Kind.BUG, 1), chance=0.5) == Restart(pytest.approx(0.45))
    assert judge(failing(Kind.BUG, 1), chance=1.0) == Restart(pytest.approx(0.4))


def test_five_restarts_within_a_minute_are_allowed_and_no_sixth() -> None:
    assert all(isinstance(judge(failing(Kind.BUG, times, every=10)), Restart) for times in range(1, 6))
    assert judge(failing(Kind.BUG, 6, every=10)) == GiveUp()


def test_restarts_that_lie_a_minute_back_are_forgotten() -> None:
    assert isinstance(judge(failing(Kind.BUG, 6, every=12)), Restart)
    assert judge(failing(Kind.BUG, 6, every=11.9)) == GiveUp()


def test_transient_failures_spend_no_restarts() -> None:
    assert isinstance(judge(failing(Kind.TRANSIENT, 1000)), Restart)
    assert isinstance(judge([*failing(Kind.TRANSIENT, 50), *failing(Kind.BUG, 5)]), Restart)
    assert judge([*failing(Kind.TRANSIENT, 50), *failing(Kind.BUG, 6)]) == GiveUp()


def test_a_minute_of_health_begins_anew() -> None:
    sick = failing(Kind.BUG, 5)
    assert judge([*sick, Failure(Kind.BUG, 59.9, healthy_for=59.9)]) == GiveUp()
    assert judge([*sick, Failure(Kind.BUG, 60, healthy_for=60)]) == Restart(0.5)
    assert judge([*sick, Failure(Kind.BUG, 60, healthy_for=60), Failure(Kind.BUG, 60.5)]) == Restart(1)


@pytest.mark.parametrize(("kind", "verdict"), [(Kind.FENCED, Stop()), (Kind.PERMANENT, GiveUp())])
def test_fenced_stops_and_permanent_gives_up_at_once(kind: Kind, verdict: Verdict) -> None:
    assert judge([Failure(kind, 0.0)]) == verdict
    assert judge([Failure(kind, 100.0, healthy_for=100.0)]) == verdict


failures = st.lists(
    st.builds(
        Failure,
        kind=st.sampled_from([Kind.BUG, Kind.TRANSIENT]),
        at=st.floats(0, 200),
        healthy_for=st.floats(0, 100),
    ),
    min_size=1,
).map(lambda some: sorted(some, key=lambda failure: failure.at))


@given(failures, st.floats(0, 1, exclude_max=True))
def test_no_history_ever_waits_longer_than_thirty_seconds_or_gives_up_over_an_outage(
    past: list[Failure], chance: float
) -> None:
    verdict = judge(past, chance)
    if isinstance(verdict, Restart):
        assert 0.4 <= verdict.delay <= 30
    else:
        assert past[-1].kind is Kind.BUG
        assert sum(failure.kind is Kind.BUG for failure in past) > LAW.restarts


@given(failures)
def test_the_law_reads_only_its_arguments(past: list[Failure]) -> None:
    assert judge(past, 0.3) == judge(list(past), 0.3)


def test_of_several_failures_the_gravest_is_judged() -> None:
    fenced, conflict = Fenced("run/a", 3), Conflict("run/a", 1, 2)
    group = ExceptionGroup("", [Transient(), ExceptionGroup("", [conflict, fenced]), Permanent()])
    assert gravest(group, classify) == (fenced, Kind.FENCED)
    assert gravest(ExceptionGroup("", [Transient(), conflict]), classify) == (conflict, Kind.BUG)
    assert gravest(ValueError(), classify)[1] is Kind.BUG
