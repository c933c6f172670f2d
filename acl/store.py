"""The ACL tables: what the command line, the admin and the gate do with them.

Names of principals and groups share one namespace, so a grant can name either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from acl.core import keys
from acl.core.errors import AlreadyThere, BadName, NoSuchHolder, RefusedError
from acl.core.policy import GrantRecord, Members
from acl.models import AllowedOrigin, Grant, Group, Membership, Principal
from acl.sql import Sql

OWNER = "owner"
_NAME = re.compile(r"[^\x00-\x1f/\x7f]{1,64}")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@]+")
_LARGEST_SELECTOR = 16 * 1024


def is_set_up() -> bool:
    """Tell whether the tables are there: before the hub's first start they are not."""
    return Principal._meta.db_table in connection.introspection.table_names()


# -- principals ----------------------------------------------------------------------------------


@transaction.atomic
def register_own(identity_key: str, device_key: str, owner_key: str) -> None:
    """Note the owner's identity, this device and the owner's own client certificate."""
    own = {
        OWNER: (identity_key, Principal.Kind.OWNER),
        "this device": (device_key, Principal.Kind.DEVICE),
        "owner client": (owner_key, Principal.Kind.DEVICE),
    }
    for name, (key, kind) in own.items():
        _register(name, key, kind)


def _register(name: str, key: str, kind: str) -> None:
    known = Principal.objects.filter(key=key).first()
    if known is not None:
        if known.kind != kind:
            known.kind = kind
            known.save()
        return
    named = Principal.objects.filter(name=name).first()
    if named is None or named.kind != kind:
        # Somebody may be called so already: nobody's key is ever replaced by ours.
        free = name if named is None else f"{name} {keys.short_key(key)}"
        Principal.objects.create(name=free, key=key, kind=kind)
    else:
        named.key = key
        named.save()


@transaction.atomic
def add_principal(name: str, key: str, kind: str = Principal.Kind.FRIEND) -> Principal:
    """Note a principal by its key; raises BadName, AlreadyThere."""
    check_free(name)
    known = Principal.objects.filter(key=key).first()
    if known is not None:
        raise AlreadyThere(f"This key is known already, as “{known.name}”.")
    return Principal.objects.create(name=name, key=key, kind=kind)


@transaction.atomic
def remove_principal(name: str) -> bool:
    """Forget a principal and its grants; False: it is a device, and revoked instead.

    The owner's identity has signed the certificates of the owner's devices, so a device that is
    forgotten would still be let in.  Raises NoSuchHolder, RefusedError.
    """
    principal = find_principal(name)
    if principal.kind == Principal.Kind.OWNER:
        raise RefusedError("This is your own identity: it cannot be removed.")
    if principal.kind == Principal.Kind.DEVICE:
        principal.revoked = True
        principal.save()
        return False
    principal.delete()
    return True


def list_principals() -> list[Principal]:
    """Return all, by name."""
    return list(Principal.objects.order_by("name"))


@transaction.atomic
def allow_create_databases(name: str, allowed: bool = True) -> None:
    """Let a principal make databases, or no longer."""
    principal = find_principal(name)
    principal.may_create_databases = allowed
    principal.save()


@transaction.atomic
def allow_origin(name: str | None, origin: str) -> None:
    """Let pages of `origin` use the hub with this principal's certificate; None: with any."""
    principal = None if name is None else find_principal(name)
    AllowedOrigin.objects.get_or_create(origin=check_origin(origin), principal=principal)


@transaction.atomic
def disallow_origin(name: str | None, origin: str) -> None:
    """Refuse pages of `origin` again."""
    principal = None if name is None else find_principal(name)
    found = AllowedOrigin.objects.filter(origin=origin.lower(), principal=principal)
    if not found:
        raise NoSuchHolder(f"{origin} is not allowed.")
    found.delete()


def check_origin(origin: str) -> str:
    """Return an origin as browsers send it; raises BadName."""
    origin = origin.lower()
    if not _ORIGIN.fullmatch(origin):
        raise BadName("An origin looks like https://app.example, without a path.")
    return origin


