"""Pauses grow, and nobody keeps another waiting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replication.core import schedule
from replication.core.schedule import Due

dues = st.lists(
    st.builds(
        Due,
        number=st.integers(0, 10_000),
        peer=st.sampled_from("abcd"),
        rank=st.integers(0, 2),
        due_at=st.floats(0, 100),
    ),
    unique_by=lambda one: one.number,
    max_size=30,
)


def test_pauses_double_from_half_a_minute_to_eight_hours() -> None:
    usual = [schedule.pause(failures, 0.5) for failures in range(1, 13)]
    assert usual[:4] == [30, 60, 120, 240]
    assert usual[-2:] == [8 * 3600, 8 * 3600]
    assert schedule.pause(10_000, 0.5) == 8 * 3600


@given(st.integers(1, 50), st.floats(0, 1))
def test_jitter_spreads_a_pause_by_a_quarter(failures: int, jitter: float) -> None:
    usual = schedule.pause(failures, 0.5)
    assert 0.75 * usual <= schedule.pause(failures, jitter) <= 1.25 * usual


def test_who_ran_for_two_minutes_was_healthy() -> None:
    assert schedule.failures_now(7, 119) == 8
    assert schedule.failures_now(7, 120) == 1


@given(dues, st.integers(0, 12), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3)))
def test_there_is_never_more_than_there_is_room_for(
    due: list[Due], free: int, running: dict[str, int]
) -> None:
    chosen = schedule.choose(due, running, free)
    assert len(chosen) == len(set(chosen)) <= max(0, free)
    peers = {one.number: one.peer for one in due}
    for peer in "abcd":
        of_peer = sum(peers[number] == peer for number in chosen)
        if of_peer:
            assert of_peer + running.get(peer, 0) <= schedule.AT_ONCE_WITH_ONE_PEER


@given(dues, st.integers(1, 12))
def test_room_is_used(due: list[Due], free: int) -> None:
    chosen = schedule.choose(due, {}, free)
    peers = [one.peer for one in due]
    able = sum(min(peers.count(peer), schedule.AT_ONCE_WITH_ONE_PEER) for peer in set(peers))
    assert len(chosen) == min(free, able)


def test_priority_goes_first_then_the_peer_that_waits() -> None:
    due = [
        Due(1, "a", 1, 0.0),
        Due(2, "a", 1, 1.0),
        Due(3, "b", 1, 2.0),
        Due(4, "b", 0, 9.0),
    ]
    assert schedule.choose(due, {}, 3) == [4, 1, 2]
    assert schedule.choose(due[:3], {}, 2) == [1, 3]
