"""The window in which this hub compares codes: one commitment for each arming.

A comparison that fails counts, on whichever side it failed (`discovery/core/attempts.py`).
"""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction

from discovery.core import attempts
from discovery.core import pairing as machine
from discovery.core.errors import Locked, NotArmed, WrongState
from discovery.core.pairing import Pairing, State
from discovery.models import Arming, PairingRow
from discovery.store.pairings import add_pairing, comparisons, settle, value_of

_ONLY = 1
_WINDOW = datetime.timedelta(seconds=machine.ARMED_SECONDS)
_FAILED = [State.FAILED.value, State.EXPIRED.value, State.REJECTED.value]


@transaction.atomic
def arm(now: datetime.datetime) -> datetime.datetime:
    """Open the window, and return when it closes; raises Locked, WrongState while one compares."""
    check_lock(now)
    if _running(now) is not None:
        raise WrongState
    until = now + _WINDOW
    Arming.objects.update_or_create(pk=_ONLY, defaults={"until": until, "used": False})
    return until


def disarm() -> None:
    """Close the window."""
    Arming.objects.all().delete()


def armed_until(now: datetime.datetime) -> datetime.datetime | None:
    """Return when the open window closes; None where none is open."""
    row = Arming.objects.filter(until__gt=now, used=False).first()
    return row.until if row else None


def locked_until(now: datetime.datetime) -> datetime.datetime | None:
    """Return until when no code can be compared, after too many failures."""
    settle(now)
    failed = comparisons().filter(state__in=_FAILED, ended_at__gt=now - attempts.REMEMBERED)
    return attempts.locked_until(list(failed.values_list("ended_at", flat=True)), now)


@transaction.atomic
def begin(pairing: Pairing, now: datetime.datetime, **facts: Any) -> PairingRow:
    """Spend the arming on this comparison.

    Raises NotArmed, Locked, and WrongState while another one runs or for a session id that was
    used before.  Of two hubs that begin at once, the one with the smaller key goes on.
    """
    check_lock(now)
    running = _running(now)
    if running is not None and not _gives_way(running, pairing):
        raise WrongState
    arming = Arming.objects.select_for_update().filter(until__gt=now).first()
    if arming is None or (arming.used and running is None):
        raise NotArmed
    if running is not None:
        running.delete()
    arming.used = True
    arming.save()
    return add_pairing(pairing, now, **facts)


@transaction.atomic
def release(number: int) -> None:
    """Give the arming back: the other side has refused to begin, and has seen no nonce of ours."""
    deleted, _ = PairingRow.objects.filter(pk=number).delete()
    if deleted:
        Arming.objects.update(used=False)


def is_comparing(now: datetime.datetime) -> bool:
    """Tell whether a comparison runs."""
    return bool(comparisons().filter(state__in=machine.OPEN, deadline__gt=now).exists())


def check_lock(now: datetime.datetime) -> None:
    """Raise Locked after too many failures."""
    until = locked_until(now)
    if until is not None:
        raise Locked(f"{Locked.reason} You can compare again after {until:%Y-%m-%d %H:%M} UTC.")


def _running(now: datetime.datetime) -> PairingRow | None:
    found = comparisons().select_for_update().filter(state__in=machine.OPEN, deadline__gt=now)
    row: PairingRow | None = found.first()
    return row


def _gives_way(row: PairingRow, incoming: Pairing) -> bool:
    ours = value_of(row)
    return (
        ours.outgoing
        and not incoming.outgoing
        and ours.state is State.STARTING
        and not ours.answer
        and ours.their_key == incoming.their_key
        and not machine.stays_client(ours.our_key, ours.their_key)
    )