def origins_by_principal() -> dict[int | None, list[str]]:
    """Return the allowed origins of each principal's id; those for everybody stand at None."""
    found: dict[int | None, list[str]] = {}
    for one in AllowedOrigin.objects.order_by("origin"):
        found.setdefault(one.principal_id, []).append(one.origin)
    return found


def find_principal(name: str) -> Principal:
    """Return the principal of this name; raises NoSuchHolder."""
    found = Principal.objects.filter(name=name).first()
    if found is None:
        raise NoSuchHolder(
            f"There is no principal called “{name}”. See them with: manage.py principal list"
        )
    return found


# -- groups --------------------------------------------------------------------------------------


@transaction.atomic
def add_group(name: str) -> Group:
    """Make a group; raises BadName, AlreadyThere."""
    check_free(name)
    return Group.objects.create(name=name)


@transaction.atomic
def remove_group(name: str) -> None:
    """Delete a group and its grants; its members stay."""
    _find_group(name).delete()


@transaction.atomic
def add_member(group: str, name: str) -> None:
    """Put a principal or a group into a group."""
    holder = find_holder(name)
    Membership.objects.get_or_create(group=_find_group(group), **_member(holder))


@transaction.atomic
def remove_member(group: str, name: str) -> None:
    """Take a principal or a group out of a group."""
    found = Membership.objects.filter(group=_find_group(group), **_member(find_holder(name)))
    if not found:
        raise NoSuchHolder(f"“{name}” is not in the group “{group}”.")
    found.delete()


def list_groups() -> list[tuple[str, list[str]]]:
    """Return (name, names of its members), by name."""
    groups = Group.objects.order_by("name").prefetch_related(
        "memberships__principal", "memberships__subgroup"
    )
    return [
        (group.name, sorted(str(one.principal or one.subgroup) for one in group.memberships.all()))
        for group in groups
    ]


def find_holder(name: str) -> Principal | Group:
    """Return who is called so, a principal or a group; raises NoSuchHolder."""
    found = Principal.objects.filter(name=name).first() or Group.objects.filter(name=name).first()
    if found is None:
        raise NoSuchHolder(
            f"Nobody is called “{name}”. Add a principal or a group of this name first."
        )
    return found


# -- grants --------------------------------------------------------------------------------------


@transaction.atomic
def add_grant(
    db_name: str,
    name: str,
    *,
    read: bool,
    write: bool,
    admin: bool = False,
    view: str = "",
    selector: str = "",
) -> Grant:
    """Grant rights, on top of those that the holder has for the same view and selector."""
    check_grant(read=read, write=write, admin=admin, view=view, selector=selector)
    holder = _holder(find_holder(name))
    grant, _ = Grant.objects.get_or_create(
        database=db_name, view=view, selector=check_selector(selector), **holder
    )
    grant.read, grant.write = grant.read or read, grant.write or write
    grant.admin = grant.admin or admin
    grant.save()
    return grant


@transaction.atomic
def remove_grant(
    db_name: str, name: str, *, read: bool = True, write: bool = True, view: str = ""
) -> None:
    """Take rights back; raises NoSuchHolder where there is nothing to take."""
    holder = _holder(find_holder(name))
    grants = list(Grant.objects.filter(database=db_name, view=view, **holder))
    if not grants:
        raise NoSuchHolder(
            f"“{name}” has no such grant on {db_name}. See them with: manage.py grant list"
        )
    for grant in grants:
        grant.read, grant.write = grant.read and not read, grant.write and not write
        grant.admin = grant.admin and not (read and write)
        if grant.read or grant.write or grant.admin:
            grant.save()
        else:
            grant.delete()


def list_grants(db_name: str | None = None) -> list[Grant]:
    """Return the grants on one database, or all."""
    grants = Grant.objects.select_related("principal", "group").order_by("database", "id")
    return list(grants if db_name is None else grants.filter(database=db_name))


def check_grant(*, read: bool, write: bool, admin: bool, view: str, selector: str) -> None:
    """Raise BadName for a grant that would not mean what it seems to."""
    if not (read or write or admin):
        raise BadName("A grant gives the right to read, to write, or both.")
    if view and (write or admin or not all(view.partition("/"))):
        raise BadName("A view is named ddoc/view, and can only be read.")
    if selector and (view or not read):
        raise BadName("A selector limits which documents of a database can be read.")
    check_selector(selector)


