"""A hub as it looks after some weeks of use, for tests and pictures of the pages.

It runs where Django is set up for that hub: `manage.py shell -c "from thalihub.tests import …"`.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from asgiref.sync import async_to_sync
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils import timezone

from acl import store as people
from acl.core import keys
from couchapi import writing
from couchapi.core import revid
from couchapi.store.writes import OURSELVES, Write
from discovery import store
from discovery.core import card as cards
from discovery.core import commitment as values
from discovery.core import pairing as machine
from discovery.core.card import Card, Hub, PublishedGroup
from discovery.core.pairing import State, Trust, Way
from replication import manager
from replication.core.job import Direction, Mode, Wish
from replication.core.schedule import NEVER
from replication.models import Link

_COMPARED = {State.STARTING, State.COMPARING}


def fill() -> None:
    """Make people, groups, grants, devices, sightings, and pairings in every state."""
    now = timezone.now()
    contacts = {name: _introduced(name, by, now) for name, by in _PEOPLE}
    store.seen(contacts["Berta"].key, now - datetime.timedelta(minutes=7))
    store.alarm("Emil", _key()[1], now)
    store.keep_group("Carl", PublishedGroup(_key()[1], "Choir", (_card("Dora"),)), now)
    people.add_principal("Frieda", _key()[1])
    _groups()
    store.add_device("Old phone", _key()[1], _key()[1], ["127.0.0.1:1"], now)
    manager.add(Wish("music", "Berta", Direction.PULL, Mode.CONTINUOUS), now.timestamp())
    _meet("letters", "hello")
    store.see(_key()[1], "Gustav", ["127.0.0.1:1"], now)
    print(json.dumps({"contact": _page("Berta"), "alarm": _page("Emil"), **_pairings(now)}))  # noqa: T201


def calm() -> None:
    """Let all that goes to and from the old phone be in step, as it is most of the time."""
    now = timezone.now().timestamp()
    manager.bring_up_to_date(now)
    Link.objects.filter(job__mesh=True).update(
        state="waiting", due_at=NEVER, last_success=now - 200, last_error="", failures=0, behind=0
    )


def reachable() -> None:
    """Let the hub be reached through Tor, as if it had been tested just now."""
    now = timezone.now()
    store.set_tor(
        wanted=True, state="published", address=_ONION, published_at=now, tested_at=now,
        answered_ms=840, since=now, version="0.4.7.16",
    )  # fmt: skip
    store.note_tor(now - datetime.timedelta(minutes=1), "started", "")
    store.note_tor(now, "published", "")


def _meet(db_name: str, docid: str) -> None:
    """Let two versions of a document meet: both are older than one that is here already."""
    batch = [
        Write(docid, None, deleted, body, path=[revid.mint(None, False, body, (), ms)])
        for ms, body, deleted in _VERSIONS
    ]
    async_to_sync(writing.store)(db_name, batch, OURSELVES)


_ONION = "hubpicturehubpicturehubpicturehubpicturehubpicturehubpid.onion"
_VERSIONS = (
    (1_750_000_000_000, b'{"text":"Good evening","to":["Berta","Emil"]}', False),
    (1_750_000_001_000, b"{}", True),
)
_PEOPLE = (("Berta", ""), ("Carl", ""), ("Dora", "Carl"), ("Emil", "Berta"))


def _introduced(name: str, by: str, now: datetime.datetime) -> Any:
    contact = store.introduce(_card(name), by, now)
    if not by:
        contact.trust = Trust.VERIFIED.value
        contact.save()
    return contact


def _page(name: str) -> str:
    return f"/people/{people.find_principal(name).pk}/"


def _groups() -> None:
    for group, members in (("Family", ("Berta", "Emil")), ("Everybody", ("Family", "Dora"))):
        people.add_group(group)
        for name in members:
            people.add_member(group, name)
    people.add_grant("letters", "Family", read=True, write=True)
    people.add_grant("photos", "Everybody", read=True, write=False)
    people.add_grant("recipes", "Carl", read=True, write=False, selector='{"type": "cake"}')


def _pairings(now: datetime.datetime) -> dict[str, str]:
    """Make one pairing in each state, and return the addresses of their pages."""
    found = {}
    for state in State:
        way = Way.COMPARISON if state in _COMPARED else Way.QR
        key = _key()[1]
        pairing = machine.Pairing(
            way,
            outgoing=False,
            state=state,
            deadline=now + datetime.timedelta(minutes=10),
            sid=_random(16),
            our_key=values.decoded(_key()[1]),
            their_key=values.decoded(key),
            transcript=b"" if state is State.STARTING else _random(32),
            problem="used_twice" if state is State.FAILED else "",
        )
        row = store.add_pairing(pairing, now, key=key, name="Hanna", addresses=["127.0.0.1:1"])
        found[state.value] = f"/meet/{row.pk}/"
    return found


def _random(size: int) -> bytes:
    return (values.decoded(_key()[1]) * 2)[:size]


def _card(name: str) -> Card:
    private, key = _key()
    hub = Hub(key, f"Hub of {name}", ("127.0.0.1:1",))
    return cards.read(cards.make(private, name, [hub], changed="2026-01-01T00:00:00+00:00"))


def _key() -> tuple[ec.EllipticCurvePrivateKey, str]:
    private = ec.generate_private_key(ec.SECP256R1())
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return private, keys.key_hash(spki)
