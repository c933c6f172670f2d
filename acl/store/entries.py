"""Principals, groups and grants as entries that the owner's other devices can take over.

An entry is a JSON object with a name; keys stand for principals, because names are this hub's own
and ids are its tables'.  What is this hub's alone stays out: the owner's row, which every device
has by itself.  `put` takes an entry over as far as it can: a name that somebody else has here gets
the beginning of the key behind it, and a member or holder that is not known yet is left out.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.db import transaction

from acl.core import keys
from acl.core.errors import BadName, RefusedError
from acl.models import AllowedOrigin, Grant, Group, Membership, Principal
from acl.store import grants, people

Entry = Mapping[str, Any]

KINDS = ("principal", "group", "grant", "origin")
"""The kinds of entries, each before those that name it."""

_DEFAULTS = ("this device", "owner client")
_RIGHTS = ("read", "write", "admin")


class Own(NamedTuple):
    """What this hub is called elsewhere: its two keys are “this device” only to itself."""

    device_key: str
    owner_key: str
    hub_name: str

    def names(self) -> dict[str, str]:
        """Return the names of our keys, as other devices know them."""
        return {self.device_key: self.hub_name, self.owner_key: f"{self.hub_name} client"}


@transaction.atomic
def entries(own: Own) -> dict[str, Entry]:
    """Return everything that travels, by name."""
    origins = people.origins_by_principal()
    principals = Principal.objects.exclude(kind=Principal.Kind.OWNER)
    found = [_principal(one, own, origins.get(one.pk, [])) for one in principals]
    groups = Group.objects.prefetch_related("memberships__principal", "memberships__subgroup")
    found += [_group(one) for one in groups]
    found += _grants(grants.list_grants())
    found += [{"type": "origin", "origin": origin} for origin in origins.get(None, [])]
    return {name_of(one): one for one in found}


def name_of(entry: Entry) -> str:
    """Return the name of an entry, which is what two devices would both give it."""
    kind = entry["type"]
    if kind == "principal":
        return f"principal:{entry['key']}"
    if kind == "grant":
        parts = [entry[part] for part in ("database", "holder", "view", "selector")]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
        return f"grant:{base64.urlsafe_b64encode(digest[:16]).decode().rstrip('=')}"
    return f"{kind}:{entry['name' if kind == 'group' else 'origin']}"


def _principal(one: Principal, own: Own, origins: list[str]) -> Entry:
    ours = own.names().get(one.key)
    has_default = any(one.name.startswith(name) for name in _DEFAULTS)
    return {
        "type": "principal",
        "key": keys.PREFIX + one.key,
        "name": ours if ours and has_default else one.name,
        "kind": one.kind,
        "may_create_databases": one.may_create_databases,
        "revoked": one.revoked,
        "origins": origins,
    }


def _group(one: Group) -> Entry:
    members = [_holder(line.principal or line.subgroup) for line in one.memberships.all()]
    ordered = sorted(members, key=lambda member: sorted(member.items()))
    return {"type": "group", "name": one.name, "members": ordered}


def _holder(holder: Principal | Group | None) -> dict[str, str]:
    if isinstance(holder, Principal):
        return {"principal": keys.PREFIX + holder.key}
    return {"group": str(holder)}


def _grants(lines: Iterable[Grant]) -> list[Entry]:
    """Return the grants; several lines that differ in nothing but rights are one entry."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        entry = {
            "type": "grant",
            "database": line.database,
            "holder": _holder(line.principal or line.group),
            "view": line.view,
            "selector": line.selector,
            **{right: bool(getattr(line, right)) for right in _RIGHTS},
        }
        held = found.setdefault(name_of(entry), entry)
        held |= {right: held[right] or entry[right] for right in _RIGHTS}
    return list(found.values())


# -- taking over ---------------------------------------------------------------------------------


@transaction.atomic
def put(name: str, entry: Entry | None, own: Own) -> None:
    """Make the tables say what the entry says; None: that there is no such entry.

    Raises RefusedError for an entry that says nothing this hub can understand.
    """
    kind = name.partition(":")[0]
    if kind not in KINDS:
        raise BadName("This is an entry of a kind that the hub does not know.")
    if entry is None:
        _REMOVE[kind](name)
        return
    try:
        if name_of(entry) != name:
            raise BadName("The name of an entry and what it says do not belong together.")
        _PUT[kind](entry, own)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadName("A part of the entry is missing, or of the wrong kind.") from error


