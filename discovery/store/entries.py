"""Contacts and devices as entries that the owner's other devices can take over.

They add to the entries of `acl.store`: which key is who stands there.  This hub's own entry is what
it says of itself; what others have written of it is not taken over.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from acl.core import keys
from acl.core.errors import BadName
from acl.models import Principal
from discovery.core import card
from discovery.core.addresses import Address
from discovery.core.errors import DiscoveryError
from discovery.core.pairing import Trust, Way
from discovery.models import Contact, Device
from discovery.store.me import me
from discovery.store.tor import own_addresses, own_tor_key

Entry = Mapping[str, Any]

KINDS = ("contact", "device")
_MOST_ADDRESSES = 8
_MOST_MEMBERS = 100


@transaction.atomic
def entries(device_key: str, client_key: str) -> dict[str, Entry]:
    """Return everything that travels, by name; the keys are this hub's own two."""
    found = [_contact(row) for row in Contact.objects.select_related("principal")]
    rows = Device.objects.select_related("principal", "client")
    found += [_device(row) for row in rows if row.principal.key != device_key]
    if here := own_addresses():
        said = {"beacon": me().beacon, "tor_key": own_tor_key(), "windows": me().windows}
        found.append(_device_entry(device_key, client_key, here, said))
    return {f"{one['type']}:{one['key']}": one for one in found}


def _contact(row: Contact) -> Entry:
    return {
        "type": "contact",
        "key": keys.PREFIX + row.key,
        "trust": row.trust,
        "way": row.way,
        "introduced_by": row.introduced_by,
        "card": row.card,
        "addresses": list(row.addresses),
    }


def _device(row: Device) -> Entry:
    client = row.client.key if row.client else None
    said = {"beacon": row.beacon, "tor_key": row.tor_key, "windows": row.windows}
    return _device_entry(row.principal.key, client, row.addresses, said)


def _device_entry(
    key: str, client_key: str | None, addresses: list[str], said: Mapping[str, Any]
) -> Entry:
    return {
        **{name: value for name, value in said.items() if value},
        "type": "device",
        "key": keys.PREFIX + key,
        "client": client_key and keys.PREFIX + client_key,
        "addresses": list(addresses)[:_MOST_ADDRESSES],
    }


@transaction.atomic
def put(name: str, entry: Entry | None, device_key: str, now: datetime.datetime) -> None:
    """Make the tables say what the entry says; None: that there is no such entry.

    Raises RefusedError for an entry that says nothing this hub can understand.
    """
    kind, _, text = name.partition(":")
    key = keys.parse_key(text)
    if key == device_key:
        return
    if entry is None:
        (Contact if kind == "contact" else Device).objects.filter(principal__key=key).delete()
        return
    principal = Principal.objects.filter(key=key).first()
    if principal is None:  # It comes; then this is tried again.
        return
    try:
        if kind == "contact":
            _put_contact(principal, entry, now)
        else:
            _put_device(principal, entry, now)
    except (KeyError, TypeError, AttributeError, ValueError, DiscoveryError) as error:
        raise BadName("A part of the entry is missing, or of the wrong kind.") from error


def _put_contact(principal: Principal, entry: Entry, now: datetime.datetime) -> None:
    if principal.kind != Principal.Kind.FRIEND:
        raise BadName("Only friends are contacts.")
    said = {
        "trust": Trust(entry["trust"]).value,
        "way": Way(entry["way"]).value,
        "introduced_by": str(entry["introduced_by"])[:64],
        "card": _object(entry["card"]),
        "addresses": _addresses(entry["addresses"]),
    }
    Contact.objects.update_or_create(
        principal=principal, defaults=said, create_defaults={**said, "paired_at": now}
    )


def _put_device(principal: Principal, entry: Entry, now: datetime.datetime) -> None:
    if principal.kind != Principal.Kind.DEVICE:
        raise BadName("This is no device of the owner.")
    client = entry["client"] and keys.parse_key(entry["client"])
    said = {
        "client": Principal.objects.filter(key=client, kind=Principal.Kind.DEVICE).first(),
        "addresses": _addresses(entry["addresses"]),
        "beacon": _beacon(entry.get("beacon", {})),
        "tor_key": card.tor_key(entry.get("tor_key", "")),
        "windows": card.windows_text(entry.get("windows", "")),
    }
    Device.objects.update_or_create(
        principal=principal, defaults=said, create_defaults={**said, "paired_at": now}
    )


def _beacon(value: Any) -> dict[str, Any]:
    key, until = card.beacon(value)
    return {"key": key, "until": until} if key else {}


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > _MOST_MEMBERS:
        raise TypeError
    return value


def _addresses(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise TypeError
    return [str(Address.parse(one)) for one in value[:_MOST_ADDRESSES]]
