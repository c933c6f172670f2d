"""Whether others can reach this hub through Tor: it tries itself, by its own onion address.

What answers shows our own key, and that is where the connection ends.  So a test says nothing to
anybody, and needs nobody else.
"""

from __future__ import annotations

import asyncio
import datetime
import time

from asgiref.sync import sync_to_async

from discovery import store
from discovery.core.addresses import Address
from discovery.core.errors import DiscoveryError, OurselvesError, TorOff
from discovery.core.onion import State
from discovery.dialer import dial
from discovery.store import TorState

_EVERY = datetime.timedelta(minutes=15)
_AFTER_FAILURE = datetime.timedelta(minutes=1)
_PAUSES = (1.0, 3.0)
"""Seconds before the next tries of one test: what was published just now takes a moment."""
_MOST_FAILURES = 3
"""After so many in a row the service is published again."""


def is_due(row: TorState | None, now: datetime.datetime) -> bool:
    """Tell whether our service, if it is published, is to be tested now."""
    if row is None or not row.wanted or row.state != State.PUBLISHED:
        return False
    if row.tested_at is None or (row.published_at is not None and row.tested_at < row.published_at):
        return True
    return now - row.tested_at >= (_AFTER_FAILURE if row.problem else _EVERY)


async def reach_ourselves(now: datetime.datetime) -> str:
    """Connect to our own onion address, and note how that went; returns why not, or nothing."""
    texts = await sync_to_async(store.onion_addresses)()
    began = time.monotonic()
    problem = await _problem([Address.parse(text) for text in texts])
    for pause in _PAUSES:
        if problem in ("", TorOff.reason):
            break
        await asyncio.sleep(pause)
        began = time.monotonic()
        problem = await _problem([Address.parse(text) for text in texts])
    taken = round((time.monotonic() - began) * 1000)
    await sync_to_async(_note)(problem, taken, now)
    return problem


async def _problem(addresses: list[Address]) -> str:
    if not addresses:
        return TorOff.reason
    try:
        async with dial(None, addresses):
            return "Another hub answers at this address."
    except OurselvesError:
        return ""
    except DiscoveryError as error:
        return error.reason


def _note(problem: str, milliseconds: int, now: datetime.datetime) -> None:
    row = store.tor()
    failures = row.failures + 1 if problem else 0
    again = bool(problem) and failures % _MOST_FAILURES == 0
    if problem or row.problem or row.answered_ms is None:
        store.note_tor(now, "unreachable" if problem else "reached", problem)
    store.set_tor(
        tested_at=now,
        answered_ms=None if problem else milliseconds,
        problem=problem[:200],
        failures=failures,
        **({"again": True} if again else {}),
    )