def check_selector(text: str) -> str:
    """Return a selector in one spelling; raises BadName unless it is a JSON object."""
    if not text:
        return ""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or len(text) > _LARGEST_SELECTOR:
        raise BadName('A selector is a JSON object, such as {"type": "photo"}.')
    return json.dumps(value, sort_keys=True)


# -- in a transaction of another store -----------------------------------------------------------


def add_grant_in(
    sql: Sql, db_name: str, principal_id: int, *, read: bool, write: bool, admin: bool
) -> None:
    """Grant rights to the application that makes a database."""
    sql.execute(
        'INSERT INTO acl_grant (database, principal_id, group_id, read, "write", admin, view,'
        " selector) VALUES (%s, %s, NULL, %s, %s, %s, '', '')",
        (db_name, principal_id, read, write, admin),
    )


def forget_database(sql: Sql, db_name: str) -> None:
    """Remove the grants on a database that is deleted."""
    sql.execute("DELETE FROM acl_grant WHERE database = %s", (db_name,))


def members_of(sql: Sql, db_name: str) -> dict[str, dict[str, list[str]]]:
    """Return who may read and write everything, as `_security` shows it."""
    rows = sql.all(
        "SELECT p.name, g.name, a.admin FROM acl_grant a LEFT JOIN acl_principal p"
        " ON p.id = a.principal_id LEFT JOIN acl_group g ON g.id = a.group_id"
        f" WHERE {_FULL} AND a.database = %s ORDER BY p.name, g.name",
        (db_name,),
    )
    kinds = {"admins": True, "members": False}
    return {
        kind: {
            "names": [name for name, _, admin in rows if name and bool(admin) == wanted],
            "roles": [group for _, group, admin in rows if group and bool(admin) == wanted],
        }
        for kind, wanted in kinds.items()
    }


def set_members(sql: Sql, db_name: str, members: Members, admins: Members) -> None:
    """Let exactly these read and write everything; finer grants are not touched.

    Raises NoSuchHolder for a name that nobody has.
    """
    wanted = {holder: False for holder in _holders_in(sql, members)}
    wanted |= {holder: True for holder in _holders_in(sql, admins)}
    sql.execute(f"DELETE FROM acl_grant AS a WHERE {_FULL} AND a.database = %s", (db_name,))
    sql.many(
        'INSERT INTO acl_grant (database, principal_id, group_id, read, "write", admin, view,'
        " selector) VALUES (%s, %s, %s, TRUE, TRUE, %s, '', '')",
        [(db_name, *holder, admin) for holder, admin in wanted.items()],
    )


_FULL = "a.read AND a.\"write\" AND a.view = '' AND a.selector = ''"


# -- what the gate reads -------------------------------------------------------------------------


Known = tuple[int, str, str, bool, bool]
"""A principal: (id, name, kind, may create databases, revoked)."""


@dataclass(frozen=True, slots=True)
class Everything:
    """All ACLs at one version, as the gate keeps them."""

    version: int
    principals: Mapping[str, Known]
    """Key to who has it."""
    groups: Mapping[int, tuple[str, ...]]
    """Principal to the names of its groups, those of its groups' groups too."""
    grants: Mapping[tuple[str, int], tuple[GrantRecord, ...]]
    """(Database, principal) to what applies to it, by itself or by a group."""
    databases: Mapping[int, frozenset[str]]
    """Principal to the databases that it may read or write."""
    origins: Mapping[str, frozenset[int | None]]


def version(sql: Sql) -> int:
    """Return the number that grows with each change."""
    row = sql.one("SELECT number FROM acl_aclversion WHERE id = 1")
    return int(row[0]) if row else 0


