"""The state machine of pairing: its table, its order, and what an attacker can do to it."""

from __future__ import annotations

import datetime
import random
from dataclasses import dataclass, field, replace

import pytest

from discovery.core import commitment as values
from discovery.core import pairing as machine
from discovery.core.errors import WrongState
from discovery.core.pairing import Event, Pairing, State, Trust, Way

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
K_I, K_R = b"i" * 32, b"r" * 32
CLOSED = set(State) - machine.OPEN


def after(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


def initiator(nonce: bytes = b"I" * 32, sid: bytes = b"s" * 16) -> Pairing:
    fresh = machine.opened(
        Way.COMPARISON, outgoing=True, sid=sid, our_key=K_I, their_key=K_R, now=NOW
    )
    return machine.committed(fresh, nonce)


def responder(commit: bytes, nonce: bytes = b"R" * 32, sid: bytes = b"s" * 16) -> Pairing:
    fresh = machine.opened(
        Way.COMPARISON, outgoing=False, sid=sid, our_key=K_R, their_key=K_I, now=NOW
    )
    return machine.responded(fresh, commit, nonce, b"start", b"answer")


def comparing() -> tuple[Pairing, Pairing]:
    one = initiator()
    other = responder(one.commit)
    one = machine.answered(one, other.our_nonce, b"start", b"answer")
    other = machine.reveal(other, one.our_nonce, NOW)
    return machine.step(one, Event.REVEALED, NOW), other


def test_both_sides_see_the_same_code() -> None:
    one, other = comparing()
    assert one.state is other.state is State.COMPARING
    assert one.code == other.code != ""


def test_both_sides_pair_when_both_people_say_yes() -> None:
    one, other = comparing()
    one = machine.step(one, Event.OURS, NOW)
    other = machine.confirm(other, one.transcript, NOW)
    assert (one.state, other.state) == (State.WAITING, State.REQUESTED)
    other = machine.step(other, Event.OURS, NOW)
    one = machine.step(one, Event.THEIRS, NOW)
    ends = [machine.step(side, Event.CARD, NOW) for side in (one, other)]
    assert [end.state for end in ends] == [State.PAIRED] * 2
    assert {end.trust for end in ends} == {Trust.VERIFIED}


def test_an_opened_commitment_to_another_nonce_fails_for_good() -> None:
    other = machine.reveal(responder(initiator().commit), b"X" * 32, NOW)
    assert (other.state, other.problem, other.code) == (State.FAILED, "bad_commitment", "")
    with pytest.raises(WrongState):
        machine.reveal(other, b"I" * 32, NOW)


@pytest.mark.parametrize("swapped", ["our_key", "their_key", "sid"])
def test_a_commitment_for_other_keys_or_another_session_fails(swapped: str) -> None:
    other = replace(responder(initiator().commit), **{swapped: b"x" * 32})
    assert machine.reveal(other, b"I" * 32, NOW).state is State.FAILED


def test_a_yes_to_something_else_fails_for_good() -> None:
    _, other = comparing()
    other = machine.confirm(other, b"x" * 32, NOW)
    assert (other.state, other.problem) == (State.FAILED, "codes_differ")


@pytest.mark.parametrize(("seconds", "state"), [(9, State.COMPARING), (10, State.EXPIRED)])
def test_the_commitment_is_opened_within_ten_seconds(seconds: int, state: State) -> None:
    one = initiator()
    other = machine.reveal(responder(one.commit), one.our_nonce, after(seconds))
    assert other.state is state


@pytest.mark.parametrize(("seconds", "state"), [(119, State.CONFIRMED), (120, State.EXPIRED)])
def test_both_say_yes_within_two_minutes_of_the_code(seconds: int, state: State) -> None:
    one, _ = comparing()
    one = machine.step(one, Event.OURS, after(60))
    assert machine.step(one, Event.THEIRS, after(seconds)).state is state


def test_messages_out_of_order_change_nothing() -> None:
    other = responder(initiator().commit)
    for early in (Event.THEIRS, Event.OURS, Event.CARD):
        with pytest.raises(WrongState):
            machine.step(other, early, NOW)
    one, other = comparing()
    with pytest.raises(WrongState):
        machine.reveal(other, one.our_nonce, NOW)
    with pytest.raises(WrongState):
        machine.answered(one, b"N" * 32, b"start", b"answer")


def test_an_initiator_takes_one_nonce_only() -> None:
    one = machine.answered(initiator(), b"R" * 32, b"start", b"answer")
    with pytest.raises(WrongState):
        machine.answered(one, b"S" * 32, b"start", b"answer")


@pytest.mark.parametrize("state", sorted(CLOSED))
@pytest.mark.parametrize("event", list(Event))
def test_what_is_over_stays_over(state: State, event: Event) -> None:
    with pytest.raises(WrongState):
        machine.step(replace(initiator(), state=state), event, NOW)


@pytest.mark.parametrize("state", sorted(machine.OPEN))
def test_what_is_open_can_be_refused_can_fail_and_expires(state: State) -> None:
    pairing = replace(initiator(), state=state)
    assert machine.step(pairing, Event.REFUSED, NOW).state is State.REJECTED
    assert machine.step(pairing, Event.BROKEN, NOW).state is State.FAILED
    assert machine.settled(pairing, pairing.deadline).state is State.EXPIRED
    assert machine.settled(pairing, NOW) is pairing


@pytest.mark.parametrize("way", [Way.QR, Way.INVITATION])
def test_a_code_or_invitation_needs_the_other_ones_yes(way: Way) -> None:
    outgoing, incoming = (
        machine.opened(way, outgoing=out, sid=b"", our_key=K_I, their_key=K_R, now=NOW)
        for out in (True, False)
    )
    assert (outgoing.state, incoming.state) == (State.WAITING, State.REQUESTED)
    assert machine.step(incoming, Event.OURS, NOW).state is State.CONFIRMED
    with pytest.raises(WrongState):
        machine.step(outgoing, Event.OURS, NOW)


def test_ways_end_as_the_design_says() -> None:
    ends = {way: opening.trust.value for way, opening in machine.WAYS.items()}
    assert ends == {
        Way.QR: "verified",
        Way.COMPARISON: "verified",
        Way.INVITATION: "introduced",
        Way.GROUP: "introduced",
        Way.NEARBY: "verified",
    }


def test_of_two_that_begin_at_once_one_goes_on() -> None:
    assert machine.stays_client(K_I, K_R) != machine.stays_client(K_R, K_I)


# -- everything at once ------------------------------------------------------------------------


@dataclass
class Side:
    """One hub, with a note of its own of what its owner has said."""

    pairing: Pairing
    said_yes: bool = False
    heard_yes: bool = False


@dataclass
class Storm:
    """Two hubs, and messages that come in any order, again, late, and changed."""

    source: random.Random
    one: Side = field(init=False)
    other: Side = field(init=False)
    now: float = 0

    def __post_init__(self) -> None:
        first = initiator(self.source.randbytes(32))
        self.one = Side(first)
        self.other = Side(responder(first.commit, self.source.randbytes(32)))

    def bytes_of(self, *likely: bytes) -> bytes:
        return self.source.choice([*likely, *likely, *likely, self.source.randbytes(32)])

    def happen(self) -> None:
        side = self.source.choice([self.one, self.other])
        self.now += self.source.choice([0, 0, 0, 1, 5, 60])
        event = self.source.choice([self.answer, self.reveal, self.yes, self.confirm, self.any])
        try:
            event(side)
        except WrongState:
            return

    def answer(self, _: Side) -> None:
        nonce = self.bytes_of(self.other.pairing.our_nonce)
        after_it = machine.answered(self.one.pairing, nonce, b"start", b"answer")
        self.one.pairing = machine.step(after_it, Event.REVEALED, after(self.now))

    def reveal(self, side: Side) -> None:
        nonce = self.bytes_of(self.one.pairing.our_nonce, self.other.pairing.our_nonce)
        side.pairing = machine.reveal(side.pairing, nonce, after(self.now))

    def yes(self, side: Side) -> None:
        if self.source.random() < 0.2:
            side.pairing = machine.step(side.pairing, Event.REFUSED, after(self.now))
            return
        side.pairing = machine.step(side.pairing, Event.OURS, after(self.now))
        side.said_yes = True

    def confirm(self, side: Side) -> None:
        peer = self.other if side is self.one else self.one
        transcript = self.bytes_of(peer.pairing.transcript)
        side.pairing = machine.confirm(side.pairing, transcript, after(self.now))
        side.heard_yes = side.heard_yes or side.pairing.state is not State.FAILED

    def any(self, side: Side) -> None:
        event = self.source.choice([Event.CARD, Event.CARD, Event.CARD, Event.LATE, Event.BROKEN])
        side.pairing = machine.step(side.pairing, event, after(self.now))

    def check(self) -> None:
        for side in (self.one, self.other):
            if side.pairing.state in (State.CONFIRMED, State.PAIRED):
                assert side.said_yes and side.heard_yes


def storms(count: int) -> list[Storm]:
    found = []
    for number in range(count):
        storm = Storm(random.Random(number))
        for _ in range(storm.source.randrange(4, 24)):
            storm.happen()
            storm.check()
        found.append(storm)
    return found


@pytest.mark.slow
def test_nobody_is_paired_without_both_yeses_in_ten_thousand_storms() -> None:
    found = storms(10_000)
    ends = {storm.one.pairing.state for storm in found}
    # A storm that never gets anywhere would prove nothing.
    assert ends >= {State.PAIRED, State.FAILED, State.REJECTED, State.EXPIRED}


# -- somebody in the middle --------------------------------------------------------------------

SMALL = 1000


def digits(k_i: bytes, k_r: bytes, n_i: bytes, n_r: bytes) -> int:
    said = values.transcript(b"s" * 16, k_i, k_r, n_i, n_r, b"", b"")
    return values.digits(said, SMALL)


def attack(source: random.Random, tries: int) -> bool:
    """Sit between both with keys of our own; `tries` nonces may be thought of before we commit.

    Towards the responder we commit before we see its nonce; towards the initiator we give ours
    before it opens its commitment.  So all that a middle can do is guess.
    """
    ours_i, ours_r = b"x" * 32, b"y" * 32
    n_i, n_r, m_r = (source.randbytes(32) for _ in range(3))
    committed = max(
        (source.randbytes(32) for _ in range(tries)), key=lambda nonce: nonce[0]
    )  # Any rule of choice is as good as another.
    return digits(K_I, ours_r, n_i, m_r) == digits(ours_i, K_R, committed, n_r)


@pytest.mark.slow
def test_a_man_in_the_middle_succeeds_once_in_a_thousand_at_modulus_1000() -> None:
    source = random.Random(7)
    successes = sum(attack(source, 2) for _ in range(20_000))
    # Twenty are expected; the standard deviation is 4.5.
    assert 4 <= successes <= 40


def test_without_the_commitment_a_man_in_the_middle_would_always_succeed() -> None:
    source = random.Random(7)
    n_i, n_r, m_r = (source.randbytes(32) for _ in range(3))
    wanted = digits(K_I, b"y" * 32, n_i, m_r)
    tries = (source.randbytes(32) for _ in range(20 * SMALL))
    assert any(digits(b"x" * 32, K_R, nonce, n_r) == wanted for nonce in tries)
