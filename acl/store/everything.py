"""All ACLs at once, as the gate keeps them in memory."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from acl.core.policy import OWNERS_ALONE, GrantRecord
from acl.sql import Sql
from acl.store.applications import Token, tokens_in

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
    tokens: Mapping[str, Token]
    """Digest to whose token it is, and until when."""


VERSION = "SELECT number FROM acl_aclversion WHERE id = 1"
"""Reads the number that grows with each change."""


def version(sql: Sql) -> int:
    """Return the number that grows with each change."""
    row = sql.one(VERSION)
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
        if db_name in OWNERS_ALONE:  # Whichever way such a line came, it gives nothing.
            continue
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
        tokens_in(sql),
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


@functools.lru_cache(maxsize=1024)  # Thousands of lines are alike: one for each database.
def _record(read: bool, write: bool, admin: bool, view: str, selector: str) -> GrantRecord:
    return GrantRecord(
        bool(read), bool(write), bool(admin), view, json.loads(selector) if selector else None
    )
