"""Pairing: how two hubs come to know each other's identity.  One state machine for five ways.

Every way ends with one contact card, pinned, and only after *both* people have said yes.  What is a
yes differs: whoever scans a code or opens an invitation has said it by that, the other one accepts;
of a comparison both say that the six digits match; the card of a group is vouched for by whoever
published it, and the owner picks it.  Which ways begin where stands in WAYS at the end, which event
leads where in NEXT.  The six digits need their values in a fixed order besides (commit, the peer's
nonce, reveal): `reveal` and `confirm` check them, and what is wrong ends the pairing for good.

Nothing here asks a clock or makes a random value: both are arguments (design/pairing.md).
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from discovery.core import commitment as values
from discovery.core.errors import (
    BadCommitment,
    CodesDiffer,
    DiscoveryError,
    KeyChanged,
    UsedTwice,
    WrongState,
)

REVEAL_SECONDS: Final = 10
CONFIRM_SECONDS: Final = 120
ARMED_SECONDS: Final = 120
CARD_SECONDS: Final = 600


class Way(StrEnum):
    """How two hubs meet."""

    QR = "qr"
    COMPARISON = "comparison"
    INVITATION = "invitation"
    GROUP = "group"
    NEARBY = "nearby"


class Trust(StrEnum):
    """What a contact's key is worth."""

    INTRODUCED = "introduced"
    """The key came over a channel that nobody has verified."""
    VERIFIED = "verified"
    """The key was confirmed in person."""


class State(StrEnum):
    """Where a pairing is, as this side sees it."""

    STARTING = "starting"
    """A commitment is given, and not opened yet."""
    COMPARING = "comparing"
    """Both hubs show six digits; nobody has said anything."""
    WAITING = "waiting"
    """We have said yes; the other side has not."""
    REQUESTED = "requested"
    """The other side has said yes; our owner has not."""
    CONFIRMED = "confirmed"
    """Both have said yes; the cards are to be exchanged."""
    PAIRED = "paired"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"
    """Something was wrong: `problem` says what, and it is shown in red."""


class Event(StrEnum):
    """What happens to a pairing."""

    REVEALED = "revealed"
    OURS = "ours"
    """Our owner says yes."""
    THEIRS = "theirs"
    """The other side says yes."""
    CARD = "card"
    """The other side's card is here, and is of its identity."""
    REFUSED = "refused"
    LATE = "late"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Pairing:
    """One pairing on one side.  `start` and `answer` are the bodies that opened it, as sent."""

    way: Way
    outgoing: bool
    state: State
    deadline: datetime.datetime
    sid: bytes
    our_key: bytes
    their_key: bytes
    commit: bytes = b""
    our_nonce: bytes = b""
    their_nonce: bytes = b""
    start: bytes = b""
    answer: bytes = b""
    transcript: bytes = b""
    problem: str = ""

    @property
    def is_open(self) -> bool:
        """Whether anything can still happen to it."""
        return self.state in OPEN

    @property
    def code(self) -> str:
        """The six digits, once both hubs can know them."""
        return values.code(self.transcript) if self.transcript else ""

    @property
    def trust(self) -> Trust:
        """What the contact's key will be worth."""
        return WAYS[self.way].trust


def opened(
    way: Way,
    *,
    outgoing: bool,
    sid: bytes,
    our_key: bytes,
    their_key: bytes,
    now: datetime.datetime,
) -> Pairing:
    """Return a new pairing; both keys are those of the TLS connection."""
    opening = WAYS[way]
    state = opening.outgoing if outgoing else opening.incoming
    deadline = now + datetime.timedelta(seconds=opening.seconds)
    return Pairing(way, outgoing, state, deadline, sid, our_key, their_key)


def step(pairing: Pairing, event: Event, now: datetime.datetime) -> Pairing:
    """Return the pairing after `event`; after its deadline it has expired, whatever the event.

    Raises WrongState, which changes nothing.
    """
    if pairing.is_open and now >= pairing.deadline:
        return replace(pairing, state=State.EXPIRED)
    after = NEXT.get((pairing.state, event))
    if after is None:
        raise WrongState
    # The first yes gives the second one no more time.
    room = ROOM.get(after)
    deadline = now + datetime.timedelta(seconds=room) if room else pairing.deadline
    return replace(pairing, state=after, deadline=deadline)


def settled(pairing: Pairing, now: datetime.datetime) -> Pairing:
    """Return the pairing as it is at `now`: what came to its deadline has expired."""
    late = pairing.is_open and now >= pairing.deadline
    return replace(pairing, state=State.EXPIRED) if late else pairing


def broken(pairing: Pairing, error: type[DiscoveryError], now: datetime.datetime) -> Pairing:
    """Return the pairing after something was wrong."""
    return replace(step(pairing, Event.BROKEN, now), problem=_WORDS[error])


def ended_by(pairing: Pairing, error: DiscoveryError, now: datetime.datetime) -> Pairing:
    """Return the pairing after `error`: failed in red for what somebody may have done to it."""
    if type(error) in _WORDS:
        return broken(pairing, type(error), now)
    return step(pairing, Event.REFUSED, now)


