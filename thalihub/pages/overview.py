"""What the first page says: people, sharing, status, and what needs the owner's hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from acl import identity, sql
from acl import store as people
from acl.core.errors import HubError
from acl.core.keys import key_text
from acl.core.policy import ADDRESSBOOK
from acl.models import Principal
from couchapi.store import databases, meetings
from couchapi.store.databases import DatabaseRow
from discovery import store as discovery
from discovery.core.pairing import State
from discovery.store import DeviceLine
from replication import manager
from replication.books.names import INBOX, ME
from thalihub import datafolder, store

_MOST_LISTED = 8
_OF_THE_HUB = (ADDRESSBOOK, INBOX, ME)


class Notice(NamedTuple):
    """A sentence, and the page where something can be done about it."""

    text: str
    url: str
    action: str


class Shared(NamedTuple):
    """A database and the names of those who may do something with it."""

    name: str
    documents: int
    size: int
    holders: str


class InStep(NamedTuple):
    """How many ways there are on which databases are kept in step, and how they are."""

    ways: int
    failing: int
    """Databases."""
    behind: int
    """Changes."""


@dataclass(frozen=True)
class Overview:
    """How the hub is now."""

    friends: Sequence[Principal]
    friend_count: int
    device_count: int
    application_count: int
    shared: Sequence[Shared]
    database_count: int
    size: int
    in_step: InStep
    met: int
    warnings: Sequence[Notice]
    api: str
    key_text: str
    version: str = settings.HUB_VERSION


def now() -> Overview:
    """Read it all."""
    rows = sql.read_sync(databases.everything)
    known = [one for one in people.list_principals() if not one.revoked]
    kinds = [one.kind for one in known]
    friends = [one for one in known if one.kind == Principal.Kind.FRIEND]
    size = sum(row.body_size for row in rows)
    in_step = _in_step()
    return Overview(
        friends=friends[:_MOST_LISTED],
        friend_count=len(friends),
        device_count=len([one for one in _devices() if not one.revoked]),
        application_count=kinds.count(Principal.Kind.APPLICATION),
        shared=_shared([row for row in rows if row.name not in _OF_THE_HUB][:_MOST_LISTED]),
        database_count=len(rows),
        size=size,
        in_step=in_step,
        met=sum(sql.read_sync(meetings.counts).values()),
        warnings=_warnings(size) + _failing(in_step),
        api=_api(),
        key_text=_key_text(),
    )


def _devices() -> list[DeviceLine]:
    try:
        return discovery.list_devices(identity.load(settings.HUB_DATA).device_key)
    except HubError:
        return []


def _shared(rows: Sequence[DatabaseRow]) -> list[Shared]:
    holders: dict[str, set[str]] = {}
    for grant in people.list_grants():
        holders.setdefault(grant.database, set()).add(str(grant.principal or grant.group))
    return [
        Shared(row.name, row.doc_count, row.body_size, ", ".join(sorted(holders.get(row.name, ()))))
        for row in rows
    ]


def _warnings(size: int) -> list[Notice]:
    found = []
    hub = store.hub()
    if hub.recovery_saved_at is None:
        found.append(
            Notice(
                _("There is no copy of your identity. If this machine breaks, it is lost."),
                reverse("setup-recovery"),
                _("Save a recovery file"),
            )
        )
    if 0 < hub.size_warning < size:
        found.append(
            Notice(
                _("Your data takes more room than you wanted to be told of."),
                reverse("setup-storage"),
                _("Look at the limit"),
            )
        )
    return _requests() + _alarms() + found + _revoked()


def _in_step() -> InStep:
    ways = [(job, link) for job in manager.listing(time.time()) for link in job["links"]]
    return InStep(
        len(ways),
        len({job["database"] for job, way in ways if way["error"]}),
        sum(way["changes_behind"] or 0 for _job, way in ways),
    )


def _failing(in_step: InStep) -> list[Notice]:
    if not in_step.failing:
        return []
    text = ngettext(
        "%(n)s database could not be brought in step.",
        "%(n)s databases could not be brought in step.",
        in_step.failing,
    ) % {"n": in_step.failing}
    return [Notice(text, reverse("sync"), _("Look why"))]


def _requests() -> list[Notice]:
    return [
        Notice(
            _("%(name)s wants to connect with you.") % {"name": row.name or row.key_text},
            reverse("pairing", args=[row.pk]),
            _("Look at it"),
        )
        for row in discovery.list_pairings()
        if row.state == State.REQUESTED and not row.outgoing
    ]


def _alarms() -> list[Notice]:
    return [
        Notice(
            _("Another key was shown for %(name)s.") % {"name": one.name},
            reverse("contact", args=[one.principal_id]),
            _("What to do"),
        )
        for one in discovery.list_contacts()
        if one.other_key
    ]


def _revoked() -> list[Notice]:
    names = [one.name for one in people.list_principals() if one.revoked]
    if not names:
        return []
    text = ngettext(
        "%(names)s is revoked and has no rights any more.",
        "%(names)s are revoked and have no rights any more.",
        len(names),
    ) % {"names": ", ".join(names)}
    url = f"{reverse('admin:acl_principal_changelist')}?revoked__exact=1"
    return [Notice(text, url, _("Show"))]


def _api() -> str:
    port = datafolder.facts_of(settings.HUB_DATA).get("api_port")
    return f"https://127.0.0.1:{port}/" if port else ""


def _key_text() -> str:
    try:
        ours = identity.load(settings.HUB_DATA)
    except HubError:
        return ""
    return key_text(ours.key)
