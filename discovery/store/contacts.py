"""What comes of a pairing: contacts, devices, and what contacts say of each other.

The ACL knows a principal by its key; the contact beside it keeps how that key became known, the
card, and whether another key was ever shown for the same person.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q

from acl import store as people
from acl.core.errors import AlreadyThere, BadName, NoSuchHolder, RefusedError
from acl.core.keys import short_key
from acl.models import Principal
from discovery import signals
from discovery.core import pairing as machine
from discovery.core.card import Card, PublishedGroup
from discovery.core.errors import KeyChanged
from discovery.core.invitation import DEVICE
from discovery.core.pairing import Event, Pairing, Trust, Way
from discovery.models import Contact, Device, Introduction, PairingRow
from discovery.store.pairings import locked, value_of, write

_MOST_ADDRESSES = 16


class DeviceLine(NamedTuple):
    """One of the owner's hubs."""

    name: str
    key: str
    last_seen: datetime.datetime | None
    revoked: bool
    is_this: bool


class Clash(NamedTuple):
    """One name or messaging address, and who says that it belongs to which key."""

    what: str
    said: tuple[tuple[str, str], ...]
    """(key hash, who says so); "" is the owner."""


# -- the end of a pairing ------------------------------------------------------------------------


@transaction.atomic
def finish(
    number: int,
    card: Card,
    now: datetime.datetime,
    *,
    yes: bool = False,
    name: str | None = None,
) -> PairingRow:
    """Make a contact of a pairing to which both have said yes; once more changes nothing.

    `yes` is that of our owner, given now.  The trust in a contact that is known already never
    sinks.  Raises WrongState, KeyChanged, RefusedError.
    """
    row = locked(number)
    pairing = value_of(row)
    if pairing.state is machine.State.PAIRED and not yes:
        return row
    if card.key != row.key:
        raise KeyChanged
    pairing = _ended(pairing, yes, now)
    row.card = dict(card.document)
    principal = _friend(name or row.name or card.name, card.key)
    _keep(principal, card, now, trust=pairing.trust, way=row.way, by=row.by)
    write(row, pairing, now)
    _announce(principal, pairing.trust, row.purpose)
    return row


def _ended(pairing: Pairing, yes: bool, now: datetime.datetime) -> Pairing:
    if yes:
        pairing = machine.step(pairing, Event.OURS, now)
    return machine.step(pairing, Event.CARD, now)


def _friend(name: str, key: str) -> Principal:
    known = Principal.objects.filter(key=key).first()
    if known is None:
        return people.add_principal(free_name(name, key), key)
    if known.kind != Principal.Kind.FRIEND:
        raise RefusedError(f"This key is “{known.name}” already, which is no friend but yours.")
    if known.revoked:
        raise RefusedError(f"You have revoked “{known.name}”. Remove that entry first.")
    return known


def free_name(name: str, key: str) -> str:
    """Return a name like this one that nobody has here."""
    shown = "".join(c for c in name if c.isprintable() and c != "/").strip()[:56]
    for candidate in (shown, f"{shown} {short_key(key)}", f"Hub {short_key(key)}"):
        try:
            people.check_free(candidate)
        except (BadName, AlreadyThere):
            continue
        return candidate
    raise AlreadyThere(f"The name “{shown}” is taken. Choose another one.")


def _keep(
    principal: Principal, card: Card, now: datetime.datetime, *, trust: Trust, way: str, by: str
) -> None:
    contact, made = Contact.objects.get_or_create(
        principal=principal,
        defaults={"trust": trust, "way": way, "introduced_by": by, "paired_at": now},
    )
    if not made and trust is Trust.VERIFIED:
        contact.trust, contact.way = trust, way
    contact.card = dict(card.document)
    contact.addresses = list(card.addresses)[:_MOST_ADDRESSES]
    contact.last_seen = contact.last_seen if by else now
    contact.save()


def _announce(principal: Principal, trust: Trust | None, purpose: str) -> None:
    facts = {"key": principal.key, "name": principal.name, "trust": trust, "purpose": purpose}
    transaction.on_commit(lambda: signals.principal_paired.send(Contact, **facts))


# -- contacts ------------------------------------------------------------------------------------


def list_contacts() -> list[Contact]:
    """Return all friends who were met by pairing, by name."""
    return list(Contact.objects.select_related("principal").order_by("principal__name"))


