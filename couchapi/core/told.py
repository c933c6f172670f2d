"""What functions of design documents are told of a request and of who makes it.

The form is CouchDB's (CouchDB docs, "json-structure", "Request object", "User Context Object").
A function belongs to whoever may write the database, so of the caller it learns the name and the
groups, and nothing else: no address, no cookie, no header that tells one client from another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acl.core import keys

_HARMLESS = frozenset({"accept", "content-type"})


def user_context(db_name: str, key: str, groups: Sequence[str], is_owner: bool) -> dict[str, Any]:
    """Return `userCtx` of a principal: its name is its key text, its roles are its groups."""
    roles = [*groups, "_admin"] if is_owner else list(groups)
    return {"db": db_name, "name": keys.key_text(key) if key else None, "roles": roles}


def request_object(
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    info: Mapping[str, Any],
    user: Mapping[str, Any],
    security: Mapping[str, Any],
    body: str = "undefined",
) -> dict[str, Any]:
    """Return `req`; `info` describes the database."""
    shown = {name: text for name, text in headers.items() if name.lower() in _HARMLESS}
    steps = path.partition("?")[0].strip("/").split("/")
    return {
        "info": dict(info),
        "id": None,
        "method": method,
        "requested_path": steps,
        "path": steps,
        "raw_path": path,
        "query": dict(query),
        "headers": shown,
        "body": body,
        "peer": "undefined",
        "form": {},
        "cookie": {},
        "userCtx": dict(user),
        "secObj": dict(security),
    }
