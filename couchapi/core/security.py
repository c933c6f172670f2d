"""The `_security` object: who administers a database, and who its members are.

CouchDB names users and roles; here the names are principals (by name or key) and the roles are
groups (CouchDB docs, "api/database/security").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acl.core.policy import Members
from couchapi.core.errors import BadRequest

ASKED = "_asked"
"""Where the object keeps what an application asked for, word by word."""

_OURS = frozenset({"admins", "members", ASKED})


def read(security: Mapping[str, Any]) -> tuple[Members, Members, dict[str, Any]]:
    """Return the members, the admins, and what else the object holds; raises BadRequest."""
    rest = {name: value for name, value in security.items() if name not in _OURS}
    return _members(security, "members"), _members(security, "admins"), rest


def asked(members: Members, admins: Members) -> dict[str, Any]:
    """Return an application's wish in the form of the object."""
    kinds = {"admins": admins, "members": members}
    return {kind: {"names": who.names, "roles": who.roles} for kind, who in kinds.items()}


def shown(kept: Mapping[str, Any], held: Mapping[str, Any], *, to_owner: bool) -> dict[str, Any]:
    """Return the object for a caller: the owner sees who holds rights.

    An application sees what it asked for: otherwise the names that are missing, and those that
    came for a key, would tell it whom the owner knows, and by what name.
    """
    rest = {name: value for name, value in kept.items() if name != ASKED}
    return {**rest, **(held if to_owner else kept.get(ASKED, held))}


def _members(security: Mapping[str, Any], kind: str) -> Members:
    value = security.get(kind, {})
    if not isinstance(value, dict):
        raise BadRequest(f"{kind} must be a JSON object")
    return Members(_strings(value, kind, "names"), _strings(value, kind, "roles"))


def _strings(value: Mapping[str, Any], kind: str, member: str) -> tuple[str, ...]:
    strings = value.get(member, [])
    if not isinstance(strings, list) or not all(isinstance(one, str) for one in strings):
        raise BadRequest(f"{member} of {kind} must be a JSON list of strings")
    # CouchDB's own default names the role that every admin has: here it is always the owner.
    return tuple(one for one in strings if one != "_admin")