def contact(name_or_key: str) -> Contact:
    """Return one by the owner's name or by the key hash; raises NoSuchHolder."""
    found = Contact.objects.select_related("principal")
    row = (
        found.filter(principal__name=name_or_key).first()
        or found.filter(principal__key=name_or_key).first()
    )
    if row is None:
        raise NoSuchHolder(f"There is no contact “{name_or_key}”. See: manage.py contact list")
    return row


@transaction.atomic
def change_card(name: str, card: Card, now: datetime.datetime) -> None:
    """Take a newer card of a contact; raises NoSuchHolder, KeyChanged."""
    row = contact(name)
    if card.key != row.key:
        raise KeyChanged
    if card.changed < str(row.card.get("changed", "")):
        return  # An old one that somebody has kept.
    row.card = dict(card.document)
    row.addresses = list(card.addresses)[:_MOST_ADDRESSES]
    row.last_seen = now
    row.save()


def note_told(pk: int, changed: str, now: datetime.datetime) -> None:
    """Note that a contact has our card of this time, or with an empty text that it was tried."""
    told = {"told": changed, "told_at": None} if changed else {"told_at": now}
    Contact.objects.filter(pk=pk).update(**told)


def tell_at_once() -> None:
    """Note that contacts are to be told anew, also those who could not be just now."""
    Contact.objects.update(told_at=None)


def alarm(name: str, other_key: str, now: datetime.datetime) -> None:
    """Note that another key was shown for a contact; nothing else changes."""
    Contact.objects.filter(pk=contact(name).pk).update(other_key=other_key, other_key_at=now)


def watch(name: str, key: str, now: datetime.datetime) -> bool:
    """Tell whether somebody else is known by this name; if so, that contact shows the alarm."""
    others = [
        row
        for row in list_contacts()
        if row.key != key and name.casefold() in {known.casefold() for known in _names(row)}
    ]
    for row in others:
        alarm(row.name, key, now)
    return bool(others)


def _names(row: Contact) -> list[str]:
    published = row.card.get("name")
    return list(dict.fromkeys([row.name, published if isinstance(published, str) else row.name]))


def forget_alarm(name: str) -> None:
    """Note that the owner has seen to it."""
    Contact.objects.filter(pk=contact(name).pk).update(other_key="", other_key_at=None)


def seen(key: str, now: datetime.datetime) -> None:
    """Note that a contact or device was reached just now."""
    Contact.objects.filter(principal__key=key).update(last_seen=now)
    Device.objects.filter(principal__key=key).update(last_seen=now)


def note_clock(key: str, ahead: int) -> None:
    """Note by how many seconds the clock of a contact or device is ahead of ours."""
    Contact.objects.filter(principal__key=key).update(clock_ahead=ahead)
    Device.objects.filter(principal__key=key).update(clock_ahead=ahead)


def other_clocks(since: datetime.datetime) -> list[tuple[str, int]]:
    """Return (name, seconds ahead) of who was reached since then and whose clock is not ours."""
    reached = Q(last_seen__gte=since) & ~Q(clock_ahead=0)
    found = (model.objects.filter(reached) for model in (Contact, Device))
    rows = (rows.values_list("principal__name", "clock_ahead") for rows in found)
    return sorted(row for each in rows for row in each)


# -- groups and comparing notes ------------------------------------------------------------------


@transaction.atomic
def keep_group(by: str, group: PublishedGroup, now: datetime.datetime) -> None:
    """Note what somebody says of others; what they said before in that group is forgotten."""
    Introduction.objects.filter(by=by, group=group.name).delete()
    Introduction.objects.bulk_create(
        Introduction(
            by=by,
            group=group.name,
            name=card.name,
            key=card.key,
            messaging=_messaging(card.messaging),
            card=dict(card.document),
            seen_at=now,
        )
        for card in group.cards
    )


def list_introductions() -> list[Introduction]:
    """Return all cards that contacts have published in groups."""
    return list(Introduction.objects.order_by("by", "group", "name"))


@transaction.atomic
def introduce(card: Card, by: str, now: datetime.datetime, name: str | None = None) -> Contact:
    """Make a contact of a card that somebody has vouched for; raises RefusedError."""
    principal = _friend(name or card.pet_name or card.name, card.key)
    _keep(principal, card, now, trust=Trust.INTRODUCED, way=Way.GROUP.value, by=by)
    _announce(principal, Trust.INTRODUCED, "friend")
    return contact(card.key)


