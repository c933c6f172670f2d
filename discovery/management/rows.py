"""Pairings, contacts and devices as the commands print them."""

from __future__ import annotations

import datetime
from typing import Any

from acl.core.keys import PREFIX, key_text
from discovery.store import Contact, DeviceLine, PairingRow


def row_of(row: PairingRow) -> dict[str, Any]:
    """Return a pairing."""
    return {
        "id": row.pk,
        "name": row.name,
        "key": PREFIX + row.key,
        "key_text": row.key_text,
        "way": row.way,
        "purpose": row.purpose,
        "outgoing": row.outgoing,
        "state": row.state,
        "code": row.code,
        "problem": row.problem,
    }


def contact_of(row: Contact) -> dict[str, Any]:
    """Return a contact."""
    return {
        "name": row.name,
        "key": PREFIX + row.key,
        "key_text": key_text(row.key),
        "trust": row.trust,
        "introduced_by": row.introduced_by,
        "addresses": row.addresses,
        "last_seen": moment(row.last_seen),
        "revoked": row.principal.revoked,
        "other_key": PREFIX + row.other_key if row.other_key else "",
    }


def device_of(line: DeviceLine) -> dict[str, Any]:
    """Return a device."""
    return {
        "name": line.name,
        "key": PREFIX + line.key,
        "key_text": key_text(line.key),
        "last_seen": moment(line.last_seen),
        "revoked": line.revoked,
        "this": line.is_this,
    }


def moment(at: datetime.datetime | None) -> str | None:
    """Return a time as ISO 8601."""
    return at.isoformat() if at else None