def load(sql: Sql) -> Everything:
    """Read all ACLs; a hub of one person has hundreds of lines, not millions."""
    number = version(sql)
    principals = sql.all(
        "SELECT key, id, name, kind, may_create_databases, revoked FROM acl_principal"
    )
    names: dict[int, str] = dict(sql.all("SELECT id, name FROM acl_group"))
    groups = _groups(sql)
    grants: dict[tuple[str, int], list[GrantRecord]] = {}
    for db_name, principal_id, group_id, *rest in sql.all(
        'SELECT database, principal_id, group_id, read, "write", admin, view, selector'
        " FROM acl_grant"
    ):
        record = _record(*rest)
        holders = [principal_id] if group_id is None else _members(groups, group_id)
        for holder in holders:
            grants.setdefault((db_name, holder), []).append(record)
    databases: dict[int, set[str]] = {}
    for (db_name, holder), records in grants.items():
        if any((one.read or one.write) and not one.view for one in records):
            databases.setdefault(holder, set()).add(db_name)
    origins: dict[str, set[int | None]] = {}
    for origin, principal_id in sql.all("SELECT origin, principal_id FROM acl_allowedorigin"):
        origins.setdefault(origin, set()).add(principal_id)
    return Everything(
        number,
        {
            key: (one, name, kind, bool(create), bool(off))
            for key, one, name, kind, create, off in principals
        },
        {one: tuple(sorted(names[group] for group in held)) for one, held in groups.items()},
        {where: tuple(records) for where, records in grants.items()},
        {holder: frozenset(held) for holder, held in databases.items()},
        {origin: frozenset(held) for origin, held in origins.items()},
    )


def _groups(sql: Sql) -> dict[int, set[int]]:
    """Return the groups of each principal; a group may hold groups, in circles too."""
    rows = sql.all("SELECT group_id, principal_id, subgroup_id FROM acl_membership")
    parents: dict[int, set[int]] = {}
    direct: dict[int, set[int]] = {}
    for group_id, principal_id, subgroup_id in rows:
        if principal_id is not None:
            direct.setdefault(principal_id, set()).add(group_id)
        else:
            parents.setdefault(subgroup_id, set()).add(group_id)
    return {principal: _upwards(groups, parents) for principal, groups in direct.items()}


def _upwards(groups: Iterable[int], parents: Mapping[int, set[int]]) -> set[int]:
    reached: set[int] = set()
    waiting = list(groups)
    while waiting:
        group = waiting.pop()
        if group not in reached:
            reached.add(group)
            waiting += parents.get(group, ())
    return reached


def _members(groups: Mapping[int, set[int]], group_id: int) -> list[int]:
    return [principal for principal, held in groups.items() if group_id in held]


def _record(read: bool, write: bool, admin: bool, view: str, selector: str) -> GrantRecord:
    return GrantRecord(
        bool(read), bool(write), bool(admin), view, json.loads(selector) if selector else None
    )


def _holders_in(sql: Sql, members: Members) -> list[tuple[int | None, int | None]]:
    """Return (principal, group) of each name and role."""
    found: list[tuple[int | None, int | None]] = []
    for name in members.names:
        row = sql.one(
            "SELECT id FROM acl_principal WHERE name = %s OR key = %s",
            (name, name.removeprefix("sha256:")),
        )
        found.append((_known(row, name), None))
    for role in members.roles:
        row = sql.one("SELECT id FROM acl_group WHERE name = %s", (role,))
        found.append((None, _known(row, role)))
    return found


def _known(row: Sequence[Any] | None, name: str) -> int:
    if row is None:
        raise NoSuchHolder(f"Nobody is called “{name}”. Add a principal or a group first.")
    return int(row[0])


def check_free(name: str) -> None:
    """Raise BadName or AlreadyThere for a name that nobody can get."""
    if not _NAME.fullmatch(name) or name != name.strip():
        raise BadName("A name has 1 to 64 printable characters and no slash.")
    if Principal.objects.filter(name=name).exists() or Group.objects.filter(name=name).exists():
        raise AlreadyThere(f"“{name}” is taken. Choose another name.")


def _find_group(name: str) -> Group:
    found = Group.objects.filter(name=name).first()
    if found is None:
        raise NoSuchHolder(
            f"There is no group called “{name}”. Make it with: manage.py group add NAME"
        )
    return found


def _member(holder: Principal | Group) -> dict[str, Any]:
    return {"principal" if isinstance(holder, Principal) else "subgroup": holder}


def _holder(holder: Principal | Group) -> dict[str, Any]:
    return {"principal" if isinstance(holder, Principal) else "group": holder}