def clashes() -> list[Clash]:
    """Return the names and messaging addresses that different people give to different keys."""
    said: dict[str, dict[tuple[str, str], None]] = {}
    for what, key, by in [*_own_notes(), *_their_notes()]:
        if what:
            said.setdefault(what.casefold(), {})[key, by] = None
    return [
        Clash(what, tuple(sorted(notes)))
        for what, notes in sorted(said.items())
        if len({key for key, _ in notes}) > 1
    ]


def _own_notes() -> Iterable[tuple[str, str, str]]:
    for row in list_contacts():
        for name in _names(row):
            yield name, row.key, ""
        yield _messaging(row.card.get("messaging")), row.key, ""


def _their_notes() -> Iterable[tuple[str, str, str]]:
    for row in list_introductions():
        yield row.name, row.key, row.by
        yield row.messaging, row.key, row.by


def _messaging(value: object) -> str:
    address = value.get("address") if isinstance(value, Mapping) else None
    return address[:255] if isinstance(address, str) else ""


# -- devices -------------------------------------------------------------------------------------


@transaction.atomic
def finish_device(
    number: int,
    card: Card,
    now: datetime.datetime,
    *,
    client_key: str | None = None,
    certificates: Sequence[str] = (),
    yes: bool = False,
    name: str | None = None,
) -> PairingRow:
    """Make a device of a pairing; `client_key` is that of its owner's certificate.

    Raises WrongState, RefusedError.
    """
    row = locked(number)
    pairing = value_of(row)
    if pairing.state is machine.State.PAIRED and not yes:
        return row
    pairing = _ended(pairing, yes, now)
    row.card, row.certificates = dict(card.document), [*certificates]
    shown = name or next((hub.name for hub in card.hubs if hub.name), "") or row.name
    add_device(shown, row.their_key, client_key, card.addresses, now)
    write(row, pairing, now)
    return row


def add_device(
    name: str, key: str, client_key: str | None, addresses: Sequence[str], now: datetime.datetime
) -> Device:
    """Note another hub of the owner; raises RefusedError for a key that is somebody already."""
    principal = _own(free_name(name, key), key)
    client = _own(free_name(f"{name} client", client_key), client_key) if client_key else None
    row, _made = Device.objects.update_or_create(
        principal=principal,
        defaults={
            "client": client,
            "addresses": [*addresses][:_MOST_ADDRESSES],
            "paired_at": now,
            "last_seen": now,
        },
    )
    _announce(principal, None, DEVICE)
    return row


def _own(name: str, key: str) -> Principal:
    known = Principal.objects.filter(key=key).first()
    if known is None:
        return people.add_principal(name, key, Principal.Kind.DEVICE)
    if known.kind != Principal.Kind.DEVICE:
        raise RefusedError(
            f"This hub is known already, as “{known.name}”. Remove that entry first."
        )
    if known.revoked:
        raise RefusedError(f"You have revoked “{known.name}”. A lost device does not come back.")
    return known


def list_devices(this_key: str) -> list[DeviceLine]:
    """Return the owner's hubs, this one (of key `this_key`) first."""
    own = Principal.objects.filter(kind=Principal.Kind.DEVICE).select_related("device")
    lines = []
    for principal in own.order_by("name"):
        device = getattr(principal, "device", None)
        if device is not None or principal.key == this_key:
            last = device.last_seen if device else None
            is_this = principal.key == this_key
            line = DeviceLine(principal.name, principal.key, last, principal.revoked, is_this)
            lines.append(line)
    return sorted(lines, key=lambda line: (not line.is_this, line.name))


def other_devices() -> list[Device]:
    """Return the owner's other hubs that are not revoked."""
    found = Device.objects.filter(principal__revoked=False).select_related("principal")
    return list(found.order_by("pk"))


@transaction.atomic
def revoke_device(name: str, this_key: str) -> None:
    """Take all rights of a device and of its owner's certificate; raises NoSuchHolder."""
    principal = people.find_principal(name)
    if principal.kind != Principal.Kind.DEVICE:
        raise NoSuchHolder(f"“{name}” is no device of yours. See: manage.py device list")
    if principal.key == this_key:
        raise RefusedError("This is the device that you are using. Revoke it on another one.")
    device = Device.objects.filter(principal=principal).select_related("client").first()
    for one in (principal, device.client if device else None):
        if one is not None:
            one.revoked = True
            one.save()
    facts = {"key": principal.key, "name": principal.name}
    transaction.on_commit(lambda: signals.device_revoked.send(Device, **facts))
