"""Keeps the hub's own databases, for as long as the hub runs.

`me` has what the owner's friends may know (the contact card), `inbox` takes what they send
unasked; `_replicator` is there as soon as there are applications, for what they want replicated.
The first two are shared with the group “friends” once, when they are made: what the owner changes
of that afterwards stays so.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial

from asgiref.sync import sync_to_async
from django.utils import timezone

from acl import gate, sql
from acl import store as acl_store
from acl.core.errors import AlreadyThere
from acl.core.policy import ADDRESSBOOK, REPLICATOR
from acl.store import Own
from couchapi import wakeups
from couchapi.core.errors import FileExists
from couchapi.store import databases
from replication.books import addressbook, card
from replication.books.names import FRIENDS, INBOX, ME

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_TURN_SECONDS = 30.0
_ASK_SECONDS = 3600.0
_AFTER_FAILURE_SECONDS = 10.0
_MOST_TURNS = 5
_POLICY = "lww"


async def keep(own: Callable[[], Awaitable[Own]]) -> None:
    """Keep them until cancelled; `own` tells what this hub is called now."""
    with wakeups.listening(ADDRESSBOOK) as waiter:
        while True:
            try:
                seen = await gate.acl_version()
                await keep_once(await own())
                await _something_new(waiter, seen)
            except Exception as error:  # The outermost line of a process with other work, too.
                said = "The hub's own databases could not be kept; trying again."
                await sql.recover(logger, error, said)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)


async def ask_friends() -> None:
    """Ask friends for their newest cards, from time to time, until cancelled."""
    while True:
        try:
            await card.ask_friends(timezone.now())
        except Exception as error:  # The outermost line, as above.
            said = "Friends could not be asked for their cards; trying again."
            await sql.recover(logger, error, said)
        await asyncio.sleep(_ASK_SECONDS)


async def _something_new(waiter: wakeups.Waiter, seen: int) -> None:
    """Wait until the address book or the ACLs have changed, or for a while: more may have."""
    end = time.monotonic() + _TURN_SECONDS
    while not await waiter.wait(_LOOK_SECONDS) and time.monotonic() < end:
        if await gate.acl_version() != seen:
            return


async def keep_once(own: Own) -> None:
    """Make what is missing, and the address book agree with the tables."""
    made = [name for name in (ADDRESSBOOK, ME, INBOX) if await _made(name)]
    if await sync_to_async(_has_applications)():
        # There they write what they want replicated.
        await _made(REPLICATOR)
    await sync_to_async(_share)(made)
    await card.publish(timezone.now())
    for _ in range(_MOST_TURNS):  # One more where an entry named another that came after it.
        if not await addressbook.put_in_step(own, timezone.now()):
            return


def _has_applications() -> bool:
    return any(one.kind == "application" for one in acl_store.list_principals())


async def _made(name: str) -> bool:
    if name in await sql.scan(databases.names):
        return False
    make = partial(databases.create, name=name, policy=_POLICY, epoch=secrets.token_hex(4))
    try:
        await sql.write(make)
    except FileExists:  # By another process, in this moment.
        return False
    return True


def _share(made: list[str]) -> None:
    if not made:
        return
    try:
        acl_store.add_group(FRIENDS)
    except AlreadyThere:
        logger.info("The name “%s” is in use: it is not given to a new group.", FRIENDS)
    if FRIENDS not in {name for name, _members in acl_store.list_groups()}:
        return
    if ME in made:
        acl_store.add_grant(ME, FRIENDS, read=True, write=False)
    if INBOX in made:
        acl_store.add_grant(INBOX, FRIENDS, read=False, write=True)
