"""Follows the pairings that this hub has begun, so that nothing depends on a page that is open.

A message only says "look": which pairings wait stands in the rows, and a message that was lost
costs the seconds until the next beat.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading

from asgiref.sync import async_to_sync
from celery import shared_task
from django.utils import timezone

from acl.core.errors import HubError
from discovery import pairing, reaching, store
from discovery.core import pairing as machine
from discovery.core.errors import NoSuchPairing
from discovery.pairing import telling

_AT_ONCE = 8
_FOLLOWED_AT_ONCE = 2
_LOOKS = 3
_WAIT_SECONDS = 20

_room = threading.BoundedSemaphore(_FOLLOWED_AT_ONCE)


@shared_task(ignore_result=True)
def follow(number: int) -> None:
    """Wait with the other hub for its owner's answer, for about a minute.

    Other work needs the worker's threads too: while two are followed, the beat sees to the rest.
    """
    if not _room.acquire(blocking=False):
        return
    try:
        for _ in range(_LOOKS):
            row = async_to_sync(pairing.refresh)(number, timezone.now(), _WAIT_SECONDS)
            if not row.outgoing or row.state not in machine.OPEN:
                return
    except NoSuchPairing:
        return
    finally:
        _room.release()


@shared_task(ignore_result=True)
def look() -> None:
    """Ask about everything that waits and is due, and note what has expired."""
    now = timezone.now()
    store.settle(now)
    store.forget_old(now)
    numbers = [row.pk for row in store.due(now, _AT_ONCE)]
    if numbers:
        async_to_sync(_look_at)(numbers)


async def _look_at(numbers: list[int]) -> None:
    await asyncio.gather(*(pairing.refresh(number, timezone.now()) for number in numbers))


@shared_task(ignore_result=True)
def reach_ourselves() -> None:
    """Test whether others reach this hub through Tor."""
    async_to_sync(reaching.reach_ourselves)(timezone.now())


@shared_task(ignore_result=True)
def look_after_tor() -> None:
    """Test it where that is due: once it is published, by schedule, and soon after a failure."""
    row = store.tor_or_none()
    if row is None or not row.wanted:
        return
    if reaching.is_due(row, timezone.now()):
        reach_ourselves()
    tell_contacts()


@shared_task(ignore_result=True)
def tell_contacts() -> None:
    """Send our card to contacts who have another one."""
    with contextlib.suppress(HubError):  # It cannot be signed here, or names no address yet.
        async_to_sync(telling.tell_contacts)(timezone.now())