def error_of(pairing: Pairing) -> DiscoveryError:
    """Return what there is to say of a pairing that went wrong."""
    return _PROBLEMS.get(pairing.problem, WrongState)()


def committed(pairing: Pairing, nonce: bytes) -> Pairing:
    """Return the initiator's pairing with the commitment to its nonce."""
    commit = values.commitment(pairing.sid, pairing.our_key, pairing.their_key, nonce)
    return replace(pairing, our_nonce=nonce, commit=commit)


def answered(pairing: Pairing, nonce: bytes, start: bytes, answer: bytes) -> Pairing:
    """Return the initiator's pairing after the responder gave its nonce."""
    if not pairing.outgoing or pairing.state is not State.STARTING or pairing.answer:
        raise WrongState
    return _said(replace(pairing, their_nonce=nonce, start=start, answer=answer))


def responded(
    pairing: Pairing, commit: bytes, nonce: bytes, start: bytes, answer: bytes
) -> Pairing:
    """Return the responder's pairing after it took a commitment and gave its own nonce."""
    return replace(pairing, commit=commit, our_nonce=nonce, start=start, answer=answer)


def reveal(pairing: Pairing, nonce: bytes, now: datetime.datetime) -> Pairing:
    """Return the responder's pairing after the initiator opened its commitment.

    It has failed where the commitment was to another nonce.
    """
    after = step(pairing, Event.REVEALED, now)
    if after.state is State.EXPIRED:
        return after
    promised = values.commitment(pairing.sid, pairing.their_key, pairing.our_key, nonce)
    if not values.same(promised, pairing.commit):
        return broken(pairing, BadCommitment, now)
    return _said(replace(after, their_nonce=nonce))


def confirm(pairing: Pairing, transcript: bytes, now: datetime.datetime) -> Pairing:
    """Return the responder's pairing after the other side said yes to what it has seen.

    It has failed where the other side saw something else.
    """
    after = step(pairing, Event.THEIRS, now)
    if after.state is not State.EXPIRED and not values.same(transcript, pairing.transcript):
        return broken(pairing, CodesDiffer, now)
    return after


def stays_client(our_key: bytes, their_key: bytes) -> bool:
    """Tell who goes on where both hubs began at once: the one with the smaller key."""
    return our_key < their_key


def _said(pairing: Pairing) -> Pairing:
    ours, theirs = (pairing.our_key, pairing.our_nonce), (pairing.their_key, pairing.their_nonce)
    (k_i, n_i), (k_r, n_r) = (ours, theirs) if pairing.outgoing else (theirs, ours)
    return replace(
        pairing,
        transcript=values.transcript(
            pairing.sid, k_i, k_r, n_i, n_r, pairing.start, pairing.answer
        ),
    )


class Opening(NamedTuple):
    """One way: the state in which each side begins, what it ends as, and how long it may last."""

    outgoing: State
    incoming: State
    trust: Trust
    seconds: int


_HOUR = 3600

WAYS: Final = {
    # Whoever shows the code is asked; whoever scanned it has said yes.
    Way.QR: Opening(State.WAITING, State.REQUESTED, Trust.VERIFIED, _HOUR // 4),
    Way.COMPARISON: Opening(State.STARTING, State.STARTING, Trust.VERIFIED, REVEAL_SECONDS),
    Way.INVITATION: Opening(State.WAITING, State.REQUESTED, Trust.INTRODUCED, 7 * 24 * _HOUR),
    # Whoever published the group has vouched; there is nobody to wait for.
    Way.GROUP: Opening(State.REQUESTED, State.REQUESTED, Trust.INTRODUCED, _HOUR),
    Way.NEARBY: Opening(State.STARTING, State.STARTING, Trust.VERIFIED, REVEAL_SECONDS),
}

ROOM: Final = {State.COMPARING: CONFIRM_SECONDS, State.CONFIRMED: CARD_SECONDS}
"""Seconds until the deadline of a state that has one of its own."""

OPEN: Final = frozenset(
    {State.STARTING, State.COMPARING, State.WAITING, State.REQUESTED, State.CONFIRMED}
)

_WORDS: Final[dict[type[DiscoveryError], str]] = {
    BadCommitment: "bad_commitment",
    CodesDiffer: "codes_differ",
    KeyChanged: "key_changed",
    UsedTwice: "used_twice",
}
_PROBLEMS: Final = {word: error for error, word in _WORDS.items()}

NEXT: Final = {
    (State.STARTING, Event.REVEALED): State.COMPARING,
    (State.COMPARING, Event.OURS): State.WAITING,
    (State.COMPARING, Event.THEIRS): State.REQUESTED,
    (State.WAITING, Event.THEIRS): State.CONFIRMED,
    (State.REQUESTED, Event.OURS): State.CONFIRMED,
    (State.CONFIRMED, Event.CARD): State.PAIRED,
    **{(state, Event.REFUSED): State.REJECTED for state in OPEN},
    **{(state, Event.LATE): State.EXPIRED for state in OPEN},
    **{(state, Event.BROKEN): State.FAILED for state in OPEN},
}
