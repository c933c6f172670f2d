"""Pairings as rows.  Each change takes the row, asks the state machine, and writes what it says."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from django.db import transaction
from django.db.models import Q

from acl.models import Principal
from discovery.core import pairing as machine
from discovery.core.commitment import decoded, encoded
from discovery.core.errors import NoSuchPairing, WrongState
from discovery.core.pairing import Pairing, State, Way
from discovery.models import OfferRow, PairingRow

_KEPT = datetime.timedelta(days=30)
_BYTES = ("commit", "our_nonce", "their_nonce", "start", "answer", "transcript")
_OPEN = [state.value for state in machine.OPEN]


def value_of(row: PairingRow) -> Pairing:
    """Return the row as the state machine takes it."""
    return Pairing(
        Way(row.way),
        row.outgoing,
        State(row.state),
        row.deadline,
        decoded(row.sid),
        decoded(row.our_key),
        decoded(row.their_key),
        problem=row.problem,
        **{name: bytes(getattr(row, name)) for name in _BYTES},
    )


def write(row: PairingRow, pairing: Pairing, now: datetime.datetime) -> PairingRow:
    """Save what the state machine has said."""
    row.way, row.outgoing, row.state = pairing.way.value, pairing.outgoing, pairing.state.value
    row.deadline, row.problem = pairing.deadline, pairing.problem
    row.sid = encoded(pairing.sid)
    row.our_key, row.their_key = encoded(pairing.our_key), encoded(pairing.their_key)
    for name in _BYTES:
        setattr(row, name, getattr(pairing, name))
    if not pairing.is_open and row.ended_at is None:
        row.ended_at = min(now, pairing.deadline)
    row.save()
    return row


@transaction.atomic
def add_pairing(pairing: Pairing, now: datetime.datetime, **facts: Any) -> PairingRow:
    """Make a row; raises WrongState for a session id that was used before."""
    if PairingRow.objects.filter(sid=encoded(pairing.sid)).exists():
        raise WrongState
    return write(PairingRow(created_at=now, look_at=now, **facts), pairing, now)


@transaction.atomic
def change(
    number: int, by: Callable[[Pairing], Pairing], now: datetime.datetime, **facts: Any
) -> PairingRow:
    """Let the state machine change a pairing; raises NoSuchPairing, and what it raises."""
    row = locked(number)
    for name, value in facts.items():
        setattr(row, name, value)
    return write(row, by(value_of(row)), now)


def locked(number: int) -> PairingRow:
    """Return a row that nobody else changes in this transaction; raises NoSuchPairing."""
    row = PairingRow.objects.select_for_update().filter(pk=number).first()
    if row is None:
        raise NoSuchPairing
    return row


def note(number: int, **facts: Any) -> PairingRow:
    """Set facts that the state machine does not know of, and return the row."""
    PairingRow.objects.filter(pk=number).update(**facts)
    return get_pairing(number)


def forget(number: int) -> None:
    """Delete a pairing that has come to nothing."""
    PairingRow.objects.filter(pk=number).delete()


def get_pairing(number: int) -> PairingRow:
    """Return one; raises NoSuchPairing."""
    row = PairingRow.objects.filter(pk=number).first()
    if row is None:
        raise NoSuchPairing
    return row


def by_sid(sid: bytes, their_key: str) -> PairingRow:
    """Return the incoming pairing of a session and of whoever began it; raises WrongState."""
    row = PairingRow.objects.filter(sid=encoded(sid), their_key=their_key, outgoing=False).first()
    if row is None:
        raise WrongState
    return row


def open_with(their_key: str) -> PairingRow | None:
    """Return the comparison that runs with this hub."""
    row: PairingRow | None = comparisons().filter(their_key=their_key, state__in=_OPEN).first()
    return row


def comparisons() -> Any:
    """Return all comparisons."""
    return PairingRow.objects.filter(way__in=[Way.COMPARISON.value, Way.NEARBY.value])


def list_pairings() -> list[PairingRow]:
    """Return all, the newest first."""
    return list(PairingRow.objects.all())


def due(now: datetime.datetime, limit: int) -> list[PairingRow]:
    """Return outgoing pairings that wait for the other side and are to be asked about now."""
    waiting = Q(outgoing=True, state__in=_OPEN, look_at__lte=now)
    return list(PairingRow.objects.filter(waiting).order_by("look_at")[:limit])


def settle(now: datetime.datetime) -> None:
    """Note what has expired."""
    for row in PairingRow.objects.filter(state__in=_OPEN, deadline__lte=now):
        change(row.pk, lambda pairing: machine.settled(pairing, now), now)


def forget_old(now: datetime.datetime) -> None:
    """Delete what ended long ago.

    Session ids are remembered, and failures count, for as long.
    """
    for old in (
        PairingRow.objects.filter(ended_at__lt=now - _KEPT),
        OfferRow.objects.filter(expires_at__lt=now - _KEPT),
    ):
        if old.exists():  # To delete nothing would lock the database all the same.
            old.delete()


def is_revoked(keys: Iterable[str]) -> bool:
    """Tell whether one of these keys was revoked by the owner."""
    return Principal.objects.filter(key__in=list(keys), revoked=True).exists()
