"""Pairing, as the owner does it: what the pages and the commands call.

Everything that lasts is a row (`discovery.store`), so a page, a command and the worker see the
same.  `outgoing` speaks to other hubs, `incoming` answers them, `ourselves` is what we show.  What
is refused says why in words for a person (`discovery/core/errors.py`).

A scanned code and a pasted link carry the same text.  Only the owner knows whether it came from
the other person's screen: `scanned` says so, and the contact is *verified*; else *introduced*.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from celery import current_app
from channels.db import database_sync_to_async as in_database
from django.conf import settings
from kombu.exceptions import OperationalError

from acl import identity
from acl import store as people
from acl.core import certs
from acl.core.errors import HubError, KeyFormatError, NoSuchHolder, RefusedError
from acl.core.keys import key_hash, parse_any
from discovery import store
from discovery.core import card as cards
from discovery.core import commitment as values
from discovery.core import invitation as invitations
from discovery.core import pairing as machine
from discovery.core.addresses import Address
from discovery.core.card import Card
from discovery.core.errors import InvitationError, KeyChanged, PairingError, UnreachableError
from discovery.core.invitation import DEVICE, FRIEND, Invitation
from discovery.core.pairing import Event, State, Way
from discovery.pairing import ourselves, outgoing, telling
from discovery.store import Clash, Contact, DeviceLine, PairingRow, Sighting

__all__ = [
    "Offer",
    "accept",
    "approve",
    "arm",
    "clashes",
    "compare",
    "disarm",
    "dismiss",
    "ignore",
    "import_group",
    "introduce",
    "invite",
    "list_devices",
    "nearby",
    "offer",
    "own_card",
    "publish_group",
    "read",
    "receive_card",
    "refresh",
    "reject",
    "revoke_device",
    "withdraw",
]

QR_SECONDS = 300
_LONGEST_INVITATION = 30 * 24 * 60
_QUICK, _SLOW = datetime.timedelta(seconds=5), datetime.timedelta(minutes=5)


class Offer(NamedTuple):
    """A code or an invitation of ours: `url` is for a QR code or a mail, `text` for a file."""

    id: int
    url: str
    expires: datetime.datetime
    text: str


# -- codes and invitations -----------------------------------------------------------------------


async def offer(now: datetime.datetime, *, purpose: str = FRIEND) -> Offer:
    """Make a code for the screen: it works once, for five minutes; withdraw it with the page."""
    expires = now + datetime.timedelta(seconds=QR_SECONDS)
    return await in_database(_offer)(Way.QR, purpose, expires)


async def invite(now: datetime.datetime, *, purpose: str = FRIEND, minutes: int = 24 * 60) -> Offer:
    """Make an invitation that works once; raises RefusedError for more than 30 days."""
    if not 1 <= minutes <= _LONGEST_INVITATION:
        raise RefusedError("An invitation lasts from one minute to 30 days.")
    expires = now + datetime.timedelta(minutes=minutes)
    return await in_database(_offer)(Way.INVITATION, purpose, expires)


def _offer(way: Way, purpose: str, expires: datetime.datetime) -> Offer:
    if purpose not in invitations.PURPOSES:
        raise RefusedError("An invitation is for a friend or for a device.")
    if purpose == DEVICE and not identity.has_identity_key(settings.HUB_DATA):
        raise RefusedError("Your identity key is on another of your devices. Add this one there.")
    secret = secrets.token_bytes(values.SECRET)
    whole = expires.replace(microsecond=0)
    given = Invitation(
        ourselves.keys().key,
        tuple(ourselves.invited_to()),
        secret,
        whole,
        ourselves.name(),
        purpose,
    )
    row = store.add_offer(way, purpose, secret, whole)
    return Offer(row.pk, invitations.link(given), whole, invitations.file(given))


async def withdraw(number: int) -> None:
    """Take back a code or invitation that nobody has used."""
    await in_database(store.withdraw_offer)(number)


def read(text: str) -> Invitation:
    """Return what a text invites to, so that a page can say it before; raises InvitationError."""
    return invitations.read(text)


async def accept(
    text: str, now: datetime.datetime, *, scanned: bool = False, purpose: str | None = None
) -> PairingRow:
    """Answer the code or invitation in a text; the row waits for the other side's yes.

    An invitation for a device gives this hub to the inviter: whoever calls this has said so to
    the owner, or names the `purpose` that is expected.  Raises InvitationError, RefusedError, and
    what the dialer raises.
    """
    given = invitations.read(text)
    if purpose is not None and purpose != given.purpose:
        raise InvitationError("This invitation is for something else. Look at what it says.")
    row = await outgoing.follow(given, Way.QR if scanned else Way.INVITATION, now)
    await _look(row)
    return row


# -- comparing codes -----------------------------------------------------------------------------


async def arm(now: datetime.datetime) -> datetime.datetime:
    """Let this hub compare one code in the next two minutes; raises Locked, WrongState."""
    return await in_database(store.arm)(now)


async def disarm() -> None:
    """Close the window again."""
    await in_database(store.disarm)()


async def compare(text: str, now: datetime.datetime) -> PairingRow:
    """Begin a comparison with the hub at an address, of a key, or of a contact's name.

    The row has the six digits.  Both hubs have to be armed.  Raises NotArmed, Locked, WrongState,
    AddressError, and what the dialer raises.
    """
    if await in_database(store.armed_until)(now) is None:
        raise RefusedError("Press “Compare codes” here first: this hub is not ready for it.")
    key, addresses, way = await in_database(_target)(text.strip())
    row = await outgoing.compare(key, addresses, way, now)
    await _look(row)
    return row


def _target(text: str) -> tuple[str | None, Sequence[Address], Way]:
    with contextlib.suppress(NoSuchHolder):
        return _of_contact(store.contact(text))
    try:
        key = parse_any(text)
    except KeyFormatError:
        return None, [Address.parse(text)], Way.COMPARISON
    with contextlib.suppress(NoSuchHolder):
        return _of_contact(store.contact(key))
    sighting = store.sighting(key)
    if sighting is None:
        raise RefusedError("No address is known for this key. Type the hub's address instead.")
    expected = None if sighting.nameless else key
    return expected, ourselves.parsed(sighting.addresses), Way.NEARBY


def _of_contact(contact: Contact) -> tuple[str, Sequence[Address], Way]:
    return contact.key, ourselves.parsed(contact.addresses), Way.COMPARISON


# -- yes and no ----------------------------------------------------------------------------------


async def approve(number: int, now: datetime.datetime, name: str | None = None) -> PairingRow:
    """Say yes: to a request, or that the six digits match; `name` is the owner's for them.

    Raises NoSuchPairing, WrongState, RefusedError.
    """
    row = await in_database(_approve)(number, now, name)
    if row.outgoing and row.state in machine.OPEN:
        with contextlib.suppress(UnreachableError):  # It is tried again.
            row = await outgoing.refresh(row, now)
        await _look(row)
    return row


def _approve(number: int, now: datetime.datetime, name: str | None) -> PairingRow:
    row = store.get_pairing(number)
    if row.way in (Way.QR, Way.INVITATION) and not row.outgoing:
        return _accepted(row, now, name)
    facts = {"name": name} if name else {}
    return store.change(number, partial(machine.step, event=Event.OURS, now=now), now, **facts)


def _accepted(row: PairingRow, now: datetime.datetime, name: str | None) -> PairingRow:
    card = cards.read(row.card)
    if row.purpose != DEVICE:
        return store.finish(row.pk, card, now, yes=True, name=name)
    if len(row.device_keys) != 2:
        raise PairingError("The other hub has not said which keys are to be signed.")
    wanted = identity.DeviceRequest(*(values.decoded(key) for key in row.device_keys))
    if key_hash(wanted.device) != row.their_key:
        raise KeyChanged
    given = identity.sign_device(settings.HUB_DATA, wanted, now)
    ders = (given.identity, given.device, given.owner)
    return store.finish_device(
        row.pk,
        card,
        now,
        # As the certificate spells the key: by that it will come, and be revoked.
        client_key=certs.key_of(certs.parse(given.owner)),
        certificates=[values.encoded(der) for der in ders],
        yes=True,
        name=name,
    )


async def reject(number: int, now: datetime.datetime) -> PairingRow:
    """Say no; the other side is told, if it can be reached."""
    refused = partial(machine.step, event=Event.REFUSED, now=now)
    row = await in_database(store.change)(number, refused, now)
    if row.outgoing:
        with contextlib.suppress(HubError):  # It finds out by itself.
            await outgoing.refuse(row)
    return row


async def refresh(number: int, now: datetime.datetime, wait: int = 0) -> PairingRow:
    """Bring a pairing up to date: what expired, and what the other side has said meanwhile.

    `wait` is how many seconds it may think about its answer.  That it cannot be reached is no
    error: the row says when it is asked again.
    """
    settled = partial(machine.settled, now=now)
    row = await in_database(store.change)(number, settled, now)
    if not row.outgoing or row.state not in machine.OPEN or row.state == State.STARTING:
        return row
    try:
        row = await outgoing.refresh(row, now, wait)
    except PairingError:
        row = await in_database(store.get_pairing)(number)
    except HubError:
        pass
    pause = _QUICK if now - row.created_at < _SLOW else _SLOW
    await in_database(store.note)(number, look_at=now + pause)
    return row


async def _look(row: PairingRow) -> None:
    """Wake the worker, which follows the pairing; without it the next look comes in seconds."""
    send = partial(current_app.send_task, "discovery.tasks.follow", [row.pk], queue="normal")
    with contextlib.suppress(OperationalError, OSError):
        await in_database(send)()


# -- nearby --------------------------------------------------------------------------------------


async def nearby(now: datetime.datetime | None = None) -> list[Sighting]:
    """Return the hubs that were seen nearby, in the last minutes where `now` is given."""
    return await in_database(store.list_sightings)(now)


async def ignore(key: str) -> None:
    """Never show this hub again."""
    await in_database(store.ignore)(key)


async def dismiss(key: str) -> None:
    """Do not show this hub for a while."""
    await in_database(store.dismiss)(key)


# -- cards, groups, devices ----------------------------------------------------------------------


async def own_card(now: datetime.datetime) -> dict[str, object]:
    """Return the card of our person."""
    return await in_database(ourselves.card)(now)


async def receive_card(name: str, document: object, now: datetime.datetime) -> None:
    """Take a newer card of a contact.

    One of another key is refused and raises the alarm: KeyChanged.  Raises MessageError too.
    """
    await in_database(telling.receive)(name, document, now)


async def import_group(text: str, now: datetime.datetime) -> list[Card]:
    """Return the cards of a group that a contact, or one of our devices, has published.

    Raises MessageError, and RefusedError where nobody known has signed it.
    """
    return await in_database(_import_group)(text, now)


def _import_group(text: str, now: datetime.datetime) -> list[Card]:
    group = cards.parse_group(text)
    ours = ourselves.keys().key
    store.keep_group(publisher_of(group.key), group, now)
    return [card for card in group.cards if card.key not in (ours, group.key)]


def publisher_of(key: str) -> str:
    """Return the owner's name for whoever has signed a group; raises RefusedError."""
    if key == ourselves.keys().key:
        return people.OWNER
    try:
        return store.contact(key).name
    except NoSuchHolder:
        raise RefusedError(
            "This group is signed by somebody whom you do not know. Pair with them first."
        ) from None


async def introduce(
    card: Card, by: str, now: datetime.datetime, name: str | None = None
) -> Contact:
    """Make a contact of a card of a group, introduced by whoever published it."""
    return await in_database(store.introduce)(card, by, now, name)


async def publish_group(name: str, contacts: Sequence[str], now: datetime.datetime) -> str:
    """Return a group of contacts' cards, signed by our person, as JSON text."""
    return await in_database(_publish_group)(name, contacts, now)


def _publish_group(name: str, contacts: Sequence[str], now: datetime.datetime) -> str:
    members = [store.contact(one).card for one in contacts]
    document = cards.make_group(ourselves.signing_key(), name, members, now.isoformat())
    return json.dumps(document, indent=1, ensure_ascii=False)


async def list_devices() -> list[DeviceLine]:
    """Return the owner's hubs, this one first."""
    this = ourselves.keys().device_key
    return await in_database(store.list_devices)(this)


async def revoke_device(name: str) -> None:
    """Take all rights of a device of ours; raises NoSuchHolder, RefusedError for this one."""
    this = ourselves.keys().device_key
    await in_database(store.revoke_device)(name, this)


async def clashes() -> list[Clash]:
    """Return where contacts say different things about who has which key."""
    return await in_database(store.clashes)()