def _put_principal(entry: Entry, own: Own) -> None:
    key = keys.parse_key(entry["key"])
    known = Principal.objects.filter(key=key).first()
    if known is not None and known.kind == Principal.Kind.OWNER:
        raise BadName("The owner's own identity is no entry.")
    kind = Principal.Kind(entry["kind"])
    if kind == Principal.Kind.OWNER:
        raise BadName("There is one owner.")
    row = known or Principal(key=key)
    if own.names().get(key) != entry["name"]:
        row.name = _free_name(entry["name"], row)
    row.kind, row.revoked = kind, bool(entry["revoked"])
    row.may_create_databases = bool(entry["may_create_databases"])
    row.save()
    _put_origins(row, entry["origins"])


def _free_name(name: str, row: Principal) -> str:
    if row.name == name:
        return name
    try:
        people.check_free(name)
    except RefusedError:
        name = f"{name[:50]} {row.short_key}"
        if row.name != name:
            people.check_free(name)
    return name


def _put_origins(row: Principal, origins: Iterable[str]) -> None:
    wanted = {people.check_origin(origin) for origin in origins}
    AllowedOrigin.objects.filter(principal=row).exclude(origin__in=wanted).delete()
    for origin in wanted:
        AllowedOrigin.objects.get_or_create(principal=row, origin=origin)


def _put_group(entry: Entry, own: Own) -> None:
    group = Group.objects.filter(name=entry["name"]).first()
    if group is None:
        people.check_free(entry["name"])
        group = Group.objects.create(name=entry["name"])
    members = [found for one in entry["members"] if (found := _found(one)) is not None]
    kept = [Membership.objects.get_or_create(group=group, **_line(one))[0].pk for one in members]
    Membership.objects.filter(group=group).exclude(pk__in=kept).delete()


def _put_grant(entry: Entry, own: Own) -> None:
    rights = {right: bool(entry[right]) for right in _RIGHTS}
    view, selector = str(entry["view"]), grants.check_selector(str(entry["selector"]))
    grants.check_grant(**rights, view=view, selector=selector)
    holder = _found(entry["holder"])
    if holder is None:
        return
    line: dict[str, Any] = {"database": str(entry["database"]), "view": view, "selector": selector}
    line["principal" if isinstance(holder, Principal) else "group"] = holder
    Grant.objects.filter(**line).delete()
    Grant.objects.create(**line, **rights)


def _put_origin(entry: Entry, own: Own) -> None:
    people.allow_origin(None, entry["origin"])


def _found(holder: Mapping[str, str]) -> Principal | Group | None:
    if "principal" in holder:
        return Principal.objects.filter(key=keys.parse_key(holder["principal"])).first()
    return Group.objects.filter(name=holder["group"]).first()


def _line(holder: Principal | Group) -> dict[str, Any]:
    return {"principal" if isinstance(holder, Principal) else "subgroup": holder}


_PUT = {
    "principal": _put_principal,
    "group": _put_group,
    "grant": _put_grant,
    "origin": _put_origin,
}


# -- taking away ---------------------------------------------------------------------------------


def _remove_principal(name: str) -> None:
    # A device is revoked, never forgotten: its certificate would let it in again.
    kept = (Principal.Kind.OWNER, Principal.Kind.DEVICE)
    key = keys.parse_key(name.removeprefix("principal:"))
    Principal.objects.filter(key=key).exclude(kind__in=kept).delete()


def _remove_group(name: str) -> None:
    Group.objects.filter(name=name.removeprefix("group:")).delete()


def _remove_grant(name: str) -> None:
    for line in grants.list_grants():
        (entry,) = _grants([line])
        if name_of(entry) == name:
            line.delete()


def _remove_origin(name: str) -> None:
    AllowedOrigin.objects.filter(principal=None, origin=name.removeprefix("origin:")).delete()


_REMOVE = {
    "principal": _remove_principal,
    "group": _remove_group,
    "grant": _remove_grant,
    "origin": _remove_origin,
}
