"""The window for comparing: one commitment, and who goes on where both begin at once."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest

from discovery import store
from discovery.core import pairing as machine
from discovery.core.errors import Locked, NotArmed, WrongState
from discovery.core.pairing import Pairing, State, Way
from discovery.tests.conftest import NOW, OurHub

SMALL, LARGE = b"\x01" * 32, b"\xfe" * 32


def comparison(sid: int, *, outgoing: bool, ours: bytes = LARGE, theirs: bytes = SMALL) -> Pairing:
    return machine.opened(
        Way.COMPARISON,
        outgoing=outgoing,
        sid=bytes([sid]) * 16,
        our_key=ours,
        their_key=theirs,
        now=NOW,
    )


def begin(pairing: Pairing, now: datetime.datetime = NOW) -> store.PairingRow:
    return store.begin(pairing, now, key="k" * 43)


def test_a_comparison_needs_an_open_window(clean: OurHub) -> None:
    with pytest.raises(NotArmed):
        begin(comparison(1, outgoing=False))
    until = store.arm(NOW)
    assert until - NOW == datetime.timedelta(seconds=120)
    with pytest.raises(NotArmed):
        begin(comparison(1, outgoing=False), until)
    begin(comparison(1, outgoing=False))
    assert store.armed_until(NOW) is None


def test_the_window_can_be_closed(clean: OurHub) -> None:
    store.arm(NOW)
    store.disarm()
    with pytest.raises(NotArmed):
        begin(comparison(1, outgoing=False))


def test_one_comparison_at_a_time(clean: OurHub) -> None:
    store.arm(NOW)
    begin(comparison(1, outgoing=False))
    with pytest.raises(WrongState):
        begin(comparison(2, outgoing=False))
    with pytest.raises(WrongState):
        store.arm(NOW)


def test_where_both_begin_at_once_the_larger_key_gives_way(clean: OurHub) -> None:
    store.arm(NOW)
    ours = begin(comparison(1, outgoing=True))
    theirs = begin(comparison(2, outgoing=False))
    assert [row.pk for row in store.list_pairings()] == [theirs.pk]
    store.release(ours.pk)  # Our message is refused afterwards: nothing is given back.
    assert store.armed_until(NOW) is None


def test_where_both_begin_at_once_the_smaller_key_goes_on(clean: OurHub) -> None:
    store.arm(NOW)
    ours = begin(comparison(1, outgoing=True, ours=SMALL, theirs=LARGE))
    with pytest.raises(WrongState):
        begin(comparison(2, outgoing=False, ours=SMALL, theirs=LARGE))
    assert [row.pk for row in store.list_pairings()] == [ours.pk]


def test_a_third_hub_never_takes_the_place_of_ours(clean: OurHub) -> None:
    store.arm(NOW)
    begin(comparison(1, outgoing=True))
    with pytest.raises(WrongState):
        begin(comparison(2, outgoing=False, theirs=b"\x02" * 32))


def test_our_commitment_is_kept_once_their_nonce_is_seen(clean: OurHub) -> None:
    store.arm(NOW)
    row = begin(comparison(1, outgoing=True))
    store.change(row.pk, lambda p: machine.answered(p, b"n" * 32, b"start", b"answer"), NOW)
    with pytest.raises(WrongState):
        begin(comparison(2, outgoing=False))


def test_a_refused_beginning_gives_the_window_back(clean: OurHub) -> None:
    until = store.arm(NOW)
    store.release(begin(comparison(1, outgoing=True)).pk)
    assert store.armed_until(NOW) == until
    assert store.list_pairings() == []


def fail(sid: int, at: datetime.datetime) -> None:
    store.arm(at)
    row = begin(machine.settled(comparison(sid, outgoing=False), NOW), at)
    store.change(row.pk, lambda p: machine.step(p, machine.Event.REFUSED, NOW), at)


def test_three_failures_lock_for_ten_minutes(clean: OurHub) -> None:
    for sid in range(3):
        fail(sid, NOW)
    with pytest.raises(Locked, match="00:10"):
        store.arm(NOW)
    later = NOW + datetime.timedelta(minutes=10)
    assert store.arm(later) > later


def test_what_expires_counts_as_a_failure(clean: OurHub) -> None:
    for sid in range(3):
        at = NOW + datetime.timedelta(seconds=130 * sid)
        store.arm(at)
        opened: Any = comparison(sid, outgoing=False)
        begin(replace(opened, deadline=at + datetime.timedelta(seconds=10)), at)
    end = NOW + datetime.timedelta(seconds=300)
    store.settle(end)
    assert {row.state for row in store.list_pairings()} == {State.EXPIRED}
    assert store.locked_until(end) is not None


def test_a_session_id_is_remembered_after_its_end(clean: OurHub) -> None:
    fail(1, NOW)
    store.arm(NOW)
    with pytest.raises(WrongState):
        begin(comparison(1, outgoing=False))


def test_what_ended_long_ago_is_forgotten(clean: OurHub) -> None:
    fail(1, NOW)
    store.forget_old(NOW + datetime.timedelta(days=29))
    assert len(store.list_pairings()) == 1
    store.forget_old(NOW + datetime.timedelta(days=31))
    assert store.list_pairings() == []
