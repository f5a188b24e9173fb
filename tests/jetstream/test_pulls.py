"""What is asked for never goes beyond what was allowed, whatever the server does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nats3.jetstream.inflow import Inflow
from nats3.jetstream.pulls import MOST_OPEN, Pull, Pulls

LEAST = 100


def drawn(pulls: Pulls) -> list[Pull]:
    made: list[Pull] = []
    while (pull := pulls.next()) is not None:
        made.append(pull)
    return made


def test_one_request_takes_all_the_room_and_no_second_is_made() -> None:
    pulls = Pulls(LEAST, Inflow())
    pulls.allow(10, 1000)
    assert drawn(pulls) == [Pull(1, 10, 1000)]
    assert pulls.waiting


def test_a_second_request_is_never_smaller_than_the_largest_message() -> None:
    pulls = Pulls(LEAST, Inflow())
    pulls.allow(10, LEAST)
    assert drawn(pulls) == [Pull(1, 10, LEAST)]
    pulls.arrived(1, 30)
    pulls.allow(10, LEAST)
    assert drawn(pulls) == []


def test_where_little_is_allowed_little_is_asked_for() -> None:
    pulls = Pulls(LEAST, Inflow())
    pulls.allow(10, 20)
    assert drawn(pulls) == [Pull(1, 10, 20)]


def test_after_a_message_that_did_not_fit_only_a_larger_request_is_made() -> None:
    pulls = Pulls(LEAST, Inflow())
    pulls.allow(10, 20)
    (pull,) = drawn(pulls)
    pulls.ended(pull.number, 10, 20)
    pulls.did_not_fit(pull)
    assert (pulls.refused, drawn(pulls)) == (20, [])
    pulls.allow(10, 40)
    assert drawn(pulls) == [Pull(2, 10, 40)]
    pulls.arrived(1, 35)
    assert pulls.refused == 0


def test_what_may_arrive_is_open_or_allowed() -> None:
    pulls = Pulls(LEAST, Inflow())
    pulls.allow(10, 500)
    drawn(pulls)
    pulls.allow(10, 50)
    assert pulls.may_arrive == 500
    pulls.ended(1, 10, 500)
    assert pulls.may_arrive == 50


def test_no_bytes_ask_for_nothing() -> None:
    pulls = Pulls(LEAST, Inflow())
    pulls.allow(10, 0)
    assert drawn(pulls) == []


def test_the_next_request_is_made_when_a_quarter_of_the_room_is_free() -> None:
    pulls = Pulls(LEAST, Inflow())
    pulls.allow(100, 10_000)
    drawn(pulls)
    pulls.arrived(24, 240)
    pulls.allow(100, 10_000)
    assert drawn(pulls) == []
    pulls.arrived(1, 10)
    pulls.allow(100, 10_000)
    assert drawn(pulls) == [Pull(2, 25, 250)]


def test_when_the_last_request_ended_its_whole_rest_is_free_again() -> None:
    pulls = Pulls(LEAST, Inflow())
    pulls.allow(10, 1000)
    drawn(pulls)
    assert pulls.ended(1, 0, 0) == Pull(1, 10, 1000)
    assert pulls.ended(1, 0, 0) is None
    assert drawn(pulls) == [Pull(2, 10, 1000)]


def test_requests_that_brought_all_they_could_are_over_although_nobody_said_so() -> None:
    pulls = Pulls(LEAST, Inflow())
    for _ in range(2 * MOST_OPEN):
        pulls.allow(10, 1000)
        assert len(drawn(pulls)) == 1
        pulls.arrived(10, 50)
        assert not pulls.waiting


SIZE = 30


def test_busy_ones_on_one_connection_ask_for_parts_of_it_and_a_quiet_one_for_what_it_is_allowed() -> None:
    inflow = Inflow(most=8000, least=200)
    busy, other, quiet = (Pulls(LEAST, inflow) for _ in range(3))
    for pulls, allowed in ((busy, 6000), (other, 6000), (quiet, 200), (busy, 6000)):
        pulls.allow(600, allowed)
    assert drawn(busy) == [Pull(1, 600, 4000)]
    assert drawn(quiet) == [Pull(1, 600, 200)]
    assert busy.may_arrive == 4000, "no memory is held for more"
    other.over()
    busy.arrived(100, 1000)
    busy.allow(600, 6000)
    assert drawn(busy) == [Pull(2, 100, 3000)]


def test_the_next_request_is_made_when_a_quarter_of_the_bytes_are_free_where_they_are_what_is_short() -> None:
    pulls = Pulls(LEAST, Inflow())
    pulls.allow(10_000, 1000)
    drawn(pulls)
    pulls.arrived(2, 240)
    pulls.allow(10_000, 1000)
    assert drawn(pulls) == []
    pulls.arrived(1, 10)
    pulls.allow(10_000, 1000)
    assert drawn(pulls) == [Pull(2, 3, 250)]


def test_one_large_message_comes_through_however_many_share_the_connection() -> None:
    inflow = Inflow(most=1000, least=200)
    crowd = [Pulls(1000, inflow) for _ in range(50)]
    for pulls in (*crowd, crowd[0]):
        pulls.allow(10, 5000)
    (first,) = drawn(crowd[0])
    assert first.max_bytes == 200
    crowd[0].ended(first.number, first.messages, first.max_bytes)
    crowd[0].did_not_fit(first)
    crowd[0].allow(10, 5000)
    assert [pull.max_bytes for pull in drawn(crowd[0])] == [1000], (
        "any message fits, and not only one that is a byte larger"
    )


@given(st.data())
def test_no_history_brings_more_than_was_allowed(data: st.DataObject) -> None:
    """A server that deals messages to its open requests in any order; what each left is told when it ends."""
    inflow = Inflow(data.draw(st.sampled_from([500, 100_000])), LEAST)
    for busy in range(data.draw(st.integers(0, 3))):
        inflow.wants(busy, 1000)
    pulls = Pulls(LEAST, inflow)
    room_messages = room_bytes = 0
    server: dict[int, list[int]] = {}
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["allow", "deliver", "deliver", "expire"])):
            case "allow":
                room_messages, room_bytes = data.draw(st.integers(0, 50)), data.draw(st.integers(0, 2000))
                pulls.allow(room_messages, room_bytes)
                room_bytes = max(room_bytes, LEAST) if room_bytes else 0
            case "deliver" if server:
                number = data.draw(st.sampled_from(sorted(server)))
                left = server[number]
                if left[1] >= SIZE:
                    left[0], left[1] = left[0] - 1, left[1] - SIZE
                    room_messages, room_bytes = room_messages - 1, room_bytes - SIZE
                    pulls.arrived(1, SIZE)
                if left[0] == 0 or left[1] < SIZE:
                    pulls.ended(number, *server.pop(number))
            case "expire" if server:
                number = data.draw(st.sampled_from(sorted(server)))
                pulls.ended(number, *server.pop(number))
            case _:
                pass
        for pull in drawn(pulls):
            server[pull.number] = [pull.messages, pull.max_bytes]
            assert sum(left[0] for left in server.values()) <= room_messages
            assert sum(left[1] for left in server.values()) <= room_bytes
        assert len(server) <= MOST_OPEN
        assert pulls.messages == sum(left[0] for left in server.values())
        assert pulls.bytes == sum(left[1] for left in server.values())
