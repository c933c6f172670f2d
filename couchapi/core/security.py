"""The `_security` object: who administers a database, and who its members are.

CouchDB names users and roles; here the names are principals (by name or key) and the roles are
groups (CouchDB docs, "api/database/security").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acl.core.policy import Members
from couchapi.core.errors import BadRequest


def read(security: Mapping[str, Any]) -> tuple[Members, Members, dict[str, Any]]:
    """Return the members, the admins, and what else the object holds; raises BadRequest."""
    rest = {name: value for name, value in security.items() if name not in ("admins", "members")}
    return _members(security, "members"), _members(security, "admins"), rest


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
