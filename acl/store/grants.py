"""Grants: the lines of the ACLs, as commands, the admin and CouchDB's `_security` write them."""

from __future__ import annotations

import json
from typing import Any

import orjson
from django.db import transaction

from acl.core.errors import BadName, NoSuchHolder
from acl.core.policy import ADDRESSBOOK, OWNERS_ALONE, Members
from acl.models import Grant, Group, Principal
from acl.sql import Sql
from acl.store.people import find_holder

_LARGEST_SELECTOR = 16 * 1024
_DEEPEST_SELECTOR = 100
_FULL = "a.read AND a.\"write\" AND a.view = '' AND a.selector = ''"


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
    if db_name == ADDRESSBOOK:
        raise BadName("The address book is yours alone: it cannot be shared.")
    if db_name in OWNERS_ALONE:
        raise BadName("This database is yours alone: it cannot be shared.")
    line = {"database": db_name, "view": view, "selector": check_selector(selector)}
    line |= _holder(find_holder(name))
    grant = Grant(**line, read=read, write=write, admin=admin)
    # There may be two: a line of its own, and one that `_security` has put beside it.
    for held in Grant.objects.filter(**line).order_by("-id"):
        grant.read, grant.write = grant.read or held.read, grant.write or held.write
        grant.admin = grant.admin or held.admin
        grant.pk = held.pk
    grant.save()
    Grant.objects.filter(**line).exclude(pk=grant.pk).delete()
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
        # Not the standard library: it takes numbers and letters that no document can hold.
        value = orjson.loads(text) if len(text) <= _LARGEST_SELECTOR else None
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise BadName('A selector is a JSON object of at most 16 KB, such as {"type": "photo"}.')
    if _is_deep(value):
        raise BadName(f"A selector has at most {_DEEPEST_SELECTOR} levels.")
    return json.dumps(value, sort_keys=True)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST_SELECTOR):
        members = [one.values() if isinstance(one, dict) else one for one in level]
        level = [one for within in members for one in within if isinstance(one, dict | list)]
    return bool(level)


def _holder(holder: Principal | Group) -> dict[str, Any]:
    return {"principal" if isinstance(holder, Principal) else "group": holder}


# -- in a transaction of another store -----------------------------------------------------------


def add_grant_in(
    sql: Sql, db_name: str, principal_id: int, *, read: bool, write: bool, admin: bool
) -> None:
    """Grant rights to the application that makes a database."""
    line = (db_name, principal_id)
    widened = sql.execute(
        'UPDATE acl_grant SET read = (read OR %s), "write" = ("write" OR %s),'
        " admin = (admin OR %s) WHERE database = %s AND principal_id = %s"
        " AND view = '' AND selector = ''",
        (read, write, admin, *line),
    )
    if widened.rowcount:
        return
    sql.execute(
        'INSERT INTO acl_grant (database, principal_id, group_id, read, "write", admin, view,'
        " selector) VALUES (%s, %s, NULL, %s, %s, %s, '', '')",
        (*line, read, write, admin),
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


def set_members(
    sql: Sql, db_name: str, members: Members, admins: Members, *, all_known: bool = True
) -> None:
    """Let exactly these read and write everything; finer grants are not touched.

    Raises NoSuchHolder for a name that nobody has, unless not `all_known`: then it means nobody.
    """
    wanted = {holder: False for holder in _holders_in(sql, members, all_known)}
    wanted |= {holder: True for holder in _holders_in(sql, admins, all_known)}
    sql.execute(f"DELETE FROM acl_grant AS a WHERE {_FULL} AND a.database = %s", (db_name,))
    sql.many(
        'INSERT INTO acl_grant (database, principal_id, group_id, read, "write", admin, view,'
        " selector) VALUES (%s, %s, %s, TRUE, TRUE, %s, '', '')",
        [(db_name, *holder, admin) for holder, admin in wanted.items()],
    )


def _holders_in(sql: Sql, members: Members, all_known: bool) -> list[tuple[int | None, int | None]]:
    """Return (principal, group) of each name and role."""
    found: list[tuple[int | None, int | None]] = []
    for name in members.names:
        named = "SELECT id FROM acl_principal WHERE name = %s OR key = %s"
        found.append((_known(sql, named, name, name.removeprefix("sha256:")), None))
    for role in members.roles:
        found.append((None, _known(sql, "SELECT id FROM acl_group WHERE name = %s", role)))
    nobody = (None, None)
    if all_known and nobody in found:
        named_so = [*members.names, *members.roles][found.index(nobody)]
        raise NoSuchHolder(f"Nobody is called “{named_so}”. Add a principal or a group first.")
    return [holder for holder in found if holder != nobody]


def _known(sql: Sql, named: str, name: str, *keys: str) -> int | None:
    # PostgreSQL takes no NUL, not even to look for it.
    row = None if "\0" in name else sql.one(named, (name, *keys))
    return None if row is None else int(row[0])
