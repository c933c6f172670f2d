"""How Tor is here and what the owner wants of it: one row, and what has happened lately.

The keeper of tor writes how it is, the pages and commands what is wanted; everybody reads.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django.db import transaction

from discovery.core.onion import PORT
from discovery.models import TorEvent, TorState

_ONLY = 1
_MOST_EVENTS = 100


def tor() -> TorState:
    """Return the row, made if there is none."""
    row, _made = TorState.objects.get_or_create(pk=_ONLY)
    return row


def set_tor(**values: object) -> None:
    """Set fields of the row."""
    tor()
    TorState.objects.filter(pk=_ONLY).update(**values)


@transaction.atomic
def note_tor(now: datetime.datetime, what: str, more: str = "") -> None:
    """Add to what has happened; the oldest goes."""
    TorEvent.objects.create(at=now, what=what, more=more[:200])
    for old in TorEvent.objects.order_by("-pk")[_MOST_EVENTS:]:
        old.delete()


def tor_events(most: int = 20) -> Sequence[TorEvent]:
    """Return what has happened, the latest first."""
    return list(TorEvent.objects.order_by("-pk")[:most])


def onion_addresses() -> list[str]:
    """Return where this hub is reached through Tor, as `host:port`: nowhere, or at one address."""
    row = TorState.objects.filter(pk=_ONLY, wanted=True).first()
    return [f"{row.address}:{PORT}"] if row is not None and row.address else []
